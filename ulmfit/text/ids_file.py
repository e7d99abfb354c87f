"""A file of ids: a data set as tokens, without its texts.

The file has the words of every text in their order; only white space and spelling that the rules
remove are missing. Protect it like the texts.

It is a parquet file (zstd) with one row for each text: `split` and `label` as in the source, `ids`
(rows of the token list), `digest` and `normalised` (see `ids.digest` and
`duplicates.normalised_digest`) and `empty`. The metadata hold the token list, the subword
tokenizer's pieces, and the tokenizer's description. ``python -m ulmfit.tokenize`` writes it.
"""

import base64
import json
import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ulmfit.base.errors import UserError
from ulmfit.text.ids import DIGEST_BYTES, IdsSource, TextIds

if TYPE_CHECKING:  # takes a while to import, and few data sets are of ids
    import pandas as pd

_KEY = b"ulmfit.ids"  # in the file's metadata
_FORMAT = 1
_TOKENS_BYTES = 1 << 28  # the longest token list
# Errors from a file that was altered or written by another program.
_DAMAGES = (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, zlib.error)


# --- reading -------------------------------------------------------------------------------------


def ids_files(path: Path) -> list[Path]:
    """The file of ids `path`, or its numbered parts in order; empty if it is neither.

    Raises UserError if `path` is one part of several, or a part is missing.
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
    """Numbered parts beside `path`, in order, each with the number of parts in its name."""
    found = []
    for part in path.parent.glob(f"{_stem(path)}-*of*{path.suffix}") if path.name else ():
        if match := re.fullmatch(r"-(\d+)of(\d+)", _stem(part).removeprefix(_stem(path))):
            found.append((int(match[1]), part, int(match[2])))
    return [(part, count) for _, part, count in sorted(found)]


def part_path(path: Path, number: int, count: int) -> Path:
    """Path of part `number` of `count`: ``x.ids-1of3.parquet`` for ``x.ids.parquet``."""
    return path if count == 1 else path.with_name(f"{_stem(path)}-{number}of{count}{path.suffix}")


def _stem(path: Path) -> str:
    return path.name.removesuffix(path.suffix)


def read_ids(files: Sequence[Path]) -> "pd.DataFrame":
    """Rows with `text` (a `TextIds`), and with `label` and `split` if the source has them.

    Raises UserError if a file is damaged or of another format version.
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
        if column.type != pa.list_(pa.uint32()):
            raise ValueError(f"ids of type {column.type}")
        source = IdsSource(
            path,
            _unpacked(about["tokens"]),
            column.flatten().to_numpy(),
            column.offsets.to_numpy().astype(np.int64) - column.offsets[0].as_py(),
            table["digest"].to_pylist(),
            table["normalised"].to_pylist(),
            table["empty"].to_numpy(),
            dict(about["reading"]),
            base64.b64decode(about["pieces"]),
        )
        _check_source(source)
    except (*_DAMAGES, pa.ArrowException) as error:
        raise _malformed(path, (str(error).splitlines() or [type(error).__name__])[0]) from None
    frame = pd.DataFrame({"text": [TextIds(source, i) for i in range(len(source.empty))]})
    for name in ("label", "split"):
        if name in table.column_names:
            frame[name] = table[name].to_pandas()
    return frame


def _check_source(source: IdsSource) -> None:
    if any(type(source.reading[name]) is not str for name in ("tokenizer", "lang", "pieces")):
        raise ValueError("no description of the tokenizer")
    if len(source.ids) and int(source.ids.max()) >= len(source.tokens):
        raise ValueError(f"an id of {int(source.ids.max())}, {len(source.tokens)} tokens")
    digests = [*source.digests, *source.normalised]
    if any(not isinstance(d, bytes) or len(d) != DIGEST_BYTES for d in digests):
        raise ValueError("a digest of another length")


def _about(path: Path) -> dict[str, Any] | None:
    """The metadata of a file of ids; None for another file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_metadata(path).metadata or {}
    except (pa.ArrowException, OSError):
        return None  # `read_file` reports the problem
    if _KEY not in metadata:
        return None
    try:
        about = dict(json.loads(metadata[_KEY]))
        version = about["format"]
        if version == _FORMAT:  # another version may have other keys
            about["part"], about["parts"] = int(about["part"]), int(about["parts"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise _malformed(path, "its metadata") from None
    if version != _FORMAT:
        raise UserError(
            f"{path} is a file of ids of format {version}, this program reads format "
            f"{_FORMAT}; make it again with ulmfit tokenize"
        )
    return about


def _malformed(path: Path, reason: str) -> UserError:
    return UserError(
        f"{path}: found a malformed file of ids ({reason}); make it again with ulmfit tokenize"
    )


# --- writing -------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Contents(IdsSource):
    """The content of a file of ids to write. label, split: None if the source has none."""

    label: list[str | None] | None
    split: list[str] | None
    library: str

    def file(self, rows: slice, part: int = 1, parts: int = 1) -> bytes:
        """The bytes of a file with the texts `rows` and its own token list."""
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
            "empty": pa.array(self.empty[rows]),
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
        # Each byte of an id has its own stream: the two upper bytes are nearly always 0.
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
            # Not in the schema, which is written twice.
            writer.add_key_value_metadata({_KEY: json.dumps(about)})
        return content.getvalue()

    def files(self, limit: int) -> list[bytes]:
        """One file, or parts with about equally many tokens and at most `limit` bytes each."""
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
    """The tokens in `ids`, the most frequent ones first, and the ids as rows of them."""
    counts = np.bincount(ids, minlength=len(tokens))
    order = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
    rows = np.zeros(len(tokens), np.uint32)
    rows[order] = np.arange(len(order), dtype=np.uint32)
    return [tokens[i] for i in order.tolist()], rows[ids]


def _packed(tokens: Iterable[str]) -> str:
    from ulmfit.text.processor import write_vocab

    return base64.b64encode(zlib.compress(write_vocab(list(tokens)), 9)).decode()


def _unpacked(content: str) -> list[str]:
    from ulmfit.text.processor import read_vocab

    reader = zlib.decompressobj()
    tokens = reader.decompress(base64.b64decode(content), _TOKENS_BYTES)
    if not reader.eof:
        raise ValueError("its token list is cut off, or too long")
    return read_vocab(tokens)
