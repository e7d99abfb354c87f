"""README's blocks on a table of one's own, word for word. They train with the default recipe."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

README = Path(__file__).parents[2] / "README.md"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
pytestmark = pytest.mark.slow


@pytest.fixture
def run(tmp_path):
    """Runs a script in a folder with reviews.csv; returns what it prints."""
    texts = {"again": "The soup was warm and the cook was kind.", "never": "The soup was cold."}
    rows = [(f"{text} Visit {i}.", label) for i in range(30) for label, text in texts.items()]
    rows += [("We sat on the terrace.", None)] * 20
    pd.DataFrame(rows, columns=["text", "label"]).to_csv(tmp_path / "reviews.csv", index=False)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(README.parent)}

    def call(*command):
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return call


def block(containing):
    """The one block of README with `containing`."""
    (found,) = (code for _, code in BLOCK.findall(README.read_text("utf-8")) if containing in code)
    return found


def test_own_data_in_three_commands(run):
    printed = run("bash", "-ec", block("ulmfit train reviews.csv"))
    assert re.search(r"^ *label (again|never)$", printed, re.MULTILINE), printed


def test_python_in_six_lines(run):
    assert re.fullmatch(r"\['(again|never)'\]\n", run(sys.executable, "-c", block("import pandas")))
