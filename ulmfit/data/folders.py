"""Folders of .txt files as tables, and the splits that folders and cells name.

Every error names the folder or file and, where it is known, the line.
"""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from ulmfit.base.errors import UserError
from ulmfit.base.log import logger
from ulmfit.data.text_files import text_lines

_SPELLINGS = {
    "train": ("train", "training"),
    "valid": ("valid", "validation", "val", "dev"),
    "test": ("test", "testing"),
    "unsup": ("unsup", "unsupervised", "unlabelled", "unlabeled"),
}
_UNLABELLED = "unsup"  # aclImdb's folder of texts without a label, beside its folders of classes
SPLIT_NAMES = {spelling: split for split, names in _SPELLINGS.items() for spelling in names}


def split_name(value: str) -> str | None:
    """The split that `value` names (train, valid, test, unsup), or None; case does not matter."""
    return SPLIT_NAMES.get(value.strip().lower())


def read_folder(path: Path, encoding: str = "") -> pd.DataFrame:
    """The .txt files under a folder as a table, ordered by path; the file's folder is its label.

    Columns `text`, `label` (missing where there is none) and, with folders that name splits,
    `split`. Three layouts are known: split folders that hold class folders (aclImdb: train/pos,
    train/unsup, test/neg, ...; a split folder without class folders holds unlabelled texts;
    .txt files beside the folders are a release's notes, such as aclImdb's imdbEr.txt); one
    folder a class; .txt files alone, without labels. Of the names of classes, `unsup` alone means
    that the texts have none.

    Raises:
        UserError: there are no .txt files, or some beside folders of classes; a folder beside
            train or test names no split; a file is not UTF-8.
    """
    folders = _text_folders(path)
    if any(split_name(folder.name) in ("train", "valid", "test") for folder in folders):
        rows = [row for folder in folders for row in _split_rows(folder, encoding)]
        return pd.DataFrame(rows, columns=["text", "label", "split"])
    beside = sorted(path.glob("*.txt"))
    if folders and beside:
        raise UserError(
            f"{path}: found .txt files ({beside[0].name}) beside folders of .txt files "
            f"({folders[0].name}), expected one or the other; move the files or the folders away"
        )
    labelled = [
        (text, _class(folder))
        for folder in folders
        for text in _texts(folder, "**/*.txt", encoding)
    ]
    if unlabelled := sum(label is None for _, label in labelled):
        logger.info(f"the {unlabelled:,} texts in the folder '{_UNLABELLED}' have no label")
    rows_of = labelled or [(text, None) for text in _texts(path, "*.txt", encoding)]
    if not rows_of:
        raise UserError(
            f"{path}: found no .txt files in this folder; expected split folders that hold class "
            "folders (train/pos, test/neg), one folder a class, or the path of a csv, tsv, "
            "jsonl, parquet or xlsx file"
        )
    return pd.DataFrame(rows_of, columns=["text", "label"])


def _split_rows(folder: Path, encoding: str) -> list[tuple[str, str | None, str]]:
    split = split_name(folder.name)
    if split is None:
        raise UserError(
            f"{folder}: found this folder of .txt files beside folders that name splits; expected "
            "train, valid, test or unsup: rename it or move it away"
        )
    classes = _text_folders(folder)
    if not classes:
        return [(text, None, split) for text in _texts(folder, "*.txt", encoding)]
    return [
        (text, _class(part), "unsup" if _class(part) is None else split)
        for part in classes
        for text in _texts(part, "**/*.txt", encoding)
    ]


def _text_folders(path: Path) -> list[Path]:
    """The folders directly under `path` that hold .txt files, hidden ones left out."""
    folders = (f for f in path.iterdir() if f.is_dir() and not f.name.startswith((".", "__")))
    return sorted(folder for folder in folders if any(folder.rglob("*.txt")))


def _class(folder: Path) -> str | None:
    return None if folder.name.lower() == _UNLABELLED else folder.name


def _texts(folder: Path, pattern: str, encoding: str) -> Iterable[str]:
    return (_decode(file, encoding) for file in sorted(folder.glob(pattern)))


def _decode(path: Path, encoding: str) -> str:
    """The text of a file, line ends as they are, a byte order mark removed."""
    with text_lines(path, "", encoding) as file:
        return file.read()
