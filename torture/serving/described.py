"""schemathesis: requests made from the API's own description, and against it."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from torture.common import Row
from torture.serving.target import HOST, Target

_SECONDS = 540.0
# No schema says which bytes are a table with the named column; others are refused with 400.
_FILES = """
[[operations]]
include-path = ["/score", "/files"]
checks.positive_data_acceptance.enabled = false
"""


def described(target: Target, examples: int, seed: int) -> Row:
    """All of schemathesis' checks (its default), with so many examples of each address."""
    row = Row("server: schemathesis against /openapi.json")
    url = f"http://{HOST}:{target.port}/openapi.json"
    options = {
        "phases": "examples,coverage,fuzzing",
        "max-examples": str(examples),
        "seed": str(seed),
        "generation-database": "none",
        "request-timeout": "90",
    }
    command = [sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()"]
    command += ["run", url, "--no-color", "--continue-on-failure"]
    command += [f"--{name}={value}" for name, value in options.items()]
    with tempfile.TemporaryDirectory() as folder:  # it reads its configuration there, and writes
        Path(folder, "schemathesis.toml").write_text(_FILES, encoding="utf-8")
        try:
            done = subprocess.run(
                command,
                cwd=folder,
                env={**os.environ, "no_proxy": HOST, "COLUMNS": "120"},
                capture_output=True,
                text=True,
                timeout=_SECONDS,
            )
        except subprocess.TimeoutExpired:
            row.fail("crashed", f"schemathesis: no end after {_SECONDS:.0f} seconds")
            return row
    counted = re.search(r"([\d,]+) generated", done.stdout)
    row.tried = int(counted[1].replace(",", "")) if counted else 0
    if done.returncode != 0 or not row.tried:
        row.fail("let_in", f"schemathesis, seed {seed}: {(done.stdout + done.stderr)[-3_000:]}")
    target.settle(row)
    return row
