"""ULMFiT: transfer learning for text classification that runs on a laptop.

    from ulmfit import Classifier, stage2_lm, stage3_clf

Names are imported on first use. Nothing is printed until `show_progress()` is called: the lines of
the commands go to the logger "ulmfit". Importing the package sets the environment variable
GOMP_SPINCOUNT, unless it is set: OpenMP, which torch computes with, reads it once.
"""

import os

from ulmfit.base.lazy import exports

# A thread that waits for the others gives its core away after microseconds instead of milliseconds.
# Where another process keeps one core busy, an LSTM, which waits at every time step, runs ten times
# as fast; alone, as fast as ever.
os.environ.setdefault("GOMP_SPINCOUNT", "2000")

__getattr__, __all__ = exports(
    __name__,
    {
        "Classifier": "inference.ensemble",
        "TextProcessor": "text.processor",
        "UserError": "base.errors",
        "show_progress": "base.log",
    },
)
