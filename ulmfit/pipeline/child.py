"""One stage of `python -m ulmfit` in a process of its own, which `SideBySide` starts.

The first line of standard input is the stage and its arguments, as JSON. The line ``stop`` after
it interrupts the stage, as Ctrl-C does. The end of the input ends the process at once: its parent
has died.
"""

import _thread
import json
import os
import sys
import threading
from io import FileIO

from ulmfit.base.cli import end_in_one_line
from ulmfit.base.errors import Stopped

STOP = b"stop\n"
OUT_OF_TIME = 75  # the exit status after `--stop-after`


def main() -> None:
    """Train the stage. Its lines go to standard output, its error to standard error."""
    given = FileIO(0, closefd=False)  # no buffer: the thread reads what follows
    job = given.readline()
    threading.Thread(target=_obey, args=(given,), daemon=True).start()
    from ulmfit.pipeline.followers import STAGES  # takes seconds

    def train() -> None:
        name, arguments = json.loads(job)
        try:
            STAGES[name](**arguments)
        except Stopped as stopped:
            print(stopped, file=sys.stderr)  # noqa: T201
            sys.exit(OUT_OF_TIME)

    end_in_one_line(train)


def _obey(given: FileIO) -> None:
    while line := given.readline():
        if line == STOP:
            _thread.interrupt_main()
    os._exit(1)


if __name__ == "__main__":
    main()
