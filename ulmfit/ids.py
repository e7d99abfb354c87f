"""Texts as ids: a data set as tokens, in one file without its texts.

Where neither texts nor a tokenizer can be, the stages read such a file in their place and give the
same weights. Whoever has the file can read the words of every text in their order: what is missing
is the spelling that the rules do away with, capitals and white space. Keep it like the texts.

A parquet file (zstd), one row a text: `split` and `label` as the source has them, `ids` (rows of
the token list), `digest` and `normalised` (see `digest` and `duplicates.normalised_digest`) and
`empty`. The file's metadata hold the token list, with a subword tokenizer its pieces, and what cut
the texts. ``python -m ulmfit.tokenize`` writes it.
"""

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from ulmfit.errors import UserError

if TYPE_CHECKING:  # each takes a while to import, and few data sets are of ids
    import pandas as pd

    from ulmfit.blocks import Texts
    from ulmfit.text import TextProcessor

DIGEST_BYTES = 16
_KEY = b"ulmfit.ids"  # of the file's metadata
_FORMAT = 1


@dataclass(frozen=True, eq=False)
class IdsSource:
    """What the rows of a file, or of its numbered parts one after the other, have in common.

    tokens: every distinct token. ids: uint32, shape (all tokens,), rows of `tokens`. offsets:
    int64, shape (texts + 1,). digests, normalised: one a text. empty: bool, shape (texts,).
    about: what the file's metadata say of the tokenizer.
    """

    path: Path
    tokens: list[str]
    ids: np.ndarray
    offsets: np.ndarray
    digests: list[bytes]
    normalised: list[bytes]
    empty: np.ndarray
    about: Mapping[str, Any]

    @property
    def reading(self) -> dict[str, Any]:
        """The way from text to tokens, as `TextProcessor.reading` gives it."""
        return dict(self.about["reading"])

    @property
    def pieces(self) -> bytes:
        """The model of a subword tokenizer; nothing of a word tokenizer."""
        return base64.b64decode(self.about["pieces"])

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The row of each token."""
        return {token: i for i, token in enumerate(self.tokens)}


@dataclass(frozen=True, eq=False, slots=True)
class TextIds:
    """A text of which nothing but its ids is there."""

    source: IdsSource
    row: int


Text = str | TextIds


def digest(text: Text) -> bytes:
    """16 bytes that stand for the text, in fingerprints."""
    if isinstance(text, TextIds):
        return text.source.digests[text.row]
    return hash_of(text)


def hash_of(text: str) -> bytes:
    """16 bytes of BLAKE2b over a string."""
    content = text.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(content, digest_size=DIGEST_BYTES).digest()


def is_empty(text: Text) -> bool:
    """Whether there is nothing but white space."""
    if isinstance(text, TextIds):
        return bool(text.source.empty[text.row])
    return not text.strip()


def hold_ids(texts: "Texts") -> "TypeGuard[Sequence[TextIds] | pd.Series]":
    """Whether `texts` are ids; where some are and others not, raises a UserError."""
    if isinstance(getattr(texts, "dtype", object), np.dtype) or isinstance(texts, (list, tuple)):
        found = [text.source.path for text in texts if isinstance(text, TextIds)]
        if 0 < len(found) < len(texts):
            raise UserError(
                f"{found[0]} holds ids, and texts were given beside it; give the texts of all, or "
                "the ids of all (python -m ulmfit.tokenize)"
            )
        return bool(found)
    return False  # a column of strings


# --- from ids to the tokens of some rows ---------------------------------------------------------


def tokens_of(
    texts: "Sequence[TextIds] | pd.Series", processor: "TextProcessor"
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Distinct tokens, ids and offsets (see `corpus.TokenizedTexts`) of `texts` in their order.

    Raises:
        UserError: another tokenizer than that of `processor` cut the texts.
    """
    sources = list({id(text.source): text.source for text in texts}.values())
    for source in sources:
        _check_reading(source, processor)
    numbers = sources[0].numbers if len(sources) == 1 else {}
    tables = {}
    for source in sources:
        table = [numbers.setdefault(token, len(numbers)) for token in source.tokens]
        tables[id(source)] = np.array(table, np.uint32)
    lengths = np.empty(len(texts), np.int64)
    for i, text in enumerate(texts):
        lengths[i] = text.source.offsets[text.row + 1] - text.source.offsets[text.row]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    ids = np.empty(offsets[-1], np.uint32)
    for text, start, end in zip(texts, offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
        first = text.source.offsets[text.row]
        ids[start:end] = tables[id(text.source)][text.source.ids[first : first + end - start]]
    return list(numbers), ids, offsets


def pieces_of(texts: "Texts") -> bytes:
    """The subword tokenizer's model that cut `texts`; nothing where they are no ids of one."""
    return next(iter(texts)).source.pieces if hold_ids(texts) else b""


def _check_reading(source: IdsSource, processor: "TextProcessor") -> None:
    wanted = processor.reading()
    different = [key for key in wanted if source.reading.get(key) != wanted[key]]
    if different:
        key = different[0]
        raise UserError(
            f"{source.path} holds ids of another tokenizer: found {key} {source.reading.get(key)}, "
            f"expected {wanted[key]}; make it again with python -m ulmfit.tokenize, which takes "
            "--tokenizer-of a model or a file of ids"
        )


# --- reading -------------------------------------------------------------------------------------


def ids_files(path: Path) -> list[Path]:
    """The file of ids `path`, or its numbered parts in order; nothing if it is neither.

    Raises:
        UserError: `path` is one part of several, or a part is missing.
    """
    if path.is_file():
        about = _about(path)
        if about is None:
            return []
        if about["parts"] > 1:
            whole = re.sub(r"-\d+of\d+(\.[^-]*)$", r"\1", path.name)
            raise UserError(
                f"{path} is part {about['part']} of {about['parts']}; give "
                f"{path.with_name(whole)}, which stands for all of them"
            )
        return [path]
    found = parts_of(path)
    count = max((count for _, count in found), default=0)
    wanted = [part_path(path, number, count) for number in range(1, count + 1)]
    if [part for part, _ in found] == wanted:
        return wanted
    missing = [part.name for part in wanted if not part.exists()]
    raise UserError(
        f"{path}: found {len(found)} numbered parts, expected {count} of one set"
        f"{f'; missing: {missing[0]}' if missing else '; delete those of another set'}"
    )


def parts_of(path: Path) -> list[tuple[Path, int]]:
    """Numbered parts beside `path`, in order, and how many there are to be by the name of each."""
    found = []
    for part in path.parent.glob(f"{_stem(path)}-*of*{path.suffix}") if path.name else ():
        if match := re.fullmatch(r"-(\d+)of(\d+)", _stem(part).removeprefix(_stem(path))):
            found.append((int(match[1]), part, int(match[2])))
    return [(part, count) for _, part, count in sorted(found)]


def part_path(path: Path, number: int, count: int) -> Path:
    """Where part `number` of `count` lies: ``x.ids-1of3.parquet`` of ``x.ids.parquet``."""
    return path if count == 1 else path.with_name(f"{_stem(path)}-{number}of{count}{path.suffix}")


def _stem(path: Path) -> str:
    return path.name.removesuffix(path.suffix)


def read_ids(files: Sequence[Path]) -> "pd.DataFrame":
    """Rows of `text` (each a `TextIds`), and of `label` and `split` where the source had them.

    Raises:
        UserError: a file is damaged or of another format version.
    """
    import pandas as pd

    frames = [_read_file(path) for path in files]
    return frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)


