"""``seen.bin``: which texts a classifier was trained and validated on, without the texts.

The file has one little-endian uint64 a text, sorted: 63 bits of the text's digest, equal for texts
that differ by case or white space alone (`duplicates.normalised_digest`), and as the lowest bit 1
if the model was trained on the text, 0 if it was only validated on it. Texts as ids have the
digests of the texts that they were made of. Empty texts are left out.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ulmfit.base.errors import UserError
from ulmfit.data.duplicates import normalised_digest
from ulmfit.text.blocks import each
from ulmfit.text.ids import Text, is_empty

if TYPE_CHECKING:
    import pandas as pd

BYTES = 8  # a text
_TRAINED = np.uint64(1)

Seen = NDArray[np.uint64]  # the numbers of the file


def seen_file(
    frame: "pd.DataFrame", before: Seen | None = None, taught: Sequence[Text] = ()
) -> bytes:
    """The content of the file for a model of the texts in splits train and valid.

    Args:
        before: what the classifier that the training started from has seen.
        taught: further texts that the model was trained on, with a teacher's labels.
    """
    train, valid = (frame.loc[frame["split"] == split, "text"] for split in ("train", "valid"))
    trained = [_hashes(each(train)) | _TRAINED, _hashes(taught) | _TRAINED]
    return _sorted(
        [*trained, _hashes(each(valid)), *([] if before is None else [before])]
    ).tobytes()


def parse_seen(content: bytes, file: Path) -> Seen:
    """The numbers in `content`, which was read from `file`; raises UserError if it is damaged."""
    if len(content) % BYTES:
        found = f"it has {len(content):,} bytes, expected {BYTES} a text"
    else:
        seen = np.frombuffer(content, "<u8")
        texts = seen | _TRAINED
        if (texts[1:] > texts[:-1]).all():
            return seen
        found = "its numbers are not sorted, or one stands there twice"
    raise UserError(f"{file} is damaged: {found}; copy or train the model again")


def union(several: Sequence[Seen]) -> Seen:
    """What models have seen together."""
    return _sorted(several)


def which_seen(texts: Sequence[Text], seen: Seen) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which texts a model was trained on, and which it was only validated on."""
    asked, known = _hashes(texts) | _TRAINED, seen | _TRAINED
    places = np.searchsorted(known, asked)
    inside = np.append(known, np.uint64(0))[places] == asked
    inside &= np.array([not is_empty(text) for text in texts], bool)
    trained = inside & (np.append(seen, np.uint64(0))[places] & _TRAINED).astype(bool)
    return trained, inside & ~trained


def _hashes(texts: Iterable[Text]) -> Seen:
    """63 bits of each text's digest, the lowest bit 0; of empty texts 0."""
    digests = (bytes(BYTES) if is_empty(t) else normalised_digest(t)[:BYTES] for t in texts)
    return np.frombuffer(b"".join(digests), "<u8") & ~_TRAINED


def _sorted(several: Sequence[Seen]) -> Seen:
    """All numbers, each text once: what one model was trained on counts as trained on."""
    every = np.unique(np.concatenate(several)).astype("<u8")
    every = every[every > _TRAINED]  # empty texts
    last = np.append(every[1:] >> _TRAINED != every[:-1] >> _TRAINED, True)
    return every[last[: len(every)]]
