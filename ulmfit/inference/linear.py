"""Linear classifiers: logistic regression on words and pairs of words, and their model directories.

A directory of kind ``linear`` has the n-grams as text, one a line, and the weights as safetensors:
no pickle of scikit-learn's. From both the vectorizer is built anew, the same one with which the
classifier was fitted: after loading, all probabilities are equal bit for bit.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from scipy.special import expit, softmax

from ulmfit.artifacts.config import HASHED, NB_LR
from ulmfit.artifacts.directory import Artifact
from ulmfit.base.errors import UserError
from ulmfit.data.labels import Labels
from ulmfit.inference.hashing import HashedNgrams

# Of a model directory: some 3 MB of text, and 4 bytes a class each.
MOST_NGRAMS = 200_000
_LONGEST = 200  # characters of such an n-gram
_MOST_BYTES = 24 << 20  # of all of them; a directory's file of text has 32 MB at most
# Words, and punctuation, which speaks in reviews.
_TOKEN = r"\w+(?:'\w+)?|[^\w\s]"
ClassWeight = Literal["balanced"] | None
Link = Literal["softmax", "shares", "sigmoid"]


class Candidate(NamedTuple):
    """A regression with its settings: C, the inverse of the regularisation, and class_weight.

    weights: float32, shape (outputs, n-grams); biases: float32, shape (outputs,). Of two classes
    there is one output, that of the second.
    """

    strength: float
    weight: ClassWeight
    weights: np.ndarray
    biases: np.ndarray


Setting = tuple[ClassWeight, float]  # of a candidate: class_weight and C


class Regressions(Protocol):
    """Fits a candidate for each of `settings` to rows of features and what is true of them."""

    def __call__(
        self, rows: Any, truth: np.ndarray, labels: Labels, settings: Sequence[Setting]
    ) -> Iterator[Candidate]: ...


def link_of(kind: str, labels: Labels) -> Link:
    """How outputs become probabilities: `kind` is a key of `FEATURES`."""
    if labels.multi:
        return "sigmoid"
    return "shares" if kind == NB_LR else "softmax"


def linked(outputs: np.ndarray, link: Link) -> np.ndarray:
    """Probabilities, float64, shape (texts, classes), of outputs of shape (texts, outputs).

    "shares" are the sigmoids of regressions against the rest, divided by their sum.
    """
    outputs = outputs.astype(np.float64)
    if link == "sigmoid":
        return expit(outputs)
    if outputs.shape[1] == 1:
        each = expit(outputs)
        return np.concatenate([1 - each, each], axis=1)
    if link == "softmax":
        return softmax(outputs, axis=1)
    each = expit(outputs)
    return each / each.sum(1, keepdims=True)


@dataclass(frozen=True)
class LinearClassifier:
    """A regression and the vectorizer that gives it its rows."""

    kind: str  # a key of `FEATURES`
    features: Any
    link: Link
    fitted: Candidate

    @property
    def strength(self) -> float:
        """C, the inverse of the regularisation, as it was chosen."""
        return self.fitted.strength

    @property
    def weight(self) -> ClassWeight:
        """class_weight, as it was chosen."""
        return self.fitted.weight

    @property
    def ngrams(self) -> list[str]:
        """In the order of the weights."""
        return list(self.features.vocabulary)

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """Probabilities of `texts`, shape (texts, classes)."""
        return self.of_rows(self.features.transform(texts))

    def of_rows(self, rows: Any) -> np.ndarray:
        """As `probabilities`, of texts that the vectorizer has read."""
        return linked(outputs(rows, self.fitted), self.link)

    def arrays(self) -> dict[str, np.ndarray]:
        """What a model directory keeps of it, by name."""
        arrays = {"weights": self.fitted.weights, "biases": self.fitted.biases}
        if self.kind != NB_LR:
            arrays["idf"] = self.features.idf_.astype(np.float32)
        return arrays


def outputs(rows: Any, fitted: Candidate) -> np.ndarray:
    """What a regression makes of rows of features, shape (texts, outputs)."""
    return rows @ fitted.weights.T + fitted.biases


def vectorizer(kind: str, ngrams: Sequence[str], idf: np.ndarray | None) -> Any:
    """scikit-learn's, with its vocabulary and the inverse document frequencies (float32)."""
    # Takes a second to import, which who only asks for a name does not wait for.
    from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

    vocabulary = {ngram: i for i, ngram in enumerate(ngrams)}
    if kind == NB_LR:
        return CountVectorizer(
            ngram_range=(1, 2), binary=True, token_pattern=_TOKEN, vocabulary=vocabulary
        )
    made = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, vocabulary=vocabulary)
    assert idf is not None
    made.idf_ = idf.astype(np.float64)
    return made


