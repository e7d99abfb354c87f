"""General text for stage 1: tables, folders of .txt files, and files of ids."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ulmfit.base.errors import UserError, listed
from ulmfit.data.columns import texts_of
from ulmfit.data.dialect import PLAIN, Dialect
from ulmfit.data.folders import read_folder
from ulmfit.data.formats import read_file
from ulmfit.data.formats_base import place_of
from ulmfit.text.blocks import each
from ulmfit.text.ids import is_empty
from ulmfit.text.ids_file import ids_files, read_ids


def read_corpora(paths: Sequence[Path], text_col: str, dialect: Dialect = PLAIN) -> pd.Series:
    """The texts of all files and folders; same errors as `read_corpus`."""
    return pd.concat([read_corpus(path, text_col, dialect) for path in paths], ignore_index=True)


def read_corpus(path: Path, text_col: str, dialect: Dialect = PLAIN) -> pd.Series:
    """The texts of a file or folder, or a file of ids, without empty texts.

    Raises UserError if it does not exist, has no such column, or holds no text.
    """
    ids = ids_files(path)
    if not ids and not path.exists():
        raise UserError(
            f"no file or folder {path}; --corpus takes a csv, tsv, jsonl, parquet or xlsx file, "
            "or a folder of .txt files"
        )
    if ids:
        dialect.check_only((), path, "a file of ids")
        table = read_ids(ids)
    elif path.is_dir():
        dialect.check_only(("encoding",), path, "a folder")
        table = read_folder(path, dialect.encoding)
    else:
        table = read_file(path, dialect)
    if text_col not in table.columns:
        raise UserError(
            f"{path} has no column {text_col!r}; it has {listed(table.columns)}: "
            "name the one with the texts with --text-col"
        )
    texts = texts_of(table.iloc[:, place_of(text_col, table.columns, path)], str(path))
    filled = np.fromiter((not is_empty(text) for text in each(texts)), bool, len(texts))
    if not filled.any():
        raise UserError(f"{path} holds no text in column {text_col!r}; give a corpus with texts")
    return texts[filled]
