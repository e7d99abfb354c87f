"""Takes a file of texts and returns the same rows with predictions as csv."""

import asyncio
import contextlib
import re
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
from starlette.datastructures import UploadFile
from starlette.responses import FileResponse
from starlette.types import Receive, Scope, Send

from ulmfit.base.errors import UserError
from ulmfit.base.log import quiet
from ulmfit.data.formats import read_ending
from ulmfit.data.formats_packed import unpacked_name
from ulmfit.inference.scoring import Answers, score_file
from ulmfit.serve.batching import Batcher
from ulmfit.serve.limits import Limits, busy
from ulmfit.serve.tables import LimitedTable, open_limited

T = TypeVar("T")
_PART = 64  # texts at a time: other requests run in between
SCORED = "scored.csv"
NO_FILE = "no file chosen; choose a csv, tsv, jsonl, parquet or xlsx file of texts"


class GivenUp(Exception):
    """The client has disconnected; this ends the thread that scores its file."""


class Sharing:
    """Like a `Classifier`, for a thread that shares it with other requests."""

    def __init__(
        self,
        batcher: Batcher,
        loop: asyncio.AbstractEventLoop,
        tell: Callable[[Sequence[str], Answers], object] | None = None,
    ) -> None:
        self.labels = batcher.classifier.labels
        self.labelling = batcher.classifier.labelling
        self.given_up = threading.Event()
        self._batcher, self._loop, self._tell = batcher, loop, tell

    def answers(
        self, texts: Sequence[str], tell: Callable[[float], object] | None = None
    ) -> Answers:
        """As `Classifier.answers`, a part at a time."""
        parts = [self._part(texts[i : i + _PART]) for i in range(0, len(texts) or 1, _PART)]
        by_model = np.concatenate([part.by_model for part in parts], axis=1)
        return Answers(by_model, [note for part in parts for note in part.notes], parts[0].mixture)

    def _part(self, texts: Sequence[str]) -> Answers:
        self.go_on()
        waited = asyncio.run_coroutine_threadsafe(self._batcher.answers(texts), self._loop)
        found = waited.result()
        if self._tell is not None:
            self._tell(texts, found)
        return found

    def go_on(self) -> None:
        """End the thread's work if its client has disconnected."""
        if self.given_up.is_set():
            raise GivenUp


class Uploads:
    """Scores a few files at a time, each in its own thread."""

    def __init__(self, batcher: Batcher, limits: Limits) -> None:
        self.batcher, self.limits = batcher, limits
        self._threads = ThreadPoolExecutor(limits.files, "upload")
        self._room = threading.Semaphore(limits.files)  # a dropped file's is free when it ends

    def submit(self, work: Callable[[Path], T]) -> tuple[Path, "Future[T]"]:
        """Start `work` on a new temporary folder in a thread; the caller removes the folder.

        Raises:
            HTTPException: 503, too many files are being scored already.
        """
        if not self._room.acquire(blocking=False):
            raise busy(f"{self.limits.files} files are being scored already")
        folder = Path(tempfile.mkdtemp(prefix="ulmfit-"))
        started = self._threads.submit(work, folder)
        started.add_done_callback(lambda _: self._room.release())
        return folder, started

    def stop(self) -> None:
        """Wait until all threads have ended."""
        self._threads.shutdown(cancel_futures=True)

    async def scored(self, upload: UploadFile, text_col: str) -> FileResponse:
        """A csv of every row of `upload` with its prediction; it is deleted after sending.

        Raises:
            UserError: no file was chosen, or the file cannot be read, is too large, or lacks the
                column.
            HTTPException: 503, too many files are being scored already.
        """
        name = shown_name(upload)
        sharing = Sharing(self.batcher, asyncio.get_running_loop())

        def work(folder: Path) -> None:
            source = stored(upload, folder, name)
            with own_name(source, name):
                score(source, name, text_col, sharing, self.limits)

        folder, scoring = self.submit(work)
        try:
            await asyncio.wrap_future(scoring)
        except BaseException:  # the thread may still be writing there
            sharing.given_up.set()
            scoring.add_done_callback(lambda _: shutil.rmtree(folder, ignore_errors=True))
            raise
        return _SentOnce(folder / SCORED, scored_name(name))


def stored(upload: UploadFile, folder: Path, name: str) -> Path:
    """The path of a copy of `upload` in `folder`."""
    source = folder / f"input{read_ending(Path(name))}"
    with source.open("wb") as file:
        shutil.copyfileobj(upload.file, file)
    return source


@contextlib.contextmanager
def own_name(source: Path, name: str) -> Iterator[None]:
    """Errors show the user's `name` of the file instead of its path."""
    try:
        yield
    except UserError as error:
        line = str(error)
        for path in (source, source.with_suffix(".csv")):  # what is unpacked becomes a csv
            line = line.replace(str(path), name)
        raise UserError(line) from None


def score(
    source: Path,
    name: str,
    text_col: str,
    sharing: Sharing,
    limits: Limits,
    tell: Callable[[LimitedTable], object] | None = None,
) -> LimitedTable:
    """Write scored.csv beside `source`; `tell` gets the table before its rows are scored."""
    with quiet():  # the lines would show in the server's log what is in a user's file
        table = open_limited(source, text_col, limits, sharing.go_on)
    if tell is not None:
        tell(table)
    said = "; ".join(table.notes).replace(str(source), name)
    score_file(sharing, table, text_col, source.with_name(SCORED), source, said)
    return table


class _SentOnce(FileResponse):
    """A csv file that is deleted, with its folder, after sending or after a failure."""

    def __init__(self, path: Path, name: str) -> None:
        super().__init__(path, media_type="text/csv; charset=utf-8", filename=name)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            shutil.rmtree(Path(self.path).parent, ignore_errors=True)


def shown_name(upload: UploadFile) -> str:
    """The file's name for pages: short, without folders and control characters.

    Raises:
        UserError: no file was chosen.
    """
    given = re.split(r"[/\\]", upload.filename or "")[-1]
    if name := re.sub(r"[\x00-\x1f\x7f]", "\ufffd", given)[-100:]:
        return name
    raise UserError(NO_FILE)


def scored_name(name: str) -> str:
    """The name under which the scored file is saved."""
    return f"{_plain(Path(unpacked_name(Path(name))).stem)}-scored.csv"


def _plain(stem: str) -> str:
    """`stem` as every system can store it."""
    return re.sub(r"[^\w.-]+", "_", stem).strip("._")[:80] or "texts"
