"""Models from strangers: altered directories are refused in one line, in bounded time and memory.

A try alters a copy of a small valid model and uses it, in a forked child with little memory and
time. It counts as crashed if it ends with anything but a `UserError` of one line, dies, or takes
too long. It counts as let in if a model is loaded that must be refused, if a loaded model gives
invalid output (`problem`), or if it leaves a trace outside of its directory. A flipped bit in a
weight, with a recomputed hash, is another model and no attack: it may be bad at its task, but its
output must be valid.
"""

import functools
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from torture.common import ROOT, Row
from torture.hostile.attacks import ATTACKS, Attack
from torture.hostile.directory import Directory

sys.path.insert(0, str(ROOT / "tests"))

SECONDS = 20  # of computing for one try; a valid directory takes a tenth of a second
WAITING = 120  # seconds after which a try hangs, computing or not
MEMORY = 1 << 30  # bytes above the child's initial memory
CHUNK = 50  # tries of one child: a fork for each would take longer than the tries
TEXTS = ["A great film.", "", "never again ! \x00 \U0001f600", "dull " * 300]


def rows(scale: float, seed: int) -> Iterator[Row]:
    """A row for each attack."""
    import torch

    torch.set_num_threads(1)  # a forked child would wait for the parent's threads for ever
    with tempfile.TemporaryDirectory() as folder:
        base = write_models(Path(folder, "base"))
        for kind in base.iterdir():  # so every import is done before the first fork
            assert outcome(kind) == ("valid", ""), outcome(kind)
        for attack in ATTACKS:
            yield attacked(attack, max(1, round(attack.tries * scale)), seed, base, Path(folder))


def write_models(folder: Path) -> Path:
    """A language model, a classifier of words and one of subwords, in `folder`."""
    from sample_texts import TEXTS as SAMPLES
    from tiny_models import WORDS, finished, widen, write_classifier, write_lm

    from ulmfit.artifacts.config import ClassifierConfig
    from ulmfit.model.build import build_classifier
    from ulmfit.model.sizes import encoder_config
    from ulmfit.text.processor import TextProcessor
    from ulmfit.training.settings import ClassifierSettings, Step
    from ulmfit.training.stage import save

    write_lm(folder / "lm")
    seen = np.arange(2, 200, 3, dtype="<u8").tobytes()
    write_classifier(folder / "word", seen=seen)
    processor = TextProcessor("subword", max_vocab=300).fit([*SAMPLES, WORDS] * 3)
    encoder = encoder_config("tiny", len(processor.vocab))
    model = widen(build_classifier(encoder, 2, drop_mult=0, hidden=10))
    config = ClassifierConfig(encoder, max_len=1440, hidden=10)
    settings = ClassifierSettings(steps=[Step(1, 0.01)])
    made = finished(config, model, processor, settings, labels=["neg", "pos"])
    save(made, folder / "subword", 0.1)
    return folder


def attacked(attack: Attack, tries: int, seed: int, base: Path, folder: Path) -> Row:
    """The row of `attack`; try n depends on `seed` only."""
    row = Row(f"model directory, {attack.what}", tried=tries)
    work = folder / "work"
    done = 0
    while done < tries:
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        numbers = range(done, min(done + CHUNK, tries))
        for ended in in_child(attack, numbers, seed, base, work):
            done = ended.number + 1
            if failure := judged(ended, attack.refused):
                told = f"seed {seed}, try {ended.number} ({ended.did}): {ended.told}"
                row.fail(failure, told)
        if (work / "ran").exists():
            row.fail("let_in", f"seed {seed}, tries {numbers}: a pickle was run")
    return row


@dataclass(frozen=True)
class Tried:
    """How a try ended. outcome: refused, valid, invalid, or raised, died (also of a hang)."""

    number: int
    did: str
    outcome: str
    told: str = ""


def judged(ended: Tried, refused: bool) -> str:
    """The kind of failure, if any."""
    if ended.outcome in ("raised", "died"):
        return "crashed"
    if ended.outcome == "invalid" or (ended.outcome == "valid" and refused):
        return "let_in"
    return ""


