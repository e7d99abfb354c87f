"""The figures of a report as inline SVG in the page's colours, light or dark.

Text stays text, in the page's font. Matplotlib draws in its own colours, which then become the
page's variables (`ulmfit.report.style`). The same data give the same bytes.
"""

import io
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ulmfit.report.data import Bin, by_true_class
from ulmfit.training.history_plot import draw_history

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# The page's --c0, --c1, ... are Okabe & Ito's colours, which the colour-blind can distinguish.
COLOURS = {
    "#111111": "ink",
    "#999999": "rule",
    "#0072b2": "c0",
    "#d55e00": "c1",
    "#009e73": "c2",
    "#cc79a7": "c3",
    "#e69f00": "c4",
    "#56b4e9": "c5",
    "#888888": "c6",
}
_HEX = {name: colour for colour, name in COLOURS.items()}
INK, RULE = _HEX["ink"], _HEX["rule"]
SERIES = [_HEX[f"c{n}"] for n in range(6)]
OTHERS = _HEX["c6"]
MARKERS = "osD^vP"  # classes differ by shape as well as by colour

MOST_CLASSES = 30  # in a readable confusion matrix
_WITH_NUMBERS = 8  # largest number of classes with numbers in the cells
_LONGEST_LABEL = 18
_SHORT = 10  # longest label that fits horizontally

PLOT_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # a label may be called $x$
    "axes.unicode_minus": False,
    "font.size": 10,
    **dict.fromkeys(("axes.edgecolor", "grid.color", "xtick.color", "ytick.color"), RULE),
    **dict.fromkeys(("axes.labelcolor", "xtick.labelcolor", "ytick.labelcolor"), INK),
    "text.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.alpha": 0.35,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
}


def confusion_figure(matrix: np.ndarray, labels: Sequence[str]) -> str:
    """Counts and shares of the true class, shape (true classes, predicted classes)."""
    font = 10 if len(labels) <= 12 else 8 if len(labels) <= 20 else 6
    size = (4.6, 4.6 if _upright(labels) else 3.8)
    return _single("confusion", lambda axes: draw_confusion(axes, matrix, labels, font), size)


def draw_confusion(
    axes: "Axes", matrix: np.ndarray, labels: Sequence[str], font: float = 10
) -> None:
    """A confusion matrix, with numbers if there is room; `font` is the letter size in points."""
    from matplotlib.patches import Rectangle

    shares = by_true_class(matrix)
    size = len(labels)
    for row, column in np.argwhere(matrix > 0):
        depth = shares[row, column] / 2  # numbers must be readable on the deepest one, too
        corner = (column - 0.5, row - 0.5)
        axes.add_patch(Rectangle(corner, 1, 1, facecolor=SERIES[0], alpha=depth, linewidth=0))
    for row, column in np.ndindex(*matrix.shape) if size <= _WITH_NUMBERS else ():
        texts = f"{int(matrix[row, column]):,}", f"{shares[row, column]:.0%}"
        # One call a line: the browser centres lines in its own font, but not blocks.
        for line, shift, place in zip(texts, (-0.02, 0.05), ("bottom", "top"), strict=True):
            axes.text(column, row + shift, line, ha="center", va=place, fontsize=font)
    shown = [short(label) for label in labels]
    axes.set_xticks(range(size), shown, rotation=90 if _upright(labels) else 0, fontsize=font)
    axes.set_yticks(range(size), shown, fontsize=font)
    axes.set_xlim(-0.5, size - 0.5)
    axes.set_ylim(size - 0.5, -0.5)
    axes.set_aspect("equal")
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")


def _upright(labels: Sequence[str]) -> bool:
    """Whether labels below a figure are vertical."""
    return len(labels) > 3 or max(len(short(label)) for label in labels) > _SHORT


def reliability_figure(bins: Sequence[Bin], name: str, what: str = "texts") -> str:
    """Accuracy against confidence in 15 bins, and how many texts (or decisions) each has."""
    predicted = "class" if what == "texts" else "answer"

    def draw(figure: "Figure") -> None:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
        places = [(b.low + b.high) / 2 for b in bins]
        width = bins[0].high - bins[0].low
        upper.plot([0, 1], [0, 1], color=INK, linestyle="--", linewidth=1, label="calibrated")
        accuracies = [b.accuracy for b in bins]
        upper.bar(places, accuracies, width * 0.9, color=SERIES[0], alpha=0.75, label="accuracy")
        confidences = [b.confidence for b in bins]
        mean = "mean confidence"
        upper.plot(confidences, accuracies, "o", color=SERIES[1], markersize=4, label=mean)
        upper.set(xlim=(0, 1), ylim=(0, 1), ylabel="accuracy")
        place = {"loc": "lower left", "bbox_to_anchor": (-0.15, 1), "borderaxespad": 0}
        upper.legend(**place, ncols=3, columnspacing=1, handletextpad=0.4)
        lower.bar(places, [b.texts for b in bins], width * 0.9, color=SERIES[0], alpha=0.75)
        lower.set(xlabel=f"confidence: probability of the predicted {predicted}", ylabel=what)
        lower.locator_params(axis="y", nbins=3)
        for axes in (upper, lower):
            axes.grid(axis="y")
            axes.set_axisbelow(True)

    return _svg(name, draw, (4.6, 4.0))