def _read_file(path: Path) -> "pd.DataFrame":
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        about = _about(path)
        table = pq.read_table(path, partitioning=None).combine_chunks()
        if about is None or table.num_rows == 0:
            raise ValueError("no rows of ids")
        column = table["ids"].chunk(0)
        source = IdsSource(
            path,
            _unpacked(about["tokens"]),
            column.flatten().to_numpy(),
            column.offsets.to_numpy().astype(np.int64) - column.offsets[0].as_py(),
            table["digest"].to_pylist(),
            table["normalised"].to_pylist(),
            table["empty"].to_numpy(),
            about,
        )
        _check_source(source)
    except UserError:
        raise
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, zlib.error) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"{path}: found a malformed file of ids ({reason}); make it again with python -m "
            "ulmfit.tokenize"
        ) from None
    frame = pd.DataFrame({"text": [TextIds(source, i) for i in range(len(source.empty))]})
    for name in ("label", "split"):
        if name in table.column_names:
            frame[name] = table[name].to_pandas()
    return frame


def _check_source(source: IdsSource) -> None:
    if len(source.ids) and int(source.ids.max()) >= len(source.tokens):
        raise ValueError(f"an id of {int(source.ids.max())}, {len(source.tokens)} tokens")
    digests = [*source.digests, *source.normalised]
    if any(not isinstance(d, bytes) or len(d) != DIGEST_BYTES for d in digests):
        raise ValueError("a digest of another length")


