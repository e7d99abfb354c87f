"""Batches on the device that computes; on a GPU, copied while the one before is worked on."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import torch

T = TypeVar("T")


def on_device(
    batches: Iterator[tuple[Any, ...]], device: torch.device
) -> Iterator[tuple[Any, ...]]:
    """Each batch with its parts (tensors, or what moves like one) on `device`."""
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
    """What `fetch` returns until it returns None, called in a thread one item ahead."""
    with ThreadPoolExecutor(1) as pool:
        upcoming = pool.submit(fetch)
        while (item := upcoming.result()) is not None:
            upcoming = pool.submit(fetch)
            yield item
