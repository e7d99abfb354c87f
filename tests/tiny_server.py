"""The server in a process of its own."""

import json
import re
import subprocess
import sys
import urllib.request
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


def ask(address, text):
    """The answer to a text, or to several."""
    return answer_of(
        urllib.request.Request(
            f"{address}/predict",
            json.dumps({"text": text} if isinstance(text, str) else {"texts": text}).encode(),
            {"Content-Type": "application/json"},
        )
    )


def answer_of(request):
    """The JSON that is behind an address or a request."""
    with urllib.request.urlopen(request, timeout=120) as response:
        return json.load(response)