def in_child(attack: Attack, numbers: range, seed: int, base: Path, work: Path) -> Iterator[Tried]:
    """The tries `numbers` in a forked child; if it dies, the tries up to that one."""
    reader, writer = os.pipe()
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os.close(reader)
        status = 1
        try:
            with os.fdopen(writer, "w") as told:
                _limit()
                for number in numbers:
                    _try(attack, number, seed, base, work, told)
            status = 0
        finally:
            os._exit(status)  # always: none of the parent's code may run in the child
    os.close(writer)
    began: tuple[int, str] = (numbers.start, "nothing yet")
    last = numbers.start - 1
    with os.fdopen(reader) as told:
        for line in told:
            number, *rest = json.loads(line)
            began = (number, rest[0])
            if len(rest) > 1:
                last = number
                yield Tried(number, *rest)
    _, status = os.waitpid(child, 0)
    if status or last < numbers.stop - 1:
        found = signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else "exit"
        yield Tried(max(began[0], last + 1), began[1], "died", found)


def _limit() -> None:
    import spacy

    # Build spaCy's English once: it takes half a second.
    spacy.blank = functools.cache(spacy.blank)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # the libraries' own remarks
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _try(attack: Attack, number: int, seed: int, base: Path, work: Path, told: Any) -> None:
    rng = random.Random(f"{seed} {attack.what} {number}")
    kind = rng.choice(attack.kinds)
    path = work / "model"
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(base / kind, path)
    did = f"{kind}: {attack.bend(Directory(path), rng)}"
    print(json.dumps([number, did]), file=told, flush=True)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.alarm(WAITING)
    print(json.dumps([number, did, *outcome(path)]), file=told, flush=True)
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.alarm(0)


def outcome(path: Path) -> tuple[str, str]:
    """The outcome for the directory at `path`, and the error or the problem."""
    from ulmfit.base.errors import UserError

    try:
        found = problem(path)
    except UserError as error:
        line = str(error)
        clean = "\n" not in line and line.isprintable() and len(line) < 2100
        return ("refused", line) if clean else ("raised", f"no clean line: {line[:200]!r}")
    except BaseException as error:  # MemoryError and RecursionError, too
        return "raised", f"{type(error).__name__}: {str(error)[:200]}"
    return ("invalid", found) if found else ("valid", "")


def problem(path: Path) -> str:
    """Use the model at `path` as commands do; returns the problem with its output, if any."""
    from ulmfit.artifacts.directory import read_artifact, read_metrics

    artifact = read_artifact(path)
    artifact.history()
    artifact.card()
    artifact.seen()
    read_metrics(path)
    return _text_problem(path) if artifact.manifest.kind == "lm" else _prediction_problem(path)


def _text_problem(path: Path) -> str:
    from ulmfit.artifacts.directory import read_artifact
    from ulmfit.artifacts.trained import load_network
    from ulmfit.base.printable import visible
    from ulmfit.inference.sampling import generate

    artifact = read_artifact(path, "lm")
    model, processor = load_network(artifact), artifact.processor()
    texts = generate(model, processor, "A film", n=2, words=4)
    fine = len(texts) == 2 and all(isinstance(text, str) for text in texts)
    visible(" ".join(texts)).encode()  # a terminal can show it
    return "" if fine else f"wrote {texts!r}"


def _prediction_problem(path: Path) -> str:
    from ulmfit.inference.ensemble import Classifier

    classifier = Classifier.load(path)
    labels = classifier.labels
    frame = classifier.predict(TEXTS)
    found = classifier.probabilities(TEXTS)
    sums = np.ones(len(TEXTS)) if classifier.labelling.multi else found.sum(1)
    if found.shape != (len(TEXTS), len(labels)) or not np.isfinite(found).all():
        return f"probabilities {found.tolist()}"
    if (found < 0).any() or (found > 1.001).any() or not np.allclose(sums, 1, atol=1e-3):
        return f"probabilities {found.tolist()}"
    answers = set(frame["label"]) if not classifier.labelling.multi else set()
    odd = [label for label in labels if not label.strip() or "\x1b" in label]
    return "" if not odd and answers <= set(labels) else f"labels {labels!r}, {answers!r}"
