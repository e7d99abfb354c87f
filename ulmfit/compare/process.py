"""A job's process: started, interrupted, and ended together with its parent."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

_PATIENCE = 60.0  # seconds for an interrupted job to write its checkpoint


def run_process(command: list[str], log: Path) -> int:
    """Run a command to its end, with its output in `log`; returns its exit status.

    Ctrl-C is passed on once, and the command has a minute to end; a second one ends it at once.
    """
    with log.open("wb") as file:
        # In its own session, because Ctrl-C on the terminal would reach it twice.
        start = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,  # closes when this process ends, which ends the job
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
                raise KeyboardInterrupt("the same command continues from here") from None


def how_it_ended(status: int, log: Path) -> str:
    """Why a process left no result."""
    if status == -signal.SIGKILL:
        return "killed by the system, usually because memory ran out"
    if status < 0:
        return f"ended by {signal.Signals(-status).name}; see {log}"
    return f"ended with exit status {status} and no result; see {log}"


def end_with_parent() -> None:
    """Interrupt this process when the caller of `run_process` is gone.

    Nobody would store its result then.
    """
    # Background processes of a shell ignore the signal, and so would their children.
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 1):
            pass
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=watch, daemon=True).start()