def fit_vectorizer(kind: str, texts: Sequence[str], most: int | None = None) -> Any:
    """A vectorizer of the words and pairs of words of `texts`; of TF-IDF, of those in two at least.

    `most`: so many n-grams at most, those that the most texts have, none of them longer than 200
    characters; None for all. Raises ValueError if there is none.
    """
    from sklearn.feature_extraction.text import CountVectorizer

    if kind == NB_LR:
        counter = CountVectorizer(ngram_range=(1, 2), binary=True, token_pattern=_TOKEN)
        counts = counter.fit_transform(texts)
    else:
        counter = CountVectorizer(ngram_range=(1, 2), min_df=2, max_df=0.9)
        if not len(texts) > 20:  # with a handful of texts every word is rare
            counter.set_params(min_df=1, max_df=1.0)
        try:
            counts = counter.fit_transform(texts)
        except ValueError:  # no word is neither rare nor in nearly all texts
            counts = counter.set_params(min_df=1, max_df=1.0).fit_transform(texts)
    ngrams = counter.get_feature_names_out()
    having = np.bincount(counts.indices, minlength=len(ngrams))  # texts that have each n-gram
    kept = np.arange(len(ngrams)) if most is None else _most_frequent(ngrams, having, most)
    # As scikit-learn computes it, with smooth_idf.
    idf = (np.log((1 + len(texts)) / (1 + having[kept])) + 1).astype(np.float32)
    return vectorizer(kind, ngrams[kept].tolist(), None if kind == NB_LR else idf)


def _most_frequent(ngrams: np.ndarray, having: np.ndarray, most: int) -> np.ndarray:
    """Rows of the n-grams that a model directory keeps, in rising order."""
    order = np.argsort(-having, kind="stable")
    sizes = np.array([_bytes_of(ngram) for ngram in ngrams[order]])
    order, sizes = order[sizes > 0][:most], sizes[sizes > 0][:most]
    return np.sort(order[np.cumsum(sizes) <= _MOST_BYTES])


def _bytes_of(ngram: str) -> int:
    """What it takes in a file of text; 0 if it is too long for one, or half a surrogate pair."""
    if len(ngram) > _LONGEST or any("\ud800" <= c <= "\udfff" for c in ngram):
        return 0
    return len(ngram.encode()) + 1


def settings_of(weights: Sequence[ClassWeight], strengths: Sequence[float]) -> list[Setting]:
    """Every class_weight with every C."""
    return list(product(weights, strengths))


def read_linear(artifact: Artifact) -> LinearClassifier:
    """The classifier in a model directory of kind ``linear``.

    Raises:
        UserError: its files are damaged, or the arrays are not of the config's sizes.
    """
    manifest = artifact.manifest
    config, labels = manifest.linear_config, manifest.labelling
    classes = len(labels.classes)
    outputs = 1 if classes == 2 and not labels.multi else classes
    shapes = {"weights": (outputs, config.ngrams), "biases": (outputs,)}
    if config.features != NB_LR:
        shapes["idf"] = (config.ngrams,)
    found = {name: header.shape for name, header in artifact.linear_headers().items()}
    if found != shapes:
        raise UserError(
            f"{artifact.path}: found the arrays {_listed(found)}, expected {_listed(shapes)}; copy "
            "or train the model again"
        )
    arrays = artifact.linear()
    if config.features == HASHED:
        made: Any = HashedNgrams(arrays["idf"])
    else:
        made = vectorizer(config.features, artifact.ngrams(), arrays.get("idf"))
    weight: ClassWeight = "balanced" if config.class_weight else None
    fitted = Candidate(config.strength, weight, arrays["weights"], arrays["biases"])
    return LinearClassifier(config.features, made, link_of(config.features, labels), fitted)


def _listed(shapes: dict[str, tuple[int, ...]]) -> str:
    return ", ".join(f"{name[:40]} {shape}" for name, shape in sorted(shapes.items())) or "none"
