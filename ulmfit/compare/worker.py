"""One job in its own process: ``python -m ulmfit.compare.worker SPEC``.

So seconds and peak memory are those of the job, and a crash (out of memory) ends only the job. It
gets no labels of test: its input file has none.
"""

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ulmfit.base.atomic import atomic_file, atomic_write
from ulmfit.base.errors import UserError
from ulmfit.base.log import show_progress
from ulmfit.compare.plan import EVERY, Settings
from ulmfit.compare.task import Fitted, Task

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


def work(spec: dict[str, Any]) -> dict[str, Any]:
    """Train, predict the texts of test, and measure both; returns the job's result.

    The probabilities are written to the file ``spec["probabilities"]``.
    """
    method = EVERY[spec["method"]]
    task = Task(
        frame=pd.read_parquet(spec["data"]),
        data=Path(spec["data"]),
        classes=spec["classes"],
        seed=spec["seed"],
        settings=Settings(**spec["settings"]),
        folder=Path(spec["folder"]),
        needs={name: Path(folder) for name, folder in spec["needs"].items()},
        shared=Path(spec["shared"]),
        tests=tuple(spec["tests"]),
    )
    module, _, name = method.function.partition(":")
    # Imported before the clock starts: seconds measure training, not the import of libraries.
    function = getattr(import_module(f"ulmfit.compare.{module}"), name)
    began = time.monotonic()
    fitted: Fitted = function(task)
    clock = time.monotonic() - began
    result = {
        "clock": clock,
        "seconds": (clock if fitted.seconds is None else fitted.seconds) + fitted.train_elsewhere,
        "bytes": fitted.size,
        "facts": fitted.facts,
    }
    if fitted.predict is not None:
        texts = task.texts("test")
        began = time.monotonic()
        probabilities = np.asarray(fitted.predict(texts), np.float32)
        result["predict_seconds"] = time.monotonic() - began + fitted.predict_elsewhere
        with atomic_file(Path(spec["probabilities"])) as file:
            np.save(file, probabilities)
    return {**result, "peak_bytes": peak_memory()}


def peak_memory() -> int:
    """The peak of this process's resident memory, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():
        # On Linux, ru_maxrss includes the parent's value.
        line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def answer(spec: dict[str, Any]) -> dict[str, Any]:
    """The result of `work`, or the reason why there is none."""
    packages = EVERY[spec["method"]].packages
    try:
        return {"status": "done", **work(spec)}
    except UserError as error:
        return {"status": "failed", "why": str(error)}
    except ImportError as error:
        traceback.print_exc()
        needed = f"needs {' and '.join(packages)}, " if packages else ""
        why = f"{needed}{error}: pip install 'ulmfit[compare]'"
        return {"status": "failed", "why": why}
    except MemoryError:
        traceback.print_exc()
        return {"status": "failed", "why": "out of memory"}
    except Exception as error:  # one method's failure is a row of the table
        traceback.print_exc()
        reason = " ".join(str(error).split())[:200]
        return {"status": "failed", "why": f"{type(error).__name__}: {reason}"}


def main() -> None:
    """Read the specification and write the result beside it."""
    spec_file = Path(sys.argv[1])
    spec = json.loads(spec_file.read_text(encoding="utf-8"))
    end_with_parent()
    show_progress()
    try:
        found = answer(spec)
    except KeyboardInterrupt:
        sys.exit(130)
    atomic_write(Path(spec["answer"]), json.dumps(found))


if __name__ == "__main__":
    main()
