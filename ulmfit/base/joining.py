"""The connection of the processes that `torchrun` or `accelerate launch` has started."""

import math
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

from ulmfit.base import launch
from ulmfit.base.errors import Stopped, UserError
from ulmfit.base.interfaces import interface_to
from ulmfit.base.processes import CURRENT, SECONDS, Group, Lost, current, first_line

TIMEOUT = "ULMFIT_TIMEOUT"  # seconds to wait for another process
INTERFACE = "GLOO_SOCKET_IFNAME"  # at which gloo listens
_GRACE = 5.0  # seconds for torch to find out by itself


@contextmanager
def joined() -> Iterator[Group]:
    """Connect the launched processes for the block; within another one, its group.

    If one process fails, all end: the first one with an error that names it, the others with
    exit status 1 and without a line.

    Raises:
        UserError: the others cannot be reached, one of them failed, or there are too few GPUs.
    """
    if current().count > 1 or not launch.launched():
        yield current()
        return
    group = _connected()
    token, before = CURRENT.set(group), _termination(_raise_lost)
    try:
        yield group
        _termination(before)
    except (UserError, OSError) as error:
        _termination(signal.SIG_IGN)  # torchrun is about to end this process, which tells why first
        lost = isinstance(error, Lost)
        group.leave("" if lost else str(error))
        if not group.first:
            raise SystemExit(1) from None
        if isinstance(error, Lost):
            raise group.error_of(error) from None
        raise
    except (KeyboardInterrupt, Stopped):  # all of them have agreed on it
        _termination(before)
        raise
    except BaseException as error:
        _termination(before)
        group.leave(f"{type(error).__name__} {error}")
        raise
    finally:
        CURRENT.reset(token)
        _disconnect()


def _connected() -> Group:
    import torch
    import torch.distributed as dist

    seconds = _timeout()
    rank, count, local = launch.rank(), launch.world_size(), launch.local_rank()
    gpu = torch.cuda.is_available()
    if gpu and local >= torch.cuda.device_count():
        raise UserError(
            f"found {torch.cuda.device_count()} GPUs for {launch.local_world_size()} processes, "
            "expected one for each; start fewer processes, or hide the GPUs with "
            "CUDA_VISIBLE_DEVICES="
        )
    if gpu:
        torch.cuda.set_device(local)
    wait = timedelta(seconds=seconds)
    _choose_interface()
    at = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"

    def refused(reason: str) -> str:
        return (
            f"rank {rank} of {count} processes cannot reach the others at {at} within "
            f"{seconds:g} s ({reason}); {_advice(reason)}"
        )

    try:
        with _ended_after(seconds, refused("no answer")):
            store, _, _ = next(dist.rendezvous("env://", rank, count, timeout=wait))
            store.set_timeout(wait)
            # A process may join several times, once for each stage: each time with its own keys.
            store = dist.PrefixStore(f"time-{store.add(f'joins-{rank}', 1)}", store)
            dist.init_process_group(
                "cpu:gloo,cuda:nccl" if gpu else "gloo",
                store=dist.PrefixStore("group", store),
                rank=rank,
                world_size=count,
                timeout=wait,
            )
    except (RuntimeError, ValueError) as error:  # torch's errors of networks are RuntimeErrors
        raise UserError(refused(first_line(error))) from None
    return Group(rank, count, dist.PrefixStore("ulmfit", store), seconds)


def _advice(reason: str) -> str:
    if "address already in use" in reason.lower():
        return "choose another --master-port"
    return (
        "check that no firewall is between the machines; if they have several networks, set "
        f"{INTERFACE} to the right one"
    )


@contextmanager
def _ended_after(seconds: float, message: str) -> Iterator[None]:
    """End the process with an error if the block takes longer; torch's own limits add up."""

    def end() -> None:
        sys.stderr.write(f"error: {message}\n")
        sys.stderr.flush()
        os._exit(1)

    timer = threading.Timer(seconds + _GRACE, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _choose_interface() -> None:
    """Have gloo listen where the other machines look for this one, unless a user has set it.

    By itself, gloo listens at the address of the host name, which is often the loopback.
    """
    if not os.environ.get(INTERFACE):
        port = os.environ.get("MASTER_PORT", "")
        name = interface_to(os.environ.get("MASTER_ADDR", ""), int(port) if port.isdigit() else 0)
        if name:
            os.environ[INTERFACE] = name


def _disconnect() -> None:
    import torch.distributed as dist

    with suppress(RuntimeError):
        dist.destroy_process_group()


def _timeout() -> float:
    given = os.environ.get(TIMEOUT, "")
    try:
        seconds = float(given or SECONDS)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise UserError(f"found {TIMEOUT}={given}, expected seconds to wait for another process")
    return seconds


def _termination(handler: Any) -> Any:
    """Set what SIGTERM does, and return what it did; None outside of the main thread.

    `torchrun` ends the other processes with SIGTERM when one has failed.
    """
    with suppress(ValueError):
        return signal.signal(signal.SIGTERM, handler)
    return None


def _raise_lost(signum: int, frame: Any) -> None:
    if not current().lost:  # else the error is on its way already
        current().lost = True
        raise Lost("it was told to end (SIGTERM)")
