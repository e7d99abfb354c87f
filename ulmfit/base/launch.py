"""What `torchrun` and `accelerate launch` tell a process in its environment; imports no torch."""

import os

from ulmfit.base.errors import UserError

_NEEDED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def launched() -> bool:
    """Whether this is one of several processes that were launched together."""
    return all(os.environ.get(name) for name in _NEEDED) and _number("WORLD_SIZE", 1) > 1


def rank() -> int:
    """The number of this process, 0 if it is alone."""
    return _number("RANK", 0) if launched() else 0


def world_size() -> int:
    """How many processes were launched together, on all machines."""
    return _number("WORLD_SIZE", 1) if launched() else 1


def local_rank() -> int:
    """The number of this process among those of its machine."""
    return _number("LOCAL_RANK", rank()) if launched() else 0


def local_world_size() -> int:
    """How many processes of this machine were launched together."""
    return _number("LOCAL_WORLD_SIZE", world_size()) if launched() else 1


def check_alone(what: str) -> None:
    """Raise a UserError if `what`, which shares no work, would run in several processes at once."""
    if launched():
        raise UserError(
            f"found {world_size()} processes, expected one: each would do all the work of {what}; "
            "start it without torchrun, or without WORLD_SIZE in its environment"
        )


def _number(name: str, default: int) -> int:
    found = os.environ.get(name, "")
    return int(found) if found.isdecimal() else default  # no launcher writes anything else
