"""Does this working tree do what another revision does? ``python -m benchmarks.same_as REV``

Both revisions run the same commands on the same texts with the same seed, side by side on this
machine, each in folders of its own. Compared are:

- the weights, vocabularies and tokenizers that a small run of each stage writes (``stages``), and
  with ``--demo`` those of ``make demo``;
- what each model directory under ``models/``, and each one that either revision has just written,
  says in both to the same texts (``models``);
- what the commands print and the other files that they write (``help``, ``stages``, ``commands``),
  with paths, times, speeds and hashes blotted out. ``serve`` is asked for its help alone.

Exits with 1 if weights or the models' answers differ, or a command ends otherwise than it did. What
else differs is shown as a diff; with ``--strict`` that fails, too. Takes 20 minutes on two cores,
``--demo`` another 15.
"""

import argparse
import difflib
import hashlib
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.same_as_cases import (
    Case,
    command_cases,
    demo_cases,
    help_cases,
    model_cases,
    stage_cases,
    write_texts,
)

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("help", "stages", "commands", "models")
# What a model is: these files are equal byte for byte.
WEIGHTS = {"encoder.safetensors", "head.safetensors", "vocab.txt", "spm.model"}
TEXTS = {".csv", ".html", ".json", ".jsonl", ".md", ".tsv", ".txt"}
TIMED = {"accuracy-time.png"}  # a drawing of seconds
_DIFF_LINES = 40  # of one case that are shown
_NUMBER = r"\d[\d,]*(?:\.\d+)?"
_BLOTS = [
    (re.compile(r'(\w*(?:seconds|per_second)\w*"?:? ?)[\d.,e-]*\d'), r"\1<time>"),
    (re.compile(rf"{_NUMBER} ?(?:s|seconds?|min|minutes?|hours?|h)\b"), "<time>"),
    (re.compile(rf"{_NUMBER}(?: \w+)? a second"), "<speed>"),
    (re.compile(rf"{_NUMBER} (?:tokens|texts|documents)/s"), "<speed>"),
    (re.compile(r'("(?:clock|peak_bytes|bytes)": )[\d.]+'), r"\1<size>"),
    # The table of compare: seconds, texts a second, megabytes of the model and of memory.
    (re.compile(r"(?m)^(\| [\w-]+ \| \d+ (?:\| [\d.]+ ){3})(?:\| [\d.,]+ ){4}"), r"\1| <cost> "),
    (re.compile(r"(?<![.\w])(?=\d*[a-f])[0-9a-f]{12,64}\b"), "<hash>"),
    (re.compile(r"\b20\d\d-\d\d-\d\d(?:[T ][\d:.+Z]+)?"), "<date>"),
]


@dataclass
class Side:
    """One revision: its tree, and the folder in which its commands run."""

    tree: Path
    work: Path

    def run(self, case: Case) -> "Outcome":
        """Run the command in a folder of its own."""
        folder = self.work / case.name
        folder.mkdir()
        done = self._python(folder, "-m", case.module, *case.arguments)
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        files = {str(path.relative_to(folder)): path for path in paths if path.name not in TIMED}
        said = f"{done.stdout}--- stderr\n{done.stderr}"
        return Outcome(done.returncode, self.normalised(said), files)

    def _python(self, folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
        own = {"PYTHONPATH": str(self.tree), "ULMFIT_CACHE": str(self.work / "cache")}
        environment = {"OMP_NUM_THREADS": "1", **os.environ, **own, "COLUMNS": "100"}
        command = [sys.executable, *arguments]
        return subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )

    def check(self) -> None:
        """Raises SystemExit if another tree's package would be imported."""
        done = self._python(self.work, "-c", "import ulmfit; print(ulmfit.__file__)")
        if not Path(done.stdout.strip()).is_relative_to(self.tree):
            raise SystemExit(f"{self.tree} is not what Python imports: {done.stdout}{done.stderr}")

    def normalised(self, text: str) -> str:
        """`text` without what differs from run to run."""
        for path, name in ((self.work, "<work>"), (self.tree, "<tree>")):
            text = text.replace(str(path), name)
        for pattern, blot in _BLOTS:
            text = pattern.sub(blot, text)
        return text


@dataclass(frozen=True)
class Outcome:
    """How a command ended: its exit code, what it printed, the files in its folder."""

    code: int
    said: str
    files: dict[str, Path]


@dataclass
class Verdict:
    """What differs in one case: `faults` fail, `wording` is shown."""

    name: str
    faults: list[str] = field(default_factory=list)
    wording: list[str] = field(default_factory=list)


