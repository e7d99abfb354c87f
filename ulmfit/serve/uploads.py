"""Takes a file of texts and returns the same rows with predictions as csv."""

import asyncio
import re
import shutil
import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

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
from ulmfit.serve.tables import open_limited

_PART = 64  # texts at a time: other requests run in between
NO_FILE = "no file chosen; choose a csv, tsv, jsonl, parquet or xlsx file of texts"


class GivenUp(Exception):
    """The client has disconnected; this ends the thread that scores its file."""


class _Sharing:
    """Like a `Classifier`, for a thread that shares it with other requests."""

    def __init__(self, batcher: Batcher, loop: asyncio.AbstractEventLoop) -> None:
        self.labels = batcher.classifier.labels
        self.labelling = batcher.classifier.labelling
        self.given_up = threading.Event()
        self._batcher, self._loop = batcher, loop

    def answers(
        self, texts: Sequence[str], tell: Callable[[float], object] | None = None
    ) -> Answers:
        parts = [self._part(texts[i : i + _PART]) for i in range(0, len(texts) or 1, _PART)]
        by_model = np.concatenate([part.by_model for part in parts], axis=1)
        return Answers(by_model, [note for part in parts for note in part.notes], parts[0].mixture)

    def _part(self, texts: Sequence[str]) -> Answers:
        self.go_on()
        waited = asyncio.run_coroutine_threadsafe(self._batcher.answers(texts), self._loop)
        return waited.result()

    def go_on(self) -> None:
        """End the thread's work if its client has disconnected."""
        if self.given_up.is_set():
            raise GivenUp


class Uploads:
    """Scores a few files at a time, each in its own thread."""

    def __init__(self, batcher: Batcher, limits: Limits) -> None:
        self._batcher, self._limits = batcher, limits
        self._threads = ThreadPoolExecutor(limits.files, "upload")
        self._room = threading.Semaphore(limits.files)  # a dropped file's is free when it ends

    async def scored(self, upload: UploadFile, text_col: str) -> FileResponse:
        """A csv of every row of `upload` with its prediction; it is deleted after sending.

        Raises:
            UserError: no file was chosen, or the file cannot be read, is too large, or lacks the
                column.
            HTTPException: 503, too many files are being scored already.
        """
        name = _shown(upload.filename or "")
        if not name:
            raise UserError(NO_FILE)
        folder = Path(tempfile.mkdtemp(prefix="ulmfit-"))
        if not self._room.acquire(blocking=False):
            folder.rmdir()
            raise busy(f"{self._limits.files} files are being scored already")
        sharing = _Sharing(self._batcher, asyncio.get_running_loop())
        scoring = self._threads.submit(self._score, upload, folder, name, text_col, sharing)
        scoring.add_done_callback(lambda _: self._room.release())
        try:
            await asyncio.wrap_future(scoring)
        except BaseException:  # the thread may still be writing there
            sharing.given_up.set()
            scoring.add_done_callback(lambda _: shutil.rmtree(folder, ignore_errors=True))
            raise
        return _SentOnce(
            folder / "scored.csv", f"{_plain(Path(unpacked_name(Path(name))).stem)}-scored.csv"
        )

    def _score(
        self, upload: UploadFile, folder: Path, name: str, text_col: str, sharing: _Sharing
    ) -> None:
        """Write scored.csv; errors show the user's `name` of the file."""
        source = folder / f"input{read_ending(Path(name))}"
        with source.open("wb") as file:
            shutil.copyfileobj(upload.file, file)
        try:
            with quiet():  # the lines would show in the server's log what is in a user's file
                table = open_limited(source, text_col, self._limits, sharing.go_on)
            said = "; ".join(table.notes).replace(str(source), name)
            score_file(sharing, table, text_col, folder / "scored.csv", source, said)
        except UserError as error:
            line = str(error)
            for path in (source, source.with_suffix(".csv")):  # what is unpacked becomes a csv
                line = line.replace(str(path), name)
            raise UserError(line) from None


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


def _shown(given: str) -> str:
    """The file's name for errors: short, without folders and control characters."""
    return re.sub(r"[\x00-\x1f\x7f]", "\ufffd", re.split(r"[/\\]", given)[-1])[-100:]


def _plain(stem: str) -> str:
    """`stem` as every system can store it."""
    return re.sub(r"[^\w.-]+", "_", stem).strip("._")[:80] or "texts"
