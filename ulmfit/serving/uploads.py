"""A file of texts comes in, the same rows with their predictions go out as csv."""

import asyncio
import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from starlette.background import BackgroundTask
from starlette.datastructures import UploadFile
from starlette.responses import FileResponse

from ulmfit.errors import UserError
from ulmfit.rows import listed
from ulmfit.scoring import plain_text, score_file
from ulmfit.serving.batching import Batcher
from ulmfit.serving.limits import Limits
from ulmfit.tables import open_table

_PART = 64  # texts at a time: those of others come between


class _Sharing:
    """Like a `Classifier`, for a thread that has to share it with the other requests."""

    def __init__(self, batcher: Batcher, limits: Limits, loop: asyncio.AbstractEventLoop) -> None:
        self.labels = batcher.classifier.labels
        self.multi_label = batcher.classifier.multi_label
        self._batcher, self._limits, self._loop = batcher, limits, loop

    def probabilities(
        self, texts: Sequence[str | None], tell: Callable[[float], object] | None = None
    ) -> np.ndarray:
        plain = [plain_text(text) for text in texts]
        for i, text in enumerate(plain):
            self._limits.check_text(text, f"the text of row {i + 1}")
        parts = [self._part(plain[i : i + _PART]) for i in range(0, len(plain), _PART)]
        return np.concatenate(parts) if parts else np.zeros((0, len(self.labels)), np.float32)

    def _part(self, texts: list[str]) -> np.ndarray:
        waited = asyncio.run_coroutine_threadsafe(self._batcher.probabilities(texts), self._loop)
        return waited.result().mean(0)


async def scored(
    upload: UploadFile, text_col: str, batcher: Batcher, limits: Limits
) -> FileResponse:
    """A csv of every row of `upload` and its prediction; it is deleted once it was sent.

    Raises:
        UserError: no file was chosen, it cannot be read, or has no such column.
    """
    name = Path((upload.filename or "").replace("\\", "/")).name
    if not name:
        raise UserError("no file chosen; choose a csv, tsv, jsonl or parquet file of texts")
    folder = Path(tempfile.mkdtemp(prefix="ulmfit-"))
    try:
        source = folder / f"input{Path(name).suffix.lower()}"
        sharing = _Sharing(batcher, limits, asyncio.get_running_loop())
        await asyncio.to_thread(_score, upload, source, name, text_col, sharing)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return FileResponse(
        folder / "scored.csv",
        media_type="text/csv; charset=utf-8",
        filename=f"{_plain(Path(name).stem)}-scored.csv",
        background=BackgroundTask(shutil.rmtree, folder, ignore_errors=True),
    )


def _score(upload: UploadFile, source: Path, name: str, text_col: str, sharing: _Sharing) -> None:
    """Writes scored.csv beside `source`; errors call the file by its user's `name` for it."""
    with source.open("wb") as file:
        shutil.copyfileobj(upload.file, file)
    try:
        table = open_table(source)
        if text_col not in table.columns:
            raise UserError(
                f"{name} has no column {text_col!r}; it has {listed(table.columns) or 'none'}"
            )
        score_file(sharing, table, text_col, source.with_name("scored.csv"))
    except UserError as error:
        raise UserError(str(error).replace(str(source), name)) from None


def _plain(stem: str) -> str:
    """`stem` as every system can store it."""
    return re.sub(r"[^\w.-]+", "_", stem).strip("._")[:80] or "texts"