def compare(case: Case, sides: Sequence[Side], exact: bool) -> Verdict:
    """Run `case` on both sides at once; `exact`: whatever differs is a fault."""
    with ThreadPoolExecutor(2) as pool:
        old, new = pool.map(lambda side: side.run(case), sides)
    pairs = list(zip(sides, (old, new), strict=True))
    found = Verdict(case.name)
    if old.code != new.code:
        found.faults.append(f"exit code {old.code}, now {new.code}")
    elif old.code not in (0, 2) and not case.name.startswith("error"):
        found.faults.append(f"exit code {old.code} in both:\n{new.said[-2000:]}")
    found.wording += _diff(old.said, new.said, "printed")
    for name in sorted(old.files.keys() | new.files.keys()):
        if name not in old.files or name not in new.files:
            there = "before" if name in old.files else "now"
            found.wording.append(f"{name} is written {there} alone")
            continue
        before, now = old.files[name], new.files[name]
        equal = _sha256(before) == _sha256(now)
        if not equal and (exact or before.name in WEIGHTS):
            found.faults.append(f"{name}: sha256 {_sha256(before)}, now {_sha256(now)}")
        elif not equal and before.suffix in TEXTS:
            texts = [side.normalised(made.files[name].read_text()) for side, made in pairs]
            found.wording += _diff(texts[0], texts[1], name)
        elif not equal:
            found.wording.append(f"{name} has other bytes")
    if exact and found.wording:
        found.faults += found.wording
    return found


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _diff(old: str, new: str, name: str) -> list[str]:
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), name, name, n=1, lineterm="")
    return [line if len(line) < 300 else f"{line[:300]}..." for line in lines]


@contextmanager
def worktree(revision: str) -> Iterator[Path]:
    """The files of `revision`, for as long as they are needed."""
    git = ["git", "-C", str(ROOT), "worktree"]
    with tempfile.TemporaryDirectory(prefix="same-as-") as folder:
        tree = Path(folder).resolve() / "tree"
        subprocess.run([*git, "add", "--quiet", "--detach", str(tree), revision], check=True)
        try:
            yield tree
        finally:
            subprocess.run([*git, "remove", "--force", str(tree)], check=True)


def models_of(sides: Sequence[Side]) -> list[tuple[str, Path]]:
    """The bundled models, and those that each side has written."""
    bundled = [(f"models-{path.parent.name}", path.parent) for path in _manifests(ROOT / "models")]
    written = [
        (f"{side.work.name}-{path.parent.relative_to(side.work)}".replace("/", "-"), path.parent)
        for side in sides
        for path in _manifests(side.work)
    ]
    return bundled + written


def _manifests(folder: Path) -> list[Path]:
    return sorted(folder.rglob("manifest.json"))


def run(sides: Sequence[Side], parts: Sequence[str], demo: bool) -> Iterator[Verdict]:
    """The verdict of every case, one after the other."""
    made = {"help": help_cases(), "stages": stage_cases(), "commands": command_cases()}
    for part in (part for part in made if part in parts):
        for case in made[part]:
            yield compare(case, sides, exact=False)
    if demo:
        for case in demo_cases():
            yield compare(case, sides, exact=False)
    if "models" in parts:
        for case in model_cases(models_of(sides)):
            yield compare(case, sides, exact=True)


def main() -> None:
    """Compare, print, exit."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.same_as",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("revision", help="a commit, tag or branch of git")
    parser.add_argument("--demo", action="store_true", help="make demo in both, too")
    parser.add_argument("--strict", action="store_true", help="other wording fails, too")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="default: all")
    given = parser.parse_args()
    if "commands" in given.parts and "stages" not in given.parts:
        parser.error("commands need the models of stages: --parts stages commands")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the worktree goes then, too
    with worktree(given.revision) as tree, tempfile.TemporaryDirectory() as folder:
        work = Path(folder).resolve()
        sides = [Side(tree, work / "before"), Side(ROOT, work / "now")]
        for side in sides:
            write_texts(side.work / "texts")
            side.check()
        verdicts = []
        for verdict in run(sides, given.parts, given.demo):
            state = "DIFFERS" if verdict.faults else "wording" if verdict.wording else "same"
            print(f"{state:8} {verdict.name}", flush=True)
            for line in [*verdict.faults, *verdict.wording][:_DIFF_LINES]:
                print(f"         {line}", flush=True)
            verdicts.append(verdict)
    failed = [verdict.name for verdict in verdicts if verdict.faults]
    worded = [verdict.name for verdict in verdicts if verdict.wording and not verdict.faults]
    print(f"{len(verdicts)} cases: {len(failed)} differ, {len(worded)} in wording alone")
    sys.exit(bool(failed or (given.strict and worded)))


if __name__ == "__main__":
    main()
