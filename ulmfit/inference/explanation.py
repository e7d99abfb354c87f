"""The contribution of each word to a prediction.

`attribution` scores tokens; `text.word_cut` joins tokens to words. torch is imported late, so that
an error in a request shows at once.
"""

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ulmfit.base.errors import UserError
from ulmfit.base.progress import Progress
from ulmfit.inference.ensemble import Classifier
from ulmfit.inference.loaded_linear import LoadedLinear
from ulmfit.inference.scoring import EMPTY, notes_on
from ulmfit.text.ids import is_empty
from ulmfit.text.known import Known
from ulmfit.text.word_cut import Cut, cut_words

if TYPE_CHECKING:
    from ulmfit.inference.loaded import LoadedModel

METHODS = ("integrated", "gradient")
FEW, MANY = 11, 33  # points of "integrated": the middles of a third as many parts are among these
_FITS, _NOTHING = 0.05, 0.005  # share of the change, and a change, that the sum may miss
_FAINT = 0.1  # share of the strongest score below which a word has no colour
# Of a terminal's 256 colours, from faint to strong: for the class, and against it.
_GREENS, _REDS = (194, 157, 120, 77), (224, 217, 210, 203)
_BLUE, _ORANGE = "86,180,233", "230,159,0"  # for the colour-blind (Okabe and Ito)
_JOINERS = "\u200c\u200d"  # not printable by themselves, but part of words and emoji


@dataclass(frozen=True)
class Explanation:
    """The contribution of each word to the probability of a class.

    label, probability: of the class, by default the predicted one; in float32.
    baseline: the probability of `label` with the average word in place of every word.
    words: as in the text, without html escapes; a repetition is one word.
    scores: shape (words,); positive for `label`. With method "integrated" their sum is close to
        `total` (the more steps, the closer); with "gradient" it may differ.
    gaps: nothing, a space or a line break before each word.
    note: on a text with few known tokens, see `scoring.notes_on`.
    points: at how many points of the way gradients were taken.
    """

    label: str
    probability: float
    baseline: float
    words: list[str]
    scores: np.ndarray
    gaps: list[str]
    note: str = ""
    points: int = 0

    @property
    def total(self) -> float:
        """The change of the probability by the words; the scores should sum to it."""
        return self.probability - self.baseline

    def strongest(self, count: int = 10) -> list[tuple[str, float]]:
        """The words with the largest absolute scores, largest first."""
        order = np.argsort(-np.abs(self.scores), kind="stable")[:count]
        return [(self.words[i], float(self.scores[i])) for i in order]

    def to_terminal(self, colour: bool = False) -> str:
        """The prediction, then the strongest words; or in `colour`, the whole text.

        Green words count for the class, red ones against it.
        """
        label = _visible(self.label)
        note = f"note: {self.note}\n" if self.note else ""
        points = f" ({self.points} points)" if self.points > 1 else ""
        head = (
            f"label {label}, probability {self.probability:.3f}\n{note}"
            f"the words moved it by {self.total:+.3f}, from {self.baseline:.3f} with average words;"
            f" their scores sum to {self.scores.sum():+.3f}{points}\n"
        )
        if not self.words:
            return f"{head}no words"
        if colour:
            key = f"{_shaded('for', 1, 1)} {_shaded('against', -1, -1)}"
            return f"{head}{key}\n{self._text(_shaded)}"
        rows = [f"{score:+10.4f}  {_visible(word)}" for word, score in self.strongest()]
        return "\n".join([f"{head}strongest of {len(self.words):,} words, + for {label}:", *rows])

    def to_html(self) -> str:
        """The text as one escaped paragraph, with inline colours and the scores as titles.

        Blue words count for the class, orange ones against it.
        """
        style = "white-space:pre-wrap;color:#000;background:#fff"
        return f'<p dir="auto" style="{style}">{self._text(_span)}</p>'

    def _text(self, marked: Callable[[str, float, float], str]) -> str:
        """The text, every word `marked` by its score and the share of the strongest score."""
        strongest = float(np.abs(self.scores).max(initial=0)) or 1.0
        rows = zip(self.gaps, self.words, self.scores.tolist(), strict=True)
        return "".join(gap + marked(_visible(word), s, s / strongest) for gap, word, s in rows)


def _visible(text: str) -> str:
    """`text` without characters that control a terminal."""
    return "".join(c if c.isprintable() or c in _JOINERS else "\ufffd" for c in text)


def _shaded(word: str, score: float, share: float) -> str:
    if abs(share) < _FAINT:
        return word
    shades = _GREENS if score > 0 else _REDS
    shade = shades[min(int(abs(share) * len(shades)), len(shades) - 1)]
    return f"\x1b[38;5;16;48;5;{shade}m{word}\x1b[0m"


def _span(word: str, score: float, share: float) -> str:
    escaped = html.escape(word)
    if abs(share) < _FAINT:
        return escaped
    colour = _BLUE if score > 0 else _ORANGE
    style = f"background:rgba({colour},{abs(share):.2f})"
    return f'<span style="{style}" title="{score:+.4f}">{escaped}</span>'