def length_figure(bins: Sequence[Bin], unit: str, measure: str = "accuracy") -> str:
    """`measure` with its 95 % interval in bins of length, and how many texts each has."""

    def draw(axes: "Axes") -> None:
        places = range(len(bins))
        accuracies = np.array([b.accuracy for b in bins])
        reach = np.array([[b.accuracy - b.interval[0], b.interval[1] - b.accuracy] for b in bins]).T
        # Rounding may put the end of an interval on the wrong side of 0 or 1.
        reach = np.maximum(reach, 0)
        axes.bar(places, accuracies, 0.8, color=SERIES[0], alpha=0.75)
        axes.errorbar(places, accuracies, yerr=reach, fmt="none", color=INK, capsize=3)
        for place, b in zip(places, bins, strict=True):
            axes.text(place, 1.01, f"{b.texts:,}", ha="center", va="bottom", fontsize=8)
        names = [f"{b.low:.0f}–{b.high:.0f}" if b.low < b.high else f"{b.low:.0f}" for b in bins]
        axes.set_xticks(places, names, rotation=45, ha="right", rotation_mode="anchor")
        axes.set(ylim=(0, 1), xlabel=f"length in {unit}", ylabel=f"{measure} (above: texts)")
        axes.grid(axis="y")
        axes.set_axisbelow(True)

    return _single("lengths", draw, (4.6, 3.6))


def confidence_figure(counts: np.ndarray, edges: np.ndarray) -> str:
    """How many texts have a confidence in each bin; `counts` (bins,), `edges` (bins + 1,)."""

    def draw(axes: "Axes") -> None:
        widths = np.diff(edges)
        places = edges[:-1] + widths / 2
        axes.bar(places, counts, 0.9 * widths, color=SERIES[0], alpha=0.75)
        axes.set(xlim=(0, 1), xlabel="confidence of the prediction", ylabel="texts")
        axes.grid(axis="y")
        axes.set_axisbelow(True)

    return _single("confidence", draw, (4.6, 3.0))


def history_figure(rows: Sequence[Mapping[str, Any]], name: str) -> str:
    """Losses (above) and accuracy, F1 or perplexity (below) by epoch; see `draw_history`."""

    def draw(figure: "Figure") -> None:
        losses, second = figure.subplots(2, 1, sharex=True)
        looks = [{"marker": MARKERS[n], "markersize": 4, "color": SERIES[n]} for n in (0, 1, 1)]
        draw_history(losses, second, rows, looks, RULE)
        second.set(xlabel="epoch (dashed: a new step)", xlim=(0.5, len(rows) + 0.5))

    return _svg(name, draw, (4.6, 4.4))


def map_figure(places: np.ndarray, classes: np.ndarray, labels: Sequence[str]) -> str:
    """Texts as points, shape (texts, 2), coloured and shaped by class.

    The six most frequent classes have their own colours; the others share grey.
    """
    frequent = np.argsort(-np.bincount(classes, minlength=len(labels)), kind="stable")
    own = np.sort(frequent[: len(SERIES)]).tolist()
    groups = [(labels[n], classes == n, SERIES[i], MARKERS[i]) for i, n in enumerate(own)]
    rest = ~np.isin(classes, own)
    if rest.any():
        groups.insert(0, (f"{len(labels) - len(own):,} other classes", rest, OTHERS, "."))
    size = 2 if len(places) > 500 else 3.5

    def draw(axes: "Axes") -> None:
        for label, inside, colour, marker in groups:
            points = places[inside]
            axes.plot(
                *points.T, marker, color=colour, alpha=0.7, markersize=size, markeredgewidth=0
            )
            axes.plot([], [], marker, color=colour, markersize=6, label=short(label))
        axes.set(xlabel="first dimension", ylabel="second dimension", xticks=[], yticks=[])
        axes.legend(loc="upper left", bbox_to_anchor=(0, -0.08), ncols=2)

    return _single("map", draw, (4.6, 4.4))


def short(label: str) -> str:
    """A label, shortened to fit into a figure."""
    return label if len(label) <= _LONGEST_LABEL else label[: _LONGEST_LABEL - 1] + "…"


def _single(name: str, draw: Any, size: tuple[float, float]) -> str:
    return _svg(name, lambda figure: draw(figure.subplots()), size)


def _svg(name: str, draw: Any, size: tuple[float, float]) -> str:
    """Let `draw` draw into a figure of `size` inches; returns an <svg> element.

    `name` separates the internal references of several figures on one page.
    """
    options = {"format": "svg", "transparent": True, "metadata": {"Date": None}}
    return _for_page(drawn(draw, size, name, **options).decode())


def drawn(draw: Any, size: tuple[float, float], name: str = "", **options: Any) -> bytes:
    """The picture that `draw` draws into a figure of `size` inches; `options` as for `savefig`."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    file = io.BytesIO()
    with rc_context({**PLOT_STYLE, "svg.hashsalt": name}), warnings.catch_warnings():
        # A label may have letters that matplotlib's font lacks; in a page, the browser draws them.
        warnings.filterwarnings("ignore", r"Glyph .* missing from font")
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        figure.savefig(file, **options)
    return file.getvalue()


def _for_page(svg: str) -> str:
    """The <svg> element only, as wide as its container, in the page's colours and font."""
    svg = svg[svg.index("<svg") :].strip()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    # The rule for line ends is in the page's style; here it would apply to the whole page.
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", svg, count=1, flags=re.DOTALL)
    svg = re.sub(r' (width|height)="[\d.]+pt"', "", svg, count=2)
    svg = re.sub(r'<(\w+) id="[a-z0-9.]+_\d+"', r"<\1", svg)  # names that all figures share
    return re.sub(r'style="[^"]*"', _page_style, svg)


def _page_style(found: re.Match[str]) -> str:
    style = re.sub(r"font-family: [^;\"]*;? ?", "", found.group())
    for colour, name in COLOURS.items():
        style = style.replace(colour, f"var(--{name})")
    return style
