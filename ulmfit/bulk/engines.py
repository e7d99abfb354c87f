"""The engines by name."""

from functools import partial

from ulmfit.base.cores import cores
from ulmfit.base.errors import UserError
from ulmfit.bulk.local import in_processes, in_this_process
from ulmfit.bulk.run import Engine

ENGINES = ("local", "ray")


def engine_of(
    name: str | None, workers: int | None, address: str | None
) -> tuple[Engine, int | None]:
    """An engine, and the threads of each of its processes (None: as torch chooses).

    Raises:
        UserError: there is no such engine, a number or an address is out of place, or Ray is not
            installed.
    """
    if name not in (None, *ENGINES):
        raise UserError(f"--engine is {name}, expected {' or '.join(ENGINES)}")
    if workers is not None and workers < 1:
        raise UserError(f"--workers is {workers}, expected 1 or more")
    if name == "ray":
        from ulmfit.bulk.on_ray import check_address, check_ray, on_ray

        check_ray()
        check_address(address)
        return partial(on_ray, workers, address), 1
    if address is not None:
        raise UserError(f"found --address {address} without --engine ray; add it")
    if workers is None or workers == 1:
        return in_this_process, None
    return partial(in_processes, workers), max(1, cores() // workers)