def explain(
    classifier: Classifier,
    text: str,
    method: str = "integrated",
    steps: int | None = None,
    label: str | None = None,
) -> Explanation:
    """The contribution of each word of `text` to the probability of a class.

    Args:
        method: "integrated" gradients, or "gradient" times input, which is some ten times as fast
            but local: it uses the gradient at the text alone.
        steps: number of points of "integrated". None is 11 if the sum of the scores then fits (to a
            twentieth), else 33.
        label: of the class; by default the most probable one.

    The scores of an ensemble are the weighted mean of its models' scores; its temperature is part
    of the path. All is computed in float32.

    Raises:
        UserError: unknown method or label, no step, no single text, or an ensemble whose models
            cut the text into different words.
    """
    check_request(text, method, steps)
    if label is not None and label not in classifier.labels:
        raise UserError(f"--label is {label!r}, expected one of {', '.join(classifier.labels)}")
    if is_empty(text):  # the classifier does not read it either
        return _of_nothing(classifier, label)
    from ulmfit.inference.attribution import path

    grid = path(None if method == "gradient" else steps or MANY).numpy()
    ways, cut, known = _ways(classifier, text, len(grid))
    mixture = classifier.mixture
    baseline, found = mixture.of(np.stack([way.at(np.array([0.0, 1.0])) for way in ways]))
    target = _target(classifier, found, label)

    def scores_at(points: np.ndarray) -> np.ndarray:
        slopes = np.eye(len(found))[[target] * len(points)]
        if mixture.temperature != 1:
            pooled = mixture.pooled(np.stack([way.at(points) for way in ways]))
            slopes = mixture.slopes(pooled, target)
        return mixture.shares(len(ways)) @ np.stack([way.scores(slopes, points) for way in ways])

    if method == "gradient" or steps is not None:
        scores, points = scores_at(grid), len(grid)
    else:
        scores, points = _fitting(scores_at, grid, float(found[target] - baseline[target]))
    return Explanation(
        label=classifier.labels[target],
        probability=float(found[target]),
        baseline=float(baseline[target]),
        words=cut.words,
        scores=scores,
        gaps=cut.gaps,
        note=notes_on([text], known)[0],
        points=points,
    )


def _fitting(
    scores_at: Callable[[np.ndarray], np.ndarray], grid: np.ndarray, total: float
) -> tuple[np.ndarray, int]:
    """The scores from every third point of `grid` if they sum to `total`, else from all."""
    third = np.arange(len(grid)) % 3 == 1
    scores = scores_at(grid[third])
    if abs(scores.sum() - total) <= max(_FITS * abs(total), _NOTHING):
        return scores, FEW
    return (FEW * scores + (MANY - FEW) * scores_at(grid[~third])) / MANY, MANY


class WordsWay(Protocol):
    """The way of a text through one model, from the model's baseline to the text."""

    def at(self, points: np.ndarray) -> np.ndarray:
        """Probabilities at shares of the way, float64, shape (points, classes)."""

    def scores(self, slopes: np.ndarray, points: np.ndarray) -> np.ndarray:
        """What each word adds to the sum of the probabilities times `slopes`, shape (words,)."""


def _ways(
    classifier: Classifier, text: str, points: int
) -> tuple[list[WordsWay], Cut, list[Known]]:
    """The way through each model, the words, and how much each model knows of the text."""
    from ulmfit.inference.linear_attribution import LinearWay, plain_cut
    from ulmfit.inference.network_attribution import NetworkWay

    networks = classifier.networks
    tokenized = [loaded.tokenize([text]) for loaded in networks]
    documents = [[one.tokens[i] for i in one.ids.tolist()] for one in tokenized]
    cuts = _same_words(networks, text, documents)
    shown = Progress(sum(map(len, documents)) * points, "explaining", "tokens")
    cut = cuts[0] if cuts else plain_cut(text)
    ways: list[WordsWay] = []
    known = []
    rest = iter(zip(networks, tokenized, documents, cuts, strict=True))
    for loaded in classifier.models:
        if isinstance(loaded, LoadedLinear):
            ways.append(LinearWay(loaded, text, cut))
            known.append(loaded.known([text]))
        else:
            network, one, tokens, own = next(rest)
            ways.append(NetworkWay(network, tokens, own, shown.advance))
            known.append(network.known(one))
    return ways, cut, known


def check_request(text: object, method: str, steps: int | None) -> None:
    """Raise a UserError unless `explain` can do this."""
    if not isinstance(text, str):
        raise UserError(f"found {type(text).__name__}, expected one text; explain takes a string")
    if method not in METHODS:
        raise UserError(f"--method is {method!r}, expected one of {', '.join(METHODS)}")
    if steps is not None and steps < 1:
        raise UserError(f"--steps is {steps}, expected 1 or more")


def _target(classifier: Classifier, probabilities: np.ndarray, label: str | None) -> int:
    return int(probabilities.argmax()) if label is None else classifier.labels.index(label)


def _of_nothing(classifier: Classifier, label: str | None) -> Explanation:
    probabilities = classifier.probabilities([""])[0]
    target = _target(classifier, probabilities, label)
    found = float(probabilities[target])
    return Explanation(classifier.labels[target], found, found, [], np.zeros(0), [], EMPTY)


def _same_words(
    models: "Sequence[LoadedModel]", text: str, documents: list[list[str]]
) -> list[Cut]:
    cuts = [
        cut_words(text, tokens, loaded.processor.kind)
        for loaded, tokens in zip(models, documents, strict=True)
    ]
    for loaded, cut in zip(models, cuts, strict=True):
        if cut.words != cuts[0].words:
            raise UserError(
                f"{models[0].artifact.path} and {loaded.artifact.path} cut the text into different "
                "words; explain them one by one"
            )
    return cuts
