"""One classifier or an ensemble: classes and probabilities of texts.

torch and pandas are imported when they are used: an error in a command's arguments does not wait
for them.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ulmfit.artifacts import bundled
from ulmfit.artifacts.directory import check_pair, read_artifact
from ulmfit.base.errors import UserError
from ulmfit.base.log import logger
from ulmfit.inference.scoring import (
    Answers,
    notes_on,
    plain_text,
    prediction_columns,
    warn_of,
)
from ulmfit.text.corpus import TokenizedTexts
from ulmfit.text.ids import Text, is_empty

if TYPE_CHECKING:
    import pandas as pd

    from ulmfit.inference.loaded import LoadedModel

DEFAULT = bundled.DEFAULT_CLASSIFIER


class Classifier:
    """One or more classifiers; the probabilities of several are averaged.

    `labels` are the names of the classes, `labelling` is what else there is to say of them.
    """

    def __init__(self, models: "Sequence[LoadedModel]") -> None:
        self.models = list(models)
        trained = self.models[0].artifact.manifest
        self.labels = trained.labels
        self.labelling = trained.labelling

    @property
    def precision(self) -> str:
        """The format that products run in: bfloat16 or float32."""
        return str(self.models[0].dtype).removeprefix("torch.")

    @classmethod
    def load(cls, *folders: str | Path, precision: str = "auto") -> "Classifier":
        """The classifiers of model directories, or of a bundled one's name, as an ensemble.

        Args:
            precision: "float32" gives a text the same prediction alone and in any batch (to
                1e-4); "bfloat16" rounds by the shape of a batch, which moves a probability by
                some hundredths at worst and is several times as fast where the hardware has it;
                "auto" takes that where it does.

        Raises:
            UserError: a directory holds no classifier, or they do not belong together.
        """
        if not folders:
            raise UserError("no model given; name at least one classifier's directory")
        paths = bundled.model_folders(folders)
        artifacts = [read_artifact(Path(path), "classifier") for path in paths]
        check_pair(artifacts)
        from ulmfit.inference.loaded import LoadedModel

        return cls([LoadedModel(artifact, precision) for artifact in artifacts])

    def predict(self, texts: Sequence[str | None]) -> "pd.DataFrame":
        """`label`, its `probability`, and one column of probabilities a class, in order.

        A missing text counts as an empty one; what has no text gets the share of each class in
        the training. Several labels are separated by ';' (see `scoring.prediction_columns`).
        A warning counts the texts of which the models know next to nothing.
        """
        import pandas as pd

        if isinstance(texts, str):
            raise UserError("found one text, expected a list of texts; predict([text]) takes one")
        answers = self.answers([plain_text(text) for text in texts])
        warn_of(answers.notes)
        return pd.DataFrame(prediction_columns(answers.mean, self.labelling))

    def probabilities(
        self, texts: Sequence[str | None], tell: Callable[[float], object] | None = None
    ) -> np.ndarray:
        """Those that `predict` returns, float32, shape (texts, classes).

        `tell` is called with the number of texts that were done, parts of one included.
        """
        return self.answers([plain_text(text) for text in texts], tell).mean

    def probabilities_by_model(self, texts: Sequence[Text]) -> list[np.ndarray]:
        """One array of shape (texts, classes) for each model, in the order given."""
        return list(self.answers(texts).by_model)

    def answers(
        self, texts: Sequence[Text], tell: Callable[[float], object] | None = None
    ) -> Answers:
        """The probabilities of each model, and a note on texts that they cannot read."""
        if len(texts) == 0:
            return Answers(np.zeros((len(self.models), 0, len(self.labels)), np.float32), [])
        share = tell and (lambda count: tell(count / len(self.models)))
        tokenized: dict[str, TokenizedTexts] = {}
        results, known = [], []
        for loaded in self.models:
            key = loaded.tokenizer_key
            if key not in tokenized:
                tokenized[key] = loaded.tokenize(texts)
            results.append(loaded.probabilities(tokenized[key], share))
            known.append(loaded.known(tokenized[key]))
        empty = [i for i, text in enumerate(texts) if is_empty(text)]
        for loaded, probabilities in zip(self.models, results, strict=True):
            probabilities[empty] = loaded.prior
        return Answers(np.stack(results), notes_on(texts, known))


def load_named(clf: bundled.Paths, precision: str) -> Classifier:
    """The classifiers that a command was given, or the bundled ones, which it then says.

    Raises:
        UserError: as `Classifier.load`.
    """
    folders = bundled.model_folders(clf)
    if clf == DEFAULT:
        logger.info(f"with the bundled {DEFAULT}; --clf DIR [DIR ...] names other classifiers")
    classifier = Classifier.load(*folders, precision=precision)
    from ulmfit.base.precision import keep_memory

    keep_memory()
    return classifier
