"""Every command's --help: at once, which is without the libraries that compute."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import ulmfit

PACKAGE = Path(ulmfit.__file__).parent
COMMANDS = sorted(
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__main__")
    for path in PACKAGE.rglob("*.py")
    if re.search(r"^    run_command\(main\)$", path.read_text(encoding="utf-8"), re.MULTILINE)
)
SLOW = {"fastai", "matplotlib", "pandas", "pyarrow", "scipy", "sklearn", "spacy", "torch"}


def test_all_commands_are_found():
    assert len(COMMANDS) == 20
    assert {"ulmfit", "ulmfit.stage2_lm", "ulmfit.serve"} <= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_imports_nothing_slow(command):
    found = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", command, "--help"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)},
    )
    imported = {line.rpartition("|")[2].strip() for line in found.stderr.splitlines()}
    assert "argparse" in imported
    assert imported & SLOW == set()
    assert found.stdout.startswith(f"usage: python -m {command} [-h]")
    assert found.returncode == 0
