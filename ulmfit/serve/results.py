"""Files that are scored in the background, and their results, which are kept for some minutes."""

import asyncio
import secrets
import shutil
import threading
from collections.abc import Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from pathlib import Path

from starlette.datastructures import UploadFile

from ulmfit.base.errors import UserError
from ulmfit.base.log import logger
from ulmfit.inference.scoring import Answers
from ulmfit.serve.gathered import Gathered, check_label_column, labels_of
from ulmfit.serve.tables import LimitedTable
from ulmfit.serve.uploads import (
    SCORED,
    GivenUp,
    Sharing,
    Uploads,
    own_name,
    score,
    shown_name,
    stored,
)

REPORT = "report.html"
_KEY_BYTES = 16  # nobody guesses 128 bits


@dataclass(frozen=True)
class Form:
    """What a client sent with a file."""

    text_col: str
    label_col: str  # "" for none
    theme: str


@dataclass
class Job:
    """A file that is being scored or was; a thread counts, and pages read."""

    key: str
    name: str
    sharing: Sharing
    folder: Path = field(init=False)
    work: "Future[bool]" = field(init=False)  # its result: whether there is a report
    table: LimitedTable | None = None
    scored: int = 0  # rows
    watchers: int = 0  # pages that show the progress

    @property
    def rows(self) -> int:
        """Of the file; 0 until they are counted."""
        return self.table.rows if self.table else 0

    @property
    def problem(self) -> str:
        """Why there is no result; '' if there is one, or none yet."""
        if not self.work.done():
            return ""
        if self.work.cancelled():
            return "the server is shutting down"
        error = self.work.exception()
        if isinstance(error, GivenUp):
            return "the work was ended, because no page showed its progress; send the file again"
        if error is None or isinstance(error, UserError):
            return str(error or "")
        return "the server failed on this file; its log says why"


class Results:
    """The jobs of a server by their keys, limited by count, size and time."""

    def __init__(self, uploads: Uploads) -> None:
        self._uploads, self._limits = uploads, uploads.limits
        self._jobs: dict[str, Job] = {}  # the oldest first
        self._drawing = threading.Lock()  # matplotlib's settings are the process's

    def get(self, key: str) -> Job | None:
        """The job, if it is still kept."""
        return self._jobs.get(key)

    async def start(self, upload: UploadFile, form: Form) -> Job:
        """Begin to score `upload`.

        It ends if no page shows its progress for some time.

        Raises:
            UserError: no file was chosen.
            HTTPException: 503, too many files are being scored already.
        """
        loop, gathered = asyncio.get_running_loop(), Gathered(self._limits)
        copied = loop.create_future()

        def count(texts: Sequence[str], answers: Answers) -> None:
            gathered.add(texts, answers)
            job.scored += len(texts)

        name = shown_name(upload)
        sharing = Sharing(self._uploads.batcher, loop, count)
        job = Job(secrets.token_urlsafe(_KEY_BYTES), name, sharing)

        def work(folder: Path) -> bool:
            source = folder
            try:
                source = stored(upload, folder, name)
            finally:
                loop.call_soon_threadsafe(copied.set_result, None)
            with own_name(source, name):
                return self._score(job, source, form, gathered)

        job.folder, job.work = self._uploads.submit(work)
        self._jobs[job.key] = job
        job.work.add_done_callback(lambda _: loop.call_soon_threadsafe(self._finished, job))
        await copied  # the upload is closed after this
        self.watch(job)
        return job

    def _score(self, job: Job, source: Path, form: Form, gathered: Gathered) -> bool:
        def check(table: LimitedTable) -> None:
            check_label_column(table.columns, form.label_col, job.name)
            job.table = table

        table = score(source, job.name, form.text_col, job.sharing, self._limits, check)
        labels = labels_of(table, form.label_col, job.name)
        with self._drawing:
            classifier = self._uploads.batcher.classifier
            made = gathered.report(classifier, job.name, labels, form.theme)
        for path in (source, source.with_suffix(".csv")):
            path.unlink(missing_ok=True)
        if made:
            source.with_name(REPORT).write_text(made, encoding="utf-8")
        return bool(made)

    def watch(self, job: Job) -> None:
        """Give the job up after some time without a page that shows it."""

        def check() -> None:
            if not job.watchers:
                job.sharing.given_up.set()

        if not job.work.done():
            asyncio.get_running_loop().call_later(self._limits.seconds, check)

    def _finished(self, job: Job) -> None:
        error = None if job.work.cancelled() else job.work.exception()
        if error is not None and not isinstance(error, UserError | GivenUp | CancelledError):
            logger.error("a file could not be scored", exc_info=error)
        if job.key not in self._jobs:
            shutil.rmtree(job.folder, ignore_errors=True)
            return
        if job.problem:
            shutil.rmtree(job.folder, ignore_errors=True)
        asyncio.get_running_loop().call_later(self._limits.kept_seconds, self.drop, job)
        ended = [other for other in self._jobs.values() if other.work.done()]
        while ended[1:] and (
            len(ended) > self._limits.kept or sum(map(_bytes, ended)) > self._limits.kept_bytes
        ):
            self.drop(ended.pop(0))

    def drop(self, job: Job) -> None:
        """Delete the job's result, or end its work."""
        self._jobs.pop(job.key, None)
        job.sharing.given_up.set()
        if job.work.done():
            shutil.rmtree(job.folder, ignore_errors=True)

    async def stop(self) -> None:
        """End all work and delete all results."""
        jobs = list(self._jobs.values())
        for job in jobs:
            self.drop(job)
        await asyncio.to_thread(self._uploads.stop)
        for job in jobs:
            shutil.rmtree(job.folder, ignore_errors=True)


def _bytes(job: Job) -> int:
    files = (job.folder / SCORED, job.folder / REPORT)
    return sum(file.stat().st_size for file in files if file.exists())
