"""One classifier or an ensemble: classes and probabilities of texts.

torch and pandas are imported late, so that an error in a command's arguments shows at once.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ulmfit.artifacts import bundled
from ulmfit.artifacts.directory import check_pair, read_artifact
from ulmfit.base.errors import UserError
from ulmfit.base.log import logger
from ulmfit.inference.scoring import Answers, notes_on, prediction_frame, warn_of
from ulmfit.text.corpus import TokenizedTexts
from ulmfit.text.given import each_text
from ulmfit.text.ids import Text, is_empty

if TYPE_CHECKING:
    import pandas as pd

    from ulmfit.inference.loaded import LoadedModel

DEFAULT = bundled.DEFAULT_CLASSIFIER


class Classifier:
    """One or more classifiers; the probabilities of several are averaged.

    `labels` has the names of the classes, `labelling` also their kind.
    """

    def __init__(self, models: "Sequence[LoadedModel]") -> None:
        self.models = list(models)
        trained = self.models[0].artifact.manifest
        self.labels = trained.labels
        self.labelling = trained.labelling

    @property
    def precision(self) -> str:
        """The number format of products: bfloat16 or float32."""
        return str(self.models[0].dtype).removeprefix("torch.")

    @classmethod
    def load(cls, *folders: str | Path, precision: str = "auto") -> "Classifier":
        """An ensemble of model directories or bundled classifiers.

        Args:
            precision: "float32" gives a text the same prediction alone and in any batch (to
                1e-4). "bfloat16" is several times as fast on suitable hardware, but a probability
                depends on the batch, by some hundredths at worst. "auto" uses bfloat16 if the
                hardware has it.

        Raises:
            UserError: a directory holds no classifier, or they cannot be averaged (`check_pair`).
        """
        if not folders:
            raise UserError("no model given; name at least one classifier's directory")
        paths = bundled.model_folders(folders)
        artifacts = [read_artifact(Path(path), "classifier") for path in paths]
        check_pair(artifacts)
        from ulmfit.inference.loaded import LoadedModel

        return cls([LoadedModel(artifact, precision) for artifact in artifacts])

    def predict(self, texts: Iterable[str | None]) -> "pd.DataFrame":
        """`label`, its `probability`, and a column of probabilities for each class, in order.

        An empty or missing text gets the training class frequencies. Several labels are separated
        by ';' (see `scoring.prediction_columns`). A warning counts the texts with few known tokens.

        Args:
            texts: a list, a pandas Series (the result has its index), an array of one dimension, or
                any other sequence of strings.

        Raises:
            UserError: `texts` is something else, or one of its items is no text.
        """
        answers = self.answers(list(each_text(texts, "predict")))
        warn_of(answers.notes)
        return prediction_frame(texts, answers.mean, self.labelling)

    def probabilities(
        self, texts: Iterable[str | None], tell: Callable[[float], object] | None = None
    ) -> np.ndarray:
        """float32, shape (texts, classes), as in `predict`.

        `tell` is called with numbers of finished texts, which may be fractions.
        """
        return self.answers(list(each_text(texts, "probabilities")), tell).mean

    def probabilities_by_model(self, texts: Sequence[Text]) -> list[np.ndarray]:
        """One array of shape (texts, classes) for each model, in their order."""
        return list(self.answers(texts).by_model)

    def answers(
        self, texts: Sequence[Text], tell: Callable[[float], object] | None = None
    ) -> Answers:
        """The probabilities of each model, and notes on texts with few known tokens."""
        if len(texts) == 0:
            return Answers(np.zeros((len(self.models), 0, len(self.labels)), np.float32), [])
        share = tell and (lambda count: tell(count / len(self.models)))
        tokenized: dict[str, TokenizedTexts] = {}
        empty = [i for i, text in enumerate(texts) if is_empty(text)]
        results, known = [], []
        for loaded in self.models:
            key = loaded.tokenizer_key
            if key not in tokenized:
                tokenized[key] = loaded.tokenize(texts)
            results.append(loaded.probabilities(tokenized[key], share))
            results[-1][empty] = loaded.prior
            known.append(loaded.known(tokenized[key]))
        return Answers(np.stack(results), notes_on(texts, known))


def load_named(clf: bundled.Paths, precision: str) -> Classifier:
    """The classifiers of a command; a line reports the default. Raises like `Classifier.load`."""
    if clf == DEFAULT:
        logger.info(f"with the bundled {DEFAULT}; --clf DIR [DIR ...] names other classifiers")
    classifier = Classifier.load(*bundled.model_folders(clf), precision=precision)
    from ulmfit.base.precision import keep_memory

    keep_memory()
    return classifier
