"""ULMFiT: transfer learning for text classification that runs on a laptop.

    from ulmfit import Classifier, fine_tune_lm, train_classifier

`pretrain`, `fine_tune_lm` and `train_classifier` are the three stages, `Classifier` and
`LanguageModel` use what they write, `TextProcessor` makes tokens and ids, `UserError` is what all
raise on bad input. Names are imported on first use.

Nothing is printed until `show_progress()` is called: the lines of the commands go to the logger
"ulmfit". Importing the package sets the environment variable GOMP_SPINCOUNT, unless it is set:
OpenMP, which torch computes with, reads it once.
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
        "LanguageModel": "inference.language_model",
        "TextProcessor": "text.processor",
        "UserError": "base.errors",
        "__version__": "base.version",
        "fine_tune_lm": "stage2_lm:main",
        "pretrain": "stage1_pretrain:main",
        "show_progress": "base.log",
        "train_classifier": "stage3_clf:main",
    },
)
