"""Batches on the device that computes; a GPU gets the next batch during the current one."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import torch

T = TypeVar("T")


def on_device(
    batches: Iterator[tuple[Any, ...]], device: torch.device
) -> Iterator[tuple[Any, ...]]:
    """Each batch with its parts (tensors, or objects with `to`) on `device`."""
    if device.type != "cuda":
        for batch in batches:
            yield tuple(part.to(device) for part in batch)
        return

    def fetch() -> tuple[Any, ...] | None:
        batch = next(batches, None)
        if batch is None:
            return None
        return tuple(part.pin_memory().to(device, non_blocking=True) for part in batch)

    yield from ahead(fetch)


def ahead(fetch: Callable[[], T | None]) -> Iterator[T]:
    """The results of `fetch` until it returns None; a thread calls it one item ahead."""
    with ThreadPoolExecutor(1) as pool:
        upcoming = pool.submit(fetch)
        while (item := upcoming.result()) is not None:
            upcoming = pool.submit(fetch)
            yield item
