"""Tokenise a data set into a file of ids, for a machine without the texts or the tokenizer:
``python -m ulmfit.tokenize --data NAME|PATH --out FILE`` (see `ids_file`).
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ulmfit.base.atomic import atomic_write, check_parent
from ulmfit.base.cli import run_command, settings_flags
from ulmfit.base.errors import UserError
from ulmfit.base.log import logger
from ulmfit.data.duplicates import normalised_digest
from ulmfit.data.labels import KINDS
from ulmfit.data.spec import DataFlags
from ulmfit.text.blocks import Texts, each
from ulmfit.text.corpus import Engine, cache_folder, tokenize_texts
from ulmfit.text.ids import digest, hold_ids, is_empty
from ulmfit.text.ids_file import Contents, ids_files, part_path, parts_of, read_ids
from ulmfit.text.processor import TextProcessor
from ulmfit.text.scripts import coverage_of, tokenizer_for

if TYPE_CHECKING:
    from ulmfit.data.columns import Columns

_ENDING = ".parquet"


@settings_flags(DataFlags, default="")
def main(
    data: str | None = None,  # data set: a name or a path; or a corpus for stage 1
    out: str | None = None,  # file to write, such as reviews.ids.parquet
    multi_label: bool = False,  # a text may have several labels, separated by ;, or none
    # word, or subword: its pieces are trained on the texts (default: word; subword for a
    # language without spaces)
    tokenizer: str | None = None,
    lang: str = "en",  # language of the word tokenizer
    max_vocab: int = 30_000,  # pieces of a subword tokenizer at most
    tokenizer_of: str | None = None,  # take the tokenizer of this model or file of ids instead
    part_mb: float = 60.0,  # larger contents (10^6 bytes) are written as numbered parts
    overwrite: bool = False,  # replace existing files
    engine: str | None = None,  # local or ray (docs/scale.md); default: all cores of this machine
    workers: int | None = None,  # processes of an engine (default: one a core)
    address: str | None = None,  # of a Ray cluster (default: Ray is started on this machine)
    **flags: Any,
) -> list[Path]:
    """Tokenise a data set into a file of ids, which the stages and evaluate read without texts.

    Returns the paths of the file or of its numbered parts.
    """
    if data is None or out is None:
        raise UserError("both --data NAME|PATH and --out FILE are needed; --help explains them")
    path = Path(out)
    old = _check_output(path, part_mb, overwrite)
    tokenizing = None
    if (engine, workers, address) != (None, None, None):
        from ulmfit.bulk.engines import tokenizing_of

        tokenizing = tokenizing_of(engine, workers, address)
    from ulmfit.data.columns import read_columns

    columns = read_columns(DataFlags.of(flags).spec(data, KINDS[multi_label]))
    if hold_ids(columns.texts):
        raise UserError(f"{data} holds ids already; give the texts that they were made of")
    processor = _processor(columns.texts, tokenizer, lang, max_vocab, tokenizer_of)
    contents = tokenized_contents(path, columns, processor, tokenizing)
    files = contents.files(int(part_mb * 1e6))
    paths = [part_path(path, number, len(files)) for number in range(1, len(files) + 1)]
    for part, content in zip(paths, files, strict=True):
        atomic_write(part, content)
        logger.info(f"wrote {part}, {len(content) / 1e6:.1f} MB")
    for stale in set(old) - set(paths):
        stale.unlink()
    logger.info(
        f"{len(contents.empty):,} texts, {len(contents.ids):,} tokens, {len(contents.tokens):,} "
        "distinct; the file contains the words of every text: protect it like the texts"
    )
    return paths


def tokenized_contents(
    path: Path, columns: "Columns", processor: TextProcessor, engine: Engine | None = None
) -> Contents:
    """The content of the file of ids `path`, from a source's texts, labels and splits."""
    tokenized = tokenize_texts(columns.texts, processor, cache_folder(), engine=engine)
    return Contents(
        path,
        tokenized.tokens,
        tokenized.ids,
        tokenized.offsets,
        [digest(text) for text in each(columns.texts)],
        [normalised_digest(text) for text in each(columns.texts)],
        np.array([is_empty(text) for text in each(columns.texts)], bool),
        processor.reading(),
        getattr(processor.tokenizer, "model", b""),
        columns.labels,
        columns.splits,
        " ".join(processor.library()),
    )


def _check_output(path: Path, part_mb: float, overwrite: bool) -> list[Path]:
    """The existing files, which are replaced."""
    if path.suffix != _ENDING:
        raise UserError(f"--out is {path}, expected a name that ends in {_ENDING}")
    if not part_mb > 0:
        raise UserError(f"--part-mb is {part_mb:g}, expected more than 0")
    check_parent(path)
    found = [path] if path.exists() else []
    found += [part for part, _ in parts_of(path)]
    if found and not overwrite:
        raise UserError(f"{found[0]} exists; choose another --out or pass --overwrite")
    return found


def _processor(
    texts: Texts, named: str | None, lang: str, max_vocab: int, tokenizer_of: str | None
) -> TextProcessor:
    if tokenizer_of is not None:
        return _processor_of(Path(tokenizer_of))
    tokenizer = tokenizer_for(texts, named)
    processor = TextProcessor(tokenizer, lang, max_vocab)
    if tokenizer == "subword":
        processor.train_pieces(each(texts), coverage_of(texts))
    return processor


def _processor_of(path: Path) -> TextProcessor:
    """The tokenizer of a model directory or of a file of ids."""
    if files := ids_files(path):
        source = read_ids(files[:1])["text"].iloc[0].source
        processor = TextProcessor(source.reading["tokenizer"], source.reading["lang"])
        return processor.with_pieces(source.pieces) if source.pieces else processor
    from ulmfit.artifacts import bundled
    from ulmfit.artifacts.directory import read_artifact

    return read_artifact(Path(bundled.model_folders(path)[0])).processor()


if __name__ == "__main__":
    run_command(main)
