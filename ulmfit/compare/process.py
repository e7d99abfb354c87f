"""A job's process: started, interrupted, and ended together with the one that started it."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

_PATIENCE = 60.0  # seconds in which an interrupted job may write its checkpoint


def run_process(command: list[str], log: Path) -> int:
    """Run a command to its end, its output in `log`; its exit status.

    Ctrl-C is handed on once and the command given a minute to end; a second one ends it at once.
    """
    with log.open("wb") as file:
        # A session of its own: Ctrl-C on the terminal would reach it twice.
        start = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,  # closed when this process is gone, which ends the job
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        with start as process:
            try:
                return process.wait()
            except KeyboardInterrupt:
                process.send_signal(signal.SIGINT)
                try:
                    process.wait(_PATIENCE)
                except (subprocess.TimeoutExpired, KeyboardInterrupt):
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
                raise KeyboardInterrupt("the same command goes on from here") from None


def how_it_ended(status: int, log: Path) -> str:
    """Why a process that left no result did not."""
    if status == -signal.SIGKILL:
        return "killed by the system, as a rule because memory ran out"
    if status < 0:
        return f"ended by {signal.Signals(-status).name}; see {log}"
    return f"ended with exit status {status} and no result; see {log}"


def end_with_parent() -> None:
    """Let this process be interrupted when the one that called `run_process` is gone.

    Nobody would keep its result then.
    """
    # Whatever a shell starts in the background ignores the signal, and so would its children.
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 1):
            pass
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=watch, daemon=True).start()
