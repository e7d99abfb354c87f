"""docs/tutorial.md does what it says: its commands run, and print what it shows."""

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial.md"
BLOCK = re.compile(r"(<!-- varies -->\n)?^```(python|console)\n(.*?)^```$", re.M | re.DOTALL)
COMMAND = re.compile(r"^\$ ((?:.*\\\n)*.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)


def masked(line):
    """A line without its numbers, which differ between machines, and the width they took."""
    return re.sub(r"\s+", " ", re.sub(r"[\d.,]*\d(e[+-]?\d+)?", "#", line)).strip()


def blocks():
    """(kind, code, whether the output is compared) of each block, in order."""
    found = BLOCK.findall(TUTORIAL.read_text(encoding="utf-8"))
    return [(kind, code, not varies) for varies, kind, code in found]


class Shell:
    """Runs commands in one folder; those that end in & go on until the end."""

    def __init__(self, folder):
        self.folder, self.running = folder, []
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.environment = {**os.environ, "PATH": path, "PYTHONPATH": str(TUTORIAL.parents[1])}
        self.environment.pop("ULMFIT_CACHE", None)

    def run(self, command):
        """What `command` prints."""
        options = {"cwd": self.folder, "env": self.environment, "text": True}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        if command.endswith("&"):
            arguments = ["bash", "-c", f"exec {command.rstrip('& ')}"]
            self.running.append(subprocess.Popen(arguments, **options, **pipes))
            return self.running[-1].stdout.readline()
        done = subprocess.run(["bash", "-c", command], **options, **pipes, check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout}"
        return done.stdout

    def end(self):
        for process in self.running:
            process.terminate()
            process.communicate(timeout=60)


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_the_tutorial(tmp_path):
    shell = Shell(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    compared = 0
    try:
        for kind, code, same in blocks():
            if kind == "python":
                name = code.splitlines()[0].removeprefix("# ")
                (tmp_path / name).write_text(code, encoding="utf-8")
                continue
            for command, shown in COMMAND.findall(code):
                printed = shell.run(command.replace("8000", port))
                lines = {masked(line) for line in printed.splitlines()}
                for line in shown.splitlines() if same else []:
                    assert masked(line) in lines, f"{command}\nprinted\n{printed}"
                    compared += 1
    finally:
        shell.end()
    assert compared > 50
    assert (tmp_path / "report.html").stat().st_size > 10_000
    assert len(shell.running) == 1
