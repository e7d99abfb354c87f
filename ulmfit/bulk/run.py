"""A bulk prediction: plan, what is there already, the engine, the manifest."""

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from ulmfit.artifacts import bundled
from ulmfit.base.errors import UserError, listed
from ulmfit.base.lock import locked
from ulmfit.base.log import logger
from ulmfit.base.version import __version__
from ulmfit.bulk import storage
from ulmfit.bulk.plan import (
    SHARD_ROWS,
    Plan,
    Shard,
    check_same,
    check_shard_rows,
    sources_of,
)
from ulmfit.bulk.predictor import BatchPredictor
from ulmfit.bulk.shards import Done, Task, finished
from ulmfit.bulk.storage import Place
from ulmfit.inference.ensemble import mixture_of, read_classifiers
from ulmfit.inference.student import key_of

MANIFEST = "_manifest.json"  # readers of folders pass over names that begin so
_OURS = re.compile(
    r"part-\d{6,}\.parquet|\.(part-\d{6,}\.parquet|_manifest\.json)\.[0-9a-f]{8}\.tmp"
)
_AT_ONCE = 16  # footers that are read at the same time: an object store answers late

# From the task and the shards that are missing to each of them when it is finished.
Engine = Callable[[Task, Sequence[Shard], Callable[[int], object]], Iterator[Done]]


@dataclass(frozen=True)
class Bulk:
    """What to predict, and where to write it.

    input: a parquet file, a folder or a pattern of such, or their URL. output: a folder or its URL.
    """

    input: str
    output: str
    text_column: str = "text"
    precision: str = "auto"
    shard_rows: int = SHARD_ROWS
    overwrite: bool = False


@dataclass(frozen=True)
class Total:
    """Rows of all shards, the notes on them, and how many shards were there before."""

    rows: int
    empty: int
    unknown: int
    shards: int
    kept: int
    seconds: float
    written: int  # rows of this call


def predict_bulk(bulk: Bulk, clf: bundled.Paths, engine: Engine, threads: int | None = 1) -> Total:
    """Write a folder of parquet files: every row of the input with its prediction.

    The files have the rows in order, at most `shard_rows` each, or a block if that is more. What an
    interrupted call has finished is kept, and the same call writes what is missing.

    Raises:
        UserError: the input or the models cannot be read, the columns of texts is missing, or the
            output folder has something else.
    """
    check_shard_rows(bulk.shard_rows)
    found = storage.parquet_files(bulk.input)
    if found.left_out:
        logger.info(f"not read, as they are no .parquet files: {listed(found.left_out)}")
    out = storage.place_of_url(bulk.output)
    _check_apart(found, out)
    sources = sources_of(found, bulk.text_column, bulk.shard_rows)
    model, labels = _model_of(clf)
    plan = Plan(
        __version__, model, labels, bulk.text_column, bulk.precision, bulk.shard_rows, sources
    )
    predictor = BatchPredictor(
        clf, text_column=bulk.text_column, precision=bulk.precision, threads=threads
    )
    with _lock(out):
        task = Task.of(plan, found.folder, out, predictor)
        return _carried_out(task, plan, engine, bulk.overwrite)


def _carried_out(task: Task, plan: Plan, engine: Engine, overwrite: bool) -> Total:
    shards, out = plan.shards(), task.out
    done = {each.number: each for each in _prepared(plan, out, overwrite)}
    missing = [shard for shard in shards if shard.number not in done]
    kept = len(done)
    if kept:
        logger.info(f"{kept:,} of {len(shards):,} shards are in {out.text}; going on with the rest")
    began = time.monotonic()
    if missing:
        from ulmfit.base.progress import Progress

        shown = Progress(sum(shard.rows for shard in missing), "classifying", "texts")
        try:
            for each in engine(task, missing, shown.advance):
                done[each.number] = each
        except KeyboardInterrupt:
            told = f"{len(done):,} of {len(shards):,} shards are in {out.text}"
            raise KeyboardInterrupt(f"{told}; the same command writes the rest") from None
        finally:
            shown.close()
    several = [done[shard.number] for shard in shards]
    _write_manifest(plan, out, several, True)
    storage.remove(out, [n for n in storage.files_in(out) if _OURS.fullmatch(n) and n[0] == "."])
    return Total(
        sum(each.rows for each in several),
        sum(each.empty for each in several),
        sum(each.unknown for each in several),
        len(shards),
        kept,
        time.monotonic() - began,
        sum(shard.rows for shard in missing),
    )


def _prepared(plan: Plan, out: Place, overwrite: bool) -> Iterable[Done]:
    """The shards that are there; the output folder has the plan's manifest afterwards."""
    names = storage.files_in(out)
    if MANIFEST in names and not overwrite:
        check_same(_manifest(out), plan, out)
        there = {*names}
        look = partial(_look, out, plan.key)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            found = pool.map(look, [shard for shard in plan.shards() if shard.name in there])
        return [each for each in found if each is not None]
    ours = [name for name in names if name == MANIFEST or _OURS.fullmatch(name)]
    foreign = [name for name in names if name not in ours]
    if foreign or (ours and not overwrite):
        raise UserError(
            f"{out.text} is not empty ({listed(foreign or ours)}), and no output of an earlier run "
            "of this command; choose another --output"
        )
    storage.remove(out, [MANIFEST] * (MANIFEST in ours))  # first: the rest is then no output
    storage.remove(out, [name for name in ours if name != MANIFEST])
    storage.make_folder(out)
    _write_manifest(plan, out, [], False)
    return []


def _look(out: Place, run: str, shard: Shard) -> Done | None:
    found = finished(out.beside(shard.name), run, shard)
    if found is None:
        logger.info(f"{out.beside(shard.name).text} is damaged and is written again")
    return found


def _manifest(out: Place) -> dict[str, object]:
    place = out.beside(MANIFEST)
    try:
        found = json.loads(storage.read(place))
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise UserError(f"{place.text}: found no JSON object, expected a manifest; remove it")
    return found


def _write_manifest(plan: Plan, out: Place, done: Sequence[Done], finished: bool) -> None:
    by_number = {each.number: each for each in done}
    parts = [
        {
            "name": shard.name,
            "source": shard.source.name,
            "start": shard.start,
            **{k: v for k, v in asdict(by_number[shard.number]).items() if k != "number"},
        }
        for shard in plan.shards()
        if shard.number in by_number
    ]
    content = {**plan.as_json(), "finished": finished, "rows": plan.rows, "shards": parts}
    storage.write(out.beside(MANIFEST), json.dumps(content, indent=1) + "\n")


def _model_of(clf: bundled.Paths) -> tuple[str, list[str]]:
    """What workers know the models by, and the classes; no model is loaded."""
    artifacts, ensemble = read_classifiers(bundled.model_folders(clf))
    labels = artifacts[0].manifest.labelling
    hashes = [artifact.manifest_sha256 for artifact in artifacts]
    return key_of(hashes, mixture_of(ensemble, labels)), list(labels.classes)


def _check_apart(found: storage.Found, out: Place) -> None:
    """Refuse to write where the next call would read the output as input."""
    base = f"{found.folder.path.rstrip('/')}/"
    inside = f"{out.path.rstrip('/')}/part-000000.parquet"
    if not (found.folder.fs.equals(out.fs) and inside.startswith(base)):
        return
    if storage.is_taken(inside[len(base) :], found.pattern):
        raise UserError(
            f"--output {out.text} is in the folder of the input, {found.folder.text}; choose a "
            "folder beside it"
        )


def _lock(out: Place) -> AbstractContextManager[None]:
    return locked(Path(out.path)) if out.is_local else nullcontext()