def _about(path: Path) -> dict[str, Any] | None:
    """What the metadata of a file say, None where it is no file of ids."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_metadata(path).metadata or {}
    except (pa.ArrowException, OSError):
        return None  # for `read_file` to name the trouble
    if _KEY not in metadata:
        return None
    about = json.loads(metadata[_KEY])
    if about.get("format") != _FORMAT:
        raise UserError(
            f"{path} is a file of ids of format {about.get('format')}, this program reads format "
            f"{_FORMAT}; make it again with python -m ulmfit.tokenize"
        )
    return about


# --- writing -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Contents:
    """What a file of ids is to hold; see `IdsSource`. label, split: None where there are none."""

    tokens: list[str]
    ids: np.ndarray
    offsets: np.ndarray
    digests: list[bytes]
    normalised: list[bytes]
    empty: list[bool]
    label: list[str | None] | None
    split: list[str] | None
    reading: Mapping[str, Any]
    library: str
    pieces: bytes

    def file(self, rows: slice, part: int = 1, parts: int = 1) -> bytes:
        """The bytes of a file of some rows, which has a token list of its own."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        first, last = rows.start, rows.stop
        start, end = self.offsets[first], self.offsets[last]
        tokens, ids = _frequent_first(self.tokens, self.ids[start:end])
        offsets = pa.array((self.offsets[first : last + 1] - start).astype(np.int32))
        binary = pa.binary(DIGEST_BYTES)
        columns = {
            "split": self.split and pa.array(self.split[rows], pa.string()),
            "label": self.label and pa.array(self.label[rows], pa.string()),
            "ids": pa.ListArray.from_arrays(offsets, pa.array(ids)),
            "digest": pa.array(self.digests[rows], binary),
            "normalised": pa.array(self.normalised[rows], binary),
            "empty": pa.array(self.empty[rows], pa.bool_()),
        }
        about = {
            "format": _FORMAT,
            "part": part,
            "parts": parts,
            "reading": dict(self.reading),
            "library": self.library,
            "pieces": base64.b64encode(self.pieces).decode(),
            "tokens": _packed(tokens),
        }
        table = pa.table({name: column for name, column in columns.items() if column is not None})
        content = BytesIO()
        # The bytes of an id lie apart: of the two upper ones nearly all are 0.
        writer = pq.ParquetWriter(
            content,
            table.schema,
            compression="zstd",
            compression_level=12,
            use_dictionary=["split", "label"],
            column_encoding={"ids.list.element": "BYTE_STREAM_SPLIT"},
        )
        with writer:
            writer.write_table(table, row_group_size=len(self.empty))
            # Not the schema's: that is written twice over.
            writer.add_key_value_metadata({_KEY: json.dumps(about)})
        return content.getvalue()

    def files(self, limit: int) -> list[bytes]:
        """One file, or as many parts of about as many tokens as have `limit` bytes each at most."""
        count = 1
        while True:
            cuts = np.searchsorted(self.offsets, np.linspace(0, self.offsets[-1], count + 1))
            cuts[-1] = len(self.empty)
            made = [
                self.file(slice(int(first), int(last)), number, count)
                for number, (first, last) in enumerate(pairwise(cuts), 1)
            ]
            if max(map(len, made)) <= limit or count >= len(self.empty):
                return made
            count = max(count + 1, -(-sum(map(len, made)) // limit))


def _frequent_first(tokens: Sequence[str], ids: np.ndarray) -> tuple[list[str], np.ndarray]:
    """The tokens that `ids` has, the most frequent ones first, and the ids as rows of them."""
    counts = np.bincount(ids, minlength=len(tokens))
    order = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
    rows = np.zeros(len(tokens), np.uint32)
    rows[order] = np.arange(len(order), dtype=np.uint32)
    return [tokens[i] for i in order.tolist()], rows[ids]


def _packed(tokens: Iterable[str]) -> str:
    from ulmfit.text import write_vocab

    return base64.b64encode(zlib.compress(write_vocab(list(tokens)), 9)).decode()


def _unpacked(content: str) -> list[str]:
    from ulmfit.text import read_vocab

    return read_vocab(zlib.decompress(base64.b64decode(content)))
