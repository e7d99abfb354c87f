"""One job in a process of its own: ``python -m ulmfit.compare.worker SPEC``.

So its seconds and its peak of memory are its own, and a crash (out of memory) ends nothing else. It
sees no labels of test: its input file has none.
"""

import json
import resource
import sys
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
from ulmfit.compare.process import end_with_parent
from ulmfit.compare.task import Fitted, Task


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
