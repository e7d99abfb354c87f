"""The engine of one machine: this process, or several without Ray."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context

from ulmfit.base.errors import UserError
from ulmfit.bulk.plan import Shard
from ulmfit.bulk.shards import Done, Task


def in_this_process(
    task: Task, shards: Sequence[Shard], tell: Callable[[int], object]
) -> Iterator[Done]:
    """One shard after the other."""
    for shard in shards:
        yield task.run(shard, tell)


def in_processes(
    workers: int, task: Task, shards: Sequence[Shard], tell: Callable[[int], object]
) -> Iterator[Done]:
    """Shards in `workers` processes, each with models of its own.

    Raises:
        UserError: a process has died, or as `Task.run`.
    """
    # Not forked: OpenMP's threads do not survive it.
    with ProcessPoolExecutor(min(workers, len(shards)), get_context("spawn")) as pool:
        running = [pool.submit(task.run, shard) for shard in shards]
        try:
            for finished in as_completed(running):
                done = finished.result()
                tell(done.rows)
                yield done
        except BrokenProcessPool:
            raise UserError(
                "a worker process has died, perhaps for want of memory; the same command goes on "
                "with the shards that are missing, fewer --workers need less memory"
            ) from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
