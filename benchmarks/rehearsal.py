"""The long run of docs/base.md in small: the same commands at size `base`, some 50 steps a stage.

Some of the data become ids; from then on, spaCy cannot be imported. --stop-after ends each stage
and direction once, and a repeat continues. `python -m ulmfit` reuses all models and evaluates them.
Finally the models are used with texts and spaCy.

    python -m benchmarks.rehearsal [--data imdb] [--corpus FILE] [--out DIR]

Without --corpus, the unlabelled texts of the data replace general text.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd
from fastcore.script import call_parse

from benchmarks.common import WORK
from ulmfit import evaluate, tokenize
from ulmfit.artifacts.directory import ENCODER, read_artifact, read_metrics
from ulmfit.base.log import quiet, show_progress
from ulmfit.data.corpora import read_corpus
from ulmfit.data.load import load_data
from ulmfit.inference.ensemble import Classifier
from ulmfit.training.checkpoint import checkpoint_path

ROWS = {"train": 64, "valid": 8, "test": 16, "unsup": 16}
DOCUMENTS = 12  # of the corpus
CHARACTERS = 800  # of a text at most
RECIPE = ["--recipe", "rehearsal"]
WITHOUT_SPACY = (
    "import runpy, sys; sys.modules['spacy'] = None; "
    "runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)"
)


def command(module: str, *arguments: object) -> str:
    """What a command says, run where spaCy cannot be imported."""
    shown = " ".join(["python -m", module, *map(str, arguments)])
    print(f"\n$ {shown}", flush=True)
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_SPACY, module, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    print(done.stdout.strip(), f"({time.monotonic() - began:.0f} s)", flush=True)
    if done.returncode:
        raise SystemExit(f"{shown} failed:\n{done.stderr}")
    return done.stdout


def piece_of(data: str, folder: Path) -> Path:
    """Short texts of `data` with their labels, some of each split, as a file."""
    frame = load_data(data)
    frame = frame[frame["text"].str.len() <= CHARACTERS]
    rows = []
    for split, count in ROWS.items():
        part = frame[frame["split"] == split]
        classes = part.groupby("label", dropna=False, sort=True)
        each = -(-count // max(1, classes.ngroups))
        rows.append(classes.head(each))
    path = folder / "data.parquet"
    pd.concat(rows).to_parquet(path)
    return path


def corpus_of(corpus: str | None, data: str, folder: Path) -> Path:
    """Some documents of general text, as a file."""
    if corpus:
        texts = read_corpus(Path(corpus), "text")
    else:
        with quiet():
            frame = load_data(data)
        texts = frame.loc[frame["split"] == "unsup", "text"]
    path = folder / "corpus.parquet"
    pd.DataFrame({"text": texts.iloc[:DOCUMENTS].str[:6000]}).to_parquet(path)
    return path


def stage(module: str, out: Path, *arguments: object) -> None:
    """One stage: ended by --stop-after, taken up again, its model read."""
    given = [*RECIPE, "--out", out, "--half", *arguments]
    said = command(module, *given, "--stop-after", "0.001")
    expect("time is up: saved" in said, f"{out} was not ended")
    expect(checkpoint_path(out).is_file() and not out.exists(), f"{out} left no checkpoint")
    said = command(module, *given)
    expect("going on at step 1, epoch 1" in said, f"{out} did not go on")
    expect(not checkpoint_path(out).exists(), f"{out} left its checkpoint")
    read_artifact(out)


def expect(held: bool, otherwise: str) -> None:
    """End the rehearsal unless `held`."""
    if not held:
        raise SystemExit(f"rehearsal failed: {otherwise}")


def pieces_fit_together(file: Path, folder: Path) -> int:
    """How many parts below 16 MiB `split` makes of a file that `cat` joins again."""
    subprocess.run(["split", "-b", "15M", file, folder / "part."], check=True)
    parts = sorted(folder.glob("part.*"))
    joined = hashlib.sha256(b"".join(part.read_bytes() for part in parts)).hexdigest()
    expect(joined == hashlib.sha256(file.read_bytes()).hexdigest(), f"{file} was not joined")
    return len(parts)


def rehearse(data: str, corpus: str | None, out: Path) -> dict[str, Any]:
    """All of it; the summary that `python -m ulmfit` wrote."""
    if out.exists():
        shutil.rmtree(out)
    out.mkdir(parents=True)
    texts, general = piece_of(data, out), corpus_of(corpus, data, out)
    ids = {path: path.with_suffix(".ids.parquet") for path in (texts, general)}
    for path, made in ids.items():
        tokenize.main(data=str(path), out=str(made))
    models = out / "models"
    of_data, of_corpus = ("--data", ids[texts]), ("--corpus", ids[general])
    for name, flags in {"fwd": [], "bwd": ["--backwards"]}.items():
        general_lm, lm = models / f"pretrained-{name}", models / f"lm-{name}"
        stage("ulmfit.stage1_pretrain", general_lm, *of_corpus, *flags)
        pretrained = ("--pretrained", models / "pretrained")
        stage("ulmfit.stage2_lm", lm, *of_data, *pretrained, *flags)
        stage("ulmfit.stage3_clf", models / f"clf-{name}", *of_data, "--lm", lm, *flags)
    said = command("ulmfit", *RECIPE, *of_corpus, *of_data, "--out", models, "--half")
    expect(said.count("is finished already and kept") == 6, "models were trained again")
    return check(models, texts, json.loads((models / "summary.json").read_text()))


def check(models: Path, texts: Path, summary: dict[str, Any]) -> dict[str, Any]:
    """Use the models where there are texts."""
    folders = [str(models / f"clf-{name}") for name in ("fwd", "bwd")]
    print("\nthe same models, evaluated on the texts:")
    named = evaluate.main(clf=folders, data=str(texts))  # type: ignore[arg-type]
    figures = list(named.values())
    accuracy = dict(zip(("fwd", "bwd", "ensemble"), (f["accuracy"] for f in figures), strict=True))
    expect(accuracy == summary["accuracy"], "texts and ids are not classified alike")
    Classifier.load(*folders).predict(["A text of another day."])
    with tempfile.TemporaryDirectory() as folder:
        parts = pieces_fit_together(models / "clf-fwd" / ENCODER, Path(folder))
    print(f"{ENCODER} of clf-fwd travels in {parts} parts below 16 MiB")
    for path in sorted(models.iterdir()):
        if path.is_dir():
            metrics = read_metrics(path)
            speeds = [row["tokens_per_second"] for row in metrics["epochs"]]
            print(
                f"{path.name:15} {metrics['seconds']:6.0f} s, {min(speeds)}-{max(speeds)} tokens/s"
            )
    print("the rehearsal went well")
    return summary


@call_parse
def main(
    data: str = "imdb-sample",  # data set: a name or a path
    corpus: str | None = None,  # general text: a file (default: the data's texts without a label)
    out: str | None = None,  # folder, which is replaced (default: one beside those of benchmarks)
) -> None:
    """Rehearse the long run."""
    show_progress()
    os.environ.setdefault("ULMFIT_CACHE", str(WORK / "cache"))
    rehearse(data, corpus, Path(out) if out else WORK / "rehearsal")
