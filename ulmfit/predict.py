"""Classify a text, or every row of a file."""

import time
from pathlib import Path
from typing import Annotated, Any

from ulmfit.artifacts import bundled
from ulmfit.base.atomic import check_parent
from ulmfit.base.cli import run_command, settings_flags
from ulmfit.base.errors import UserError, listed
from ulmfit.base.log import logger, show_result
from ulmfit.data.dialect import Dialect
from ulmfit.data.formats import ENDINGS, open_table
from ulmfit.data.formats_base import Table, place_of
from ulmfit.inference.ensemble import DEFAULT, Classifier
from ulmfit.inference.loaded_int8 import chosen_precision
from ulmfit.inference.scoring import Scored, score_file
from ulmfit.inference.student import FastClassifier, check_fast, load_answering


@settings_flags(Dialect, default="")
def main(
    clf: Annotated[str, {"nargs": "+"}] = DEFAULT,  # classifiers' directories, or a bundled name
    text: str | None = None,  # a text to classify
    # a csv, tsv, jsonl, parquet or xlsx file of texts; or parquet files: a folder, a pattern, a URL
    input: str | None = None,
    # file to write: every column of --input and the predictions; a folder for parquet files
    output: str | None = None,
    text_col: str = "text",  # column of the texts in --input
    precision: str = "auto",  # float32: equal in any batch; bfloat16: faster; auto: by hardware
    int8: bool = False,  # 8-bit weights: faster, a few labels differ; needs the extra export
    fast: bool = False,  # a student answers what it is sure of, see ulmfit.distill
    student: str | None = None,  # with --fast: its directory (default: student, beside --clf)
    overwrite: bool = False,  # replace --output if it exists
    engine: str | None = None,  # local or ray: write a folder, shard by shard (docs/scale.md)
    workers: int | None = None,  # processes of an engine (default: local 1, ray one a core)
    address: str | None = None,  # of a Ray cluster (default: Ray is started on this machine)
    shard_rows: int | None = None,  # rows of a shard at most (default: 32,768)
    **flags: Any,
) -> dict[str, float] | Path:
    """Classify a text, or every row of a file.

    Returns the probability of each class, or the path that was written.
    """
    if (text is None) == (input is None):
        raise UserError("give either --text TEXT or --input FILE with --output FILE")
    dialect = Dialect.of(flags)
    precision = chosen_precision(precision, int8)
    check_fast(fast, student)
    engines = {"engine": engine, "workers": workers, "address": address, "shard_rows": shard_rows}
    source = None if input is None else str(input)
    if _is_bulk(source, engines):
        bulk = {"input": source, "output": output, "text_column": text_col, "precision": precision}
        return _in_bulk(clf, {**bulk, "overwrite": overwrite}, engines, dialect, fast)
    if text is not None:
        dialect.check_only((), "--text", "a text")
        return _classify_text(load_answering(clf, precision, fast, student), text)
    path = _output_path(output, overwrite)
    table = _input_table(Path(str(input)), text_col, dialect)
    classifier = load_answering(clf, precision, fast, student)
    began = time.monotonic()
    scored = score_file(classifier, table, text_col, path, Path(str(input)))
    speed = scored.rows / (time.monotonic() - began)
    logger.info(f"wrote {scored.rows:,} rows to {output}, {speed:,.0f} a second")
    if isinstance(classifier, FastClassifier):
        logger.info(classifier.said())
    _tell_notes(scored)
    return path


def _is_bulk(source: str | None, engines: dict[str, Any]) -> bool:
    """Whether to write shards."""
    from ulmfit.bulk.storage import is_several

    given = [f"--{name.replace('_', '-')}" for name, value in engines.items() if value is not None]
    if given and source is None:
        raise UserError(f"found {listed(given)} with --text; they belong to --input")
    if source is not None and is_several(source):
        return True
    if given and "--engine" not in given:
        raise UserError(f"found {listed(given)} without --engine local or --engine ray; add one")
    return bool(given)


def _in_bulk(
    clf: bundled.Paths, bulk: dict[str, Any], engines: dict[str, Any], dialect: Dialect, fast: bool
) -> Path:
    from ulmfit.bulk.engines import engine_of
    from ulmfit.bulk.run import Bulk, predict_bulk

    dialect.check_only((), "--engine", "parquet files")
    if fast:
        raise UserError("found --fast with a folder, a pattern, a URL or --engine; leave one out")
    if bulk["output"] is None:
        raise UserError("--output is missing, expected the folder to write")
    engine, threads = engine_of(engines["engine"], engines["workers"], engines["address"])
    if engines["shard_rows"] is not None:
        bulk["shard_rows"] = engines["shard_rows"]
    if clf == DEFAULT:
        logger.info(f"with the bundled {DEFAULT}; --clf DIR [DIR ...] names other classifiers")
    total = predict_bulk(Bulk(**bulk), clf, engine, threads)
    speed = f", {total.written / total.seconds:,.0f} a second" if total.written else ""
    logger.info(
        f"wrote {total.written:,} of {total.rows:,} rows to {bulk['output']}, "
        f"{total.shards:,} shards{speed}"
    )
    _tell_notes(Scored(total.rows, total.empty, total.unknown))
    return Path(bulk["output"])


def _tell_notes(scored: Scored) -> None:
    found = []
    if scored.unknown:
        found.append(
            f"{scored.unknown:,} with fewer than a fifth of the tokens known to the model, whose "
            "answers to them mean little"
        )
    if scored.empty:
        found.append(f"{scored.empty:,} with nothing to read")
    if found:
        noted = scored.unknown + scored.empty
        show_result(f"notes on {noted:,} of {scored.rows:,} rows: {'; '.join(found)}")


def _classify_text(classifier: Classifier | FastClassifier, text: str) -> dict[str, float]:
    from ulmfit.inference.predicted import Prediction, predictions_of

    answers, labels = classifier.answers([text]), classifier.labelling
    (answer,) = predictions_of(labels, answers)
    found = Prediction(answer)
    for label, probability in found.items():
        show_result(f"{label:>12} {probability:.3f}")
    decided = labels.decode(labels.decide(answers.mean))[0] or "(none)"
    show_result(f"{'labels' if labels.multi else 'label':>12} {decided}")
    if isinstance(classifier, FastClassifier):
        logger.info(classifier.said())
    if "note" in answer:
        show_result(f"{'note':>12} {answer['note']}")
    return found


def _input_table(path: Path, text_col: str, dialect: Dialect) -> Table:
    table = open_table(path, dialect)
    if text_col not in table.columns:
        raise UserError(
            f"{path} has no column {text_col!r}; it has {listed(table.columns) or 'none'}: "
            "name the one with the texts with --text-col"
        )
    place_of(text_col, table.columns, path)
    return table


def _output_path(output: str | None, overwrite: bool) -> Path:
    path = Path(output or "")
    if output is None or path.suffix.lower() not in ENDINGS:
        raise UserError(f"--output is {output}, expected a file that ends in {', '.join(ENDINGS)}")
    if path.exists() and not overwrite:
        raise UserError(f"{path} is there already; choose another --output or pass --overwrite")
    check_parent(path)
    return path


if __name__ == "__main__":
    run_command(main)
