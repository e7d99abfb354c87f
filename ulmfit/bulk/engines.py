"""The engines by name."""

from functools import partial

from ulmfit.base.cores import cores
from ulmfit.base.errors import UserError
from ulmfit.bulk.local import in_processes, in_this_process
from ulmfit.bulk.run import Engine
from ulmfit.text.corpus import Engine as TokenizingEngine
from ulmfit.text.workers import tokenize_chunks

ENGINES = ("local", "ray")


def engine_of(
    name: str | None, workers: int | None, address: str | None
) -> tuple[Engine, int | None]:
    """An engine, and the threads of each of its processes (None: as torch chooses).

    Raises:
        UserError: there is no such engine, a number or an address is out of place, or Ray is not
            installed.
    """
    _check(name, workers, address)
    if name == "ray":
        from ulmfit.bulk.on_ray import on_ray

        return partial(on_ray, workers, address), 1
    if workers is None or workers == 1:
        return in_this_process, None
    return partial(in_processes, workers), max(1, cores() // workers)


def tokenizing_of(name: str | None, workers: int | None, address: str | None) -> TokenizingEngine:
    """What `text.corpus.tokenize_texts` takes to tokenise on an engine; raises as `engine_of`."""
    _check(name, workers, address)
    if name == "ray":
        from ulmfit.bulk.tokens import tokenize_on_ray

        return partial(tokenize_on_ray, workers, address)
    if name is None and workers is not None:
        raise UserError("found --workers without --engine local or --engine ray; add one")
    return partial(tokenize_chunks, workers=workers)


def _check(name: str | None, workers: int | None, address: str | None) -> None:
    if name not in (None, *ENGINES):
        raise UserError(f"--engine is {name}, expected {' or '.join(ENGINES)}")
    if workers is not None and workers < 1:
        raise UserError(f"--workers is {workers}, expected 1 or more")
    if name == "ray":
        from ulmfit.bulk.on_ray import check_address, check_ray

        check_ray()
        check_address(address)
    elif address is not None:
        raise UserError(f"found --address {address} without --engine ray; add it")
