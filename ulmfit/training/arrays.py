"""Texts and classes of a Python program, as scikit-learn passes them, for the stages."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from ulmfit.base.atomic import os_errors_as
from ulmfit.base.errors import UserError, listed
from ulmfit.base.printable import visible
from ulmfit.text.given import each_text, is_missing

_OF_CLASSES = "strings, whole numbers or booleans, all of one type"


def texts_of(texts: Iterable[str | None]) -> list[str]:
    """The texts as strings that a file can hold."""
    plain = list(each_text(texts, "fit"))
    for place, text in enumerate(plain):
        if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
            raise UserError(
                f"texts[{place}] has half a surrogate pair, expected valid Unicode; decode it "
                "again, or replace it: text.encode('utf-8', 'replace').decode()"
            )
    return plain


def classes_of(y: Any, texts: int) -> tuple[np.ndarray, np.ndarray]:
    """The classes in `y`, sorted, and the number of each text's class."""
    if y is None:
        raise UserError("this estimator requires y to be passed, but the target y is None")
    values = column_or_1d(y, warn=True)
    if len(values) != texts:
        raise UserError(
            f"found {texts:,} texts in X and {len(values):,} classes in y, expected one for each "
            "text; correct y"
        )
    missing = [place for place, value in enumerate(values) if is_missing(value)]
    if missing:
        raise UserError(
            f"y[{missing[0]}] is missing (NaN or None), expected a class; pass such texts as "
            "unlabelled"
        )
    try:
        check_classification_targets(values)
        classes, numbers, counts = np.unique(values, return_inverse=True, return_counts=True)
    except TypeError:  # strings beside numbers have no order
        raise UserError(f"found classes of several types in y, expected {_OF_CLASSES}") from None
    checked(classes)
    if len(classes) < 2:
        found = f"one class ({listed(classes)})" if len(classes) else "no text"
        raise UserError(f"found {found}, expected texts of two classes at least; add some")
    if counts.max() < 2:
        raise UserError(
            f"found one text of each class ({len(classes):,} texts), expected two of a class at "
            "least: one is held out to validate; add some"
        )
    return classes, numbers


def checked(classes: np.ndarray) -> np.ndarray:
    """`classes`, if they are of a type that `save` can keep."""
    whole = classes.dtype.kind == "f" and all(float(value).is_integer() for value in classes)
    strings = classes.dtype.kind in "OU" and all(isinstance(value, str) for value in classes)
    if classes.dtype.kind not in "biu" and not whole and not strings:
        raise UserError(f"found classes such as {listed(classes[:3])}, expected {_OF_CLASSES}")
    return classes


def names_of(classes: np.ndarray) -> list[str]:
    """The names of the classes in the models' directories."""
    names = [" ".join(str(value).split()) for value in classes.tolist()]
    odd = [name for name in names if not name or visible(name) != name or names.count(name) > 1]
    if odd:
        raise UserError(
            f"found the classes {listed(map(repr, classes.tolist()))}, expected names that differ "
            "by more than white space and can be shown; rename them"
        )
    return names


@contextmanager
def training_folder(given: str | Path | None) -> Iterator[Path]:
    """A temporary folder, or the one that was given, which must be new or empty."""
    if given is None:
        with TemporaryDirectory() as temporary:
            yield Path(temporary)
        return
    folder = Path(given)
    with os_errors_as(f"cannot use folder={str(given)!r}"):
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise UserError(
                f"folder={str(given)!r} is not empty, expected a new folder for each fit; name "
                "another, or give None for a temporary one"
            )
    yield folder


def write_table(file: Path, texts: list[str], labels: list[str]) -> None:
    """A table for the stages; texts beyond `labels` have none."""
    more = len(texts) - len(labels)
    table = {
        "text": texts,
        "label": [*labels, *[None] * more],
        "split": ["train"] * len(labels) + ["unsup"] * more,
    }
    with os_errors_as(f"cannot write {file}"):
        pd.DataFrame(table).to_parquet(file, index=False)
