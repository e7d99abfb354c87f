"""Texts of concurrent requests: one thread classifies them together.

Requests of disconnected clients are dropped: their work is cancelled.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
from starlette.requests import ClientDisconnect, Request

from ulmfit.inference.ensemble import Classifier
from ulmfit.inference.scoring import Answers
from ulmfit.inference.student import FastClassifier, exact_of
from ulmfit.serve.limits import Limits, busy

T = TypeVar("T")


def worker() -> ThreadPoolExecutor:
    """The one thread in which a server's models are loaded and compute.

    A load in another thread would leave OpenMP threads behind, one a core. With more threads than
    cores, OpenMP puts each to sleep whenever it waits. An LSTM waits at every time step and would
    take twice as long.
    """
    return ThreadPoolExecutor(1, "classifier")


@dataclass(frozen=True, eq=False)
class _Job:
    """A text, and a future for its probabilities, float32, shape (models, classes), and note."""

    text: str
    found: "asyncio.Future[tuple[np.ndarray, str]]"


class Batcher:
    """Classifies waiting texts in batches; later texts form the next batch.

    So a single text does not wait, and batches grow under load. All uses of the models run in one
    thread, because a model holds the state of one batch at a time. A student answers in a thread of
    its own: the texts that it is sure of do not wait for a batch.

    Args:
        thread: computes with the models, and should have loaded them (see `worker`).
        most_texts, most_characters: of one batch; a single text may be longer.
    """

    def __init__(
        self,
        classifier: Classifier | FastClassifier,
        thread: ThreadPoolExecutor | None = None,
        most_texts: int = 64,
        most_characters: int = 200_000,
    ) -> None:
        self.classifier = classifier
        self._teacher = exact_of(classifier)
        self._student = ThreadPoolExecutor(1, "student")
        self._most = (most_texts, most_characters)
        self._waiting: deque[_Job] = deque()
        self._characters = 0  # of the waiting texts
        self._stopped = False
        self._arrived = asyncio.Event()
        self._thread = thread or worker()
        self._work: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """Texts that no batch has taken yet."""
        return len(self._waiting)

    def check_room(self, texts: Sequence[str], limits: Limits) -> None:
        """Refuse `texts` with status 503 if too many wait already."""
        characters = self._characters + sum(map(len, texts))
        if self.waiting + len(texts) > limits.waiting or characters > limits.body_bytes:
            raise busy(f"{self.waiting:,} texts are waiting already")

    def start(self) -> None:
        """Start to classify; call this in the event loop of the server."""
        self._work = asyncio.create_task(self._batches())

    async def stop(self) -> None:
        """End after the current batch; waiting texts are dropped."""
        self._stopped = True
        if self._work is not None:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)
        for job in self._waiting:
            job.found.cancel()
        for thread in (self._student, self._thread):
            await asyncio.to_thread(thread.shutdown)

    async def answers(self, texts: Sequence[str]) -> Answers:
        """Probabilities and notes, in the order given.

        Raises:
            asyncio.CancelledError: the batcher was stopped.
        """
        if self._stopped:
            raise asyncio.CancelledError
        if not isinstance(self.classifier, FastClassifier):
            return await self._together(texts)
        loop = asyncio.get_running_loop()
        first = await loop.run_in_executor(self._student, self.classifier.first, texts)
        asked = await self._together([texts[i] for i in first.rest])
        return self.classifier.complete(first, asked)

    async def _together(self, texts: Sequence[str]) -> Answers:
        """The models' answers, computed with those to other requests."""
        if self._stopped:  # it may have been meanwhile
            raise asyncio.CancelledError
        if not texts:
            return self._teacher.answers([])
        loop = asyncio.get_running_loop()
        jobs = [_Job(text, loop.create_future()) for text in texts]
        self._waiting.extend(jobs)
        self._characters += sum(map(len, texts))
        self._arrived.set()
        found, notes = zip(*await asyncio.gather(*[job.found for job in jobs]), strict=True)
        return Answers(np.stack(found, axis=1), list(notes), self._teacher.mixture)

    async def alone(self, compute: Callable[[], T]) -> T:
        """The result of `compute`, which runs between two batches."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, compute)

    async def _batches(self) -> None:
        while True:
            await self._arrived.wait()
            jobs = self._next()
            if not jobs:
                self._arrived.clear()
                continue
            await self._compute(jobs)

    async def _compute(self, jobs: Sequence[_Job]) -> None:
        try:
            found = await self.alone(partial(self._of, [job.text for job in jobs]))
        except Exception as error:  # the waiting requests get the error
            for job in jobs:
                if not job.found.done():
                    job.found.set_exception(error)
            return
        for i, job in enumerate(jobs):
            if not job.found.done():  # its request may be dropped already
                job.found.set_result((found.by_model[:, i], found.notes[i]))

    def _next(self) -> list[_Job]:
        """The jobs of the next batch, without those of dropped requests."""
        jobs: list[_Job] = []
        texts, characters = self._most
        while self._waiting and len(jobs) < texts:
            characters -= len(self._waiting[0].text)
            if jobs and characters < 0:
                break
            job = self._waiting.popleft()
            self._characters -= len(job.text)
            if not job.found.done():
                jobs.append(job)
        return jobs

    def _of(self, texts: list[str]) -> Answers:
        return self._teacher.answers(texts, lambda count: None)


async def while_there(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is cancelled if the client disconnects first.

    Read the body of `request` before this.

    Raises:
        ClientDisconnect: the client has disconnected.
    """
    working, watching = asyncio.create_task(work), asyncio.create_task(_gone(request))
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientDisconnect
    finally:
        for task in (working, watching):
            task.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
