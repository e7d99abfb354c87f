"""Fingerprints of data: hashes of texts, labels and splits."""

import hashlib
import json
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from ulmfit.text.ids import Text, digest


def fingerprint(parts: Iterable[Any]) -> str:
    """sha256 over a sequence of plain values and numpy arrays, hexadecimal."""
    found = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            found.update(f"{part.dtype.str}{part.shape}".encode())
            found.update(np.ascontiguousarray(part).data)
        else:
            found.update(json.dumps(part).encode())
    return found.hexdigest()


def texts_fingerprint(texts: Iterable[Text]) -> str:
    """A short fingerprint of `texts` in any order, equal for texts and their ids."""
    return fingerprint(sorted(digest(text).hex() for text in texts))[:16]


def labelled_fingerprint(frame: pd.DataFrame) -> str:
    """sha256 over the texts, labels and splits of train and valid."""
    rows = frame[frame["split"].isin(["train", "valid"])]
    texts = [digest(text).hex() for text in rows["text"]]
    return fingerprint(zip(texts, rows["label"], rows["split"], strict=True))
