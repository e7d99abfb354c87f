"""From files and folders to tables: csv, tsv, jsonl, parquet, and folders of .txt files.

A reader returns what stands there, column for column; what the columns mean is `data.py`'s
business. Every error names the file and, where it is known, the line.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd
from pandas.api.types import infer_dtype

from ulmfit.base.errors import UserError
from ulmfit.data.rows import csv_rows, distinct, json_rows, text_lines

_SPELLINGS = {
    "train": ("train", "training"),
    "valid": ("valid", "validation", "val", "dev"),
    "test": ("test", "testing"),
    "unsup": ("unsup", "unsupervised", "unlabelled", "unlabeled"),
}
SPLIT_NAMES = {spelling: split for split, names in _SPELLINGS.items() for spelling in names}
_PART = 10_000  # rows of a file that are read at a time


def split_name(value: str) -> str | None:
    """The split that `value` names (train, valid, test, unsup), or None; case does not matter."""
    return SPLIT_NAMES.get(value.strip().lower())


def read_file(path: Path) -> pd.DataFrame:
    """All columns of a csv, tsv, jsonl or parquet file, its rows in order.

    csv and tsv give strings only, empty cells as ''; the others give their own types.

    Raises:
        UserError: the extension is none of these, the file is malformed or not UTF-8, or two
            columns have the same name.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise UserError(
            f"{path}: found the extension '{path.suffix}', expected one of "
            f"{', '.join(_READERS)}, or a folder of .txt files"
        )
    return reader(path)


def read_folder(path: Path) -> pd.DataFrame:
    """The .txt files under a folder as a table, ordered by path; the file's folder is its label.

    Columns `text`, `label` (missing where there is none) and, with folders that name splits,
    `split`. Three layouts are known: split folders that hold class folders (aclImdb: train/pos,
    train/unsup, test/neg, ...; a split folder without class folders holds unlabelled texts;
    .txt files beside the folders are a release's notes, such as aclImdb's imdbEr.txt); one
    folder a class; .txt files alone, without labels.

    Raises:
        UserError: there are no .txt files, or some beside folders of classes; a folder beside
            train or test names no split; a file is not UTF-8.
    """
    folders = _text_folders(path)
    if any(split_name(folder.name) in ("train", "valid", "test") for folder in folders):
        rows = [row for folder in folders for row in _split_rows(folder)]
        return pd.DataFrame(rows, columns=["text", "label", "split"])
    beside = sorted(path.glob("*.txt"))
    if folders and beside:
        raise UserError(
            f"{path}: found .txt files ({beside[0].name}) beside folders of .txt files "
            f"({folders[0].name}), expected one or the other; move the files or the folders away"
        )
    labelled = [(text, _class(folder)) for folder in folders for text in _texts(folder, "**/*.txt")]
    rows_of = labelled or [(text, None) for text in _texts(path, "*.txt")]
    if not rows_of:
        raise UserError(
            f"{path}: found no .txt files in this folder; expected split folders that hold class "
            "folders (train/pos, test/neg), one folder a class, or the path of a csv, tsv, "
            "jsonl or parquet file"
        )
    return pd.DataFrame(rows_of, columns=["text", "label"])


def _split_rows(folder: Path) -> list[tuple[str, str | None, str]]:
    split = split_name(folder.name)
    if split is None:
        raise UserError(
            f"{folder}: found this folder of .txt files beside folders that name splits; expected "
            "train, valid, test or unsup: rename it or move it away"
        )
    classes = _text_folders(folder)
    if not classes:
        return [(text, None, split) for text in _texts(folder, "*.txt")]
    return [
        (text, _class(part), "unsup" if _class(part) is None else split)
        for part in classes
        for text in _texts(part, "**/*.txt")
    ]


def _text_folders(path: Path) -> list[Path]:
    """The folders directly under `path` that hold .txt files, hidden ones left out."""
    folders = (f for f in path.iterdir() if f.is_dir() and not f.name.startswith((".", "__")))
    return sorted(folder for folder in folders if any(folder.rglob("*.txt")))


def _class(folder: Path) -> str | None:
    return None if split_name(folder.name) == "unsup" else folder.name


def _texts(folder: Path, pattern: str) -> Iterable[str]:
    return (_decode(file) for file in sorted(folder.glob(pattern)))


def _decode(path: Path) -> str:
    """The text of a UTF-8 file, line ends as they are, a byte order mark removed."""
    with text_lines(path, newline="") as file:
        return file.read()


def _in_parts(rows: Iterator[Any], columns: list[str] | None = None) -> pd.DataFrame:
    """A table of `rows`, of which `_PART` at a time are Python's objects.

    Strings become columns part by part; the type of other columns is that of all their values.
    """
    parts = []
    while part := list(islice(rows, _PART)):
        made = pd.DataFrame(part, columns=columns, dtype=object)
        for name in made.columns:
            if infer_dtype(made[name], skipna=True) == "string":
                made[name] = made[name].tolist()  # inferred: pandas 3 has a type for strings
        parts.append(made)
    if not parts:
        return pd.DataFrame(columns=columns, dtype=object)
    return pd.concat(parts, ignore_index=True).infer_objects()


def _read_csv(path: Path, delimiter: str = ",") -> pd.DataFrame:
    rows = csv_rows(path, delimiter)
    header = next(rows, None)
    return pd.DataFrame() if header is None else _in_parts(rows, header)


def _read_tsv(path: Path) -> pd.DataFrame:
    return _read_csv(path, delimiter="\t")


def _read_jsonl(path: Path) -> pd.DataFrame:
    return _in_parts(json_rows(path))


def _read_parquet(path: Path) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        distinct(path, pq.read_schema(path).names)
        # No partitioning: a folder named a=b on the way to the file is not a column of it.
        # Piece by piece: else compressed and decoded texts are all in memory at once.
        table = pq.read_table(
            path, partitioning=None, pre_buffer=False, use_threads=False, buffer_size=1 << 20
        )
        pa.default_memory_pool().release_unused()
        return table.to_pandas(ignore_metadata=True)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"{path}: found a malformed parquet file ({reason}); write it again, or save it as csv"
        ) from None


_READERS: dict[str, Callable[[Path], pd.DataFrame]] = {
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".jsonl": _read_jsonl,
    ".parquet": _read_parquet,
}
