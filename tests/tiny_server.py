"""The server in a process of its own."""

import re
import subprocess
import sys
from contextlib import contextmanager

from tiny_models import write_classifier


def classifiers(folder):
    """The directories of two, forward and backward."""
    made = [("clf-fwd", False, 0), ("clf-bwd", True, 1)]
    return [str(write_classifier(folder / name, backwards, seed)) for name, backwards, seed in made]


@contextmanager
def serving(folders, *flags):
    """The process of `python -m ulmfit.serve`, in float32, and the address that it printed."""
    command = [sys.executable, "-m", "ulmfit.serve", "--port", "0", "--precision", "float32"]
    process = subprocess.Popen(
        [*command, "--clf", *folders, *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stdout.readline()
        address = re.match(r"http://127\.0\.0\.1:\d+", line)
        assert address, line + process.communicate()[1]
        yield process, address[0]
    finally:
        process.kill()
        process.communicate()
