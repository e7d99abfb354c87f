"""ULMFiT: transfer learning for text classification that runs on a laptop.

    from ulmfit import Classifier, fine_tune_lm, train_classifier

`pretrain`, `fine_tune_lm` and `train_classifier` are the three stages. `Classifier` and
`LanguageModel` use their models, `BatchPredictor` for the batches of Ray, Dask and Spark.
`ULMFiTClassifier` is all of this as an estimator of scikit-learn. `TextProcessor` makes tokens and
ids. All raise `UserError` on bad input. Names are imported on first use.

The lines of the commands go to the logger "ulmfit"; `show_progress()` prints them. Importing the
package sets the environment variable GOMP_SPINCOUNT, unless it is set, because torch's OpenMP reads
it only once.
"""

import os

from ulmfit.base.lazy import exports

# Waiting threads then release their core after microseconds instead of milliseconds. An LSTM waits
# at every time step: if another process keeps a core busy, it runs ten times as fast. On an idle
# machine, its speed does not change.
os.environ.setdefault("GOMP_SPINCOUNT", "2000")

__getattr__, __all__ = exports(
    __name__,
    {
        "BatchPredictor": "bulk.predictor",
        "Classifier": "inference.ensemble",
        "FastClassifier": "inference.student",
        "LanguageModel": "inference.language_model",
        "TextProcessor": "text.processor",
        "ULMFiTClassifier": "estimator",
        "UserError": "base.errors",
        "__version__": "base.version",
        "fine_tune_lm": "stage2_lm:main",
        "pretrain": "stage1_pretrain:main",
        "show_progress": "base.log",
        "train_classifier": "stage3_clf:main",
    },
)
