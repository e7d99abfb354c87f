"""The plots of a comparison, as PNG."""

from collections.abc import Callable, Mapping, Sequence
from statistics import mean
from typing import TYPE_CHECKING, Any

import numpy as np

from ulmfit.compare.plan import METHODS
from ulmfit.compare.summary import Row, pareto
from ulmfit.report.figures import INK, MARKERS, RULE, SERIES, draw_confusion, drawn, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PANEL = 3.2  # inches
_IN_A_ROW = 3


def _look(method: str) -> dict[str, Any]:
    """Colour and marker, the same in every plot: six colours, filled, then hollow, then grey."""
    turn, number = divmod(list(METHODS).index(method), len(SERIES))
    colour = SERIES[number]
    return {
        "color": colour,
        "marker": MARKERS[number],
        "markerfacecolor": (colour, "white", RULE)[turn],
        "linestyle": ("-", "--", ":")[turn],
    }


def accuracy_time(rows: Sequence[Row]) -> bytes:
    """Accuracy against training seconds, a panel for each number of labels, the front marked."""
    rows = [row for row in rows if row.results]
    counts = sorted({row.labels for row in rows})
    times = [_seconds(row) for row in rows]
    reach = (10 ** np.floor(np.log10(min(times) / 1.2)), 10 ** np.ceil(np.log10(max(times) * 1.2)))

    def draw(figure: "Figure") -> None:
        panels = _panels(figure, len(counts), sharey=True)
        for axes, count in zip(panels, counts, strict=True):
            of_count = [row for row in rows if row.labels == count]
            points = [(_seconds(row), 100 * mean(row.values("accuracy"))) for row in of_count]
            front = [points[n] for n in pareto(points)]
            axes.step(*zip(*front, strict=True), where="post", color=RULE, linewidth=1.2, zorder=1)
            for row, (x, y) in zip(of_count, points, strict=True):
                axes.errorbar(x, y, _reach(row), capsize=2, markersize=7, **_look(row.method))
            axes.plot(*zip(*front, strict=True), "o", markersize=13, mfc="none", mec=INK)
            axes.set(xscale="log", xlabel="training, s", title=f"{count:,} labels", xlim=reach)
            # Labels are plain text here: powers in TeX would not be typeset.
            axes.xaxis.set_major_formatter(lambda value, place: f"{value:,g}")
            axes.xaxis.set_minor_formatter("")
            axes.grid()
        panels[0].set_ylabel("accuracy on test, %")
        note = "ringed: no other method is\nboth faster and better"
        _legend(figure, rows, note)

    return _png(draw, _size(len(counts), legend=True))


def accuracy_labels(rows: Sequence[Row]) -> bytes:
    """Accuracy against labels, one line a method, bars from the worst to the best seed."""
    rows = [row for row in rows if row.results]
    counts = sorted({row.labels for row in rows})

    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        for method in METHODS:
            of_method = [row for row in rows if row.method == method]
            if not of_method:
                continue
            reach = np.concatenate([_reach(row) for row in of_method], axis=1)
            axes.errorbar(
                [row.labels for row in of_method],
                [100 * mean(row.values("accuracy")) for row in of_method],
                reach,
                capsize=2,
                **_look(method),
            )
        axes.set(xscale="log", xlabel="labelled texts", ylabel="accuracy on test, %")
        axes.set_xticks(counts, [f"{count:,}" for count in counts])
        axes.minorticks_off()
        axes.grid()
        _legend(figure, rows, "bars: worst to best seed")

    return _png(draw, (8.5, 4.8))


def confusions(matrices: Mapping[str, np.ndarray], labels: Sequence[str]) -> bytes:
    """One panel a method: counts and shares of the true class."""

    def draw(figure: "Figure") -> None:
        panels = _panels(figure, len(matrices))
        for axes, (method, matrix) in zip(panels, matrices.items(), strict=True):
            draw_confusion(axes, matrix, labels, font=8 if len(labels) <= 4 else 6)
            axes.set_title(method)

    return _png(draw, _size(len(matrices), panel=2.6 + 0.35 * min(len(labels), 12)))


def feature_panels(places: np.ndarray, truth: np.ndarray, labels: Sequence[str], how: str) -> bytes:
    """Texts as points, shape (texts, 2), one panel a class, with the other texts in grey."""

    def draw(figure: "Figure") -> None:
        panels = _panels(figure, len(labels), sharex=True, sharey=True)
        for number, (axes, label) in enumerate(zip(panels, labels, strict=True)):
            inside = truth == number
            size: dict[str, Any] = {"markersize": 3, "markeredgewidth": 0}
            axes.plot(*places[~inside].T, "o", color=RULE, alpha=0.2, **size)
            colour = SERIES[number % len(SERIES)]
            axes.plot(*places[inside].T, "o", color=colour, alpha=0.6, **size)
            axes.set(xticks=[], yticks=[], title=f"{short(label)} ({inside.sum():,})")
        figure.supxlabel(f"{how}, first dimension", fontsize=9)
        figure.supylabel("second dimension", fontsize=9)

    return _png(draw, _size(len(labels)))


def _seconds(row: Row) -> float:
    """Seconds of the training; 0 does not exist on a logarithmic axis."""
    return max(row.mean("total_seconds"), 0.01)


def _reach(row: Row) -> np.ndarray:
    """Distance of the worst and the best seed from the mean, in percent, shape (2, 1)."""
    values = [100 * value for value in row.values("accuracy")]
    return np.maximum([[mean(values) - min(values)], [max(values) - mean(values)]], 0)


def _panels(figure: "Figure", count: int, **more: Any) -> "list[Axes]":
    """`count` axes, three in a row; places without one stay empty."""
    columns = min(count, _IN_A_ROW)
    grid = figure.subplots(-(-count // columns), columns, squeeze=False, **more)
    every = grid.ravel().tolist()
    for axes in every[count:]:
        axes.set_axis_off()
    return every[:count]


def _size(panels: int, panel: float = _PANEL, legend: bool = False) -> tuple[float, float]:
    columns = min(panels, _IN_A_ROW)
    width = columns * panel + (2.2 if legend else 0)
    return width, max(-(-panels // columns) * panel, 4.2 if legend else 0)


def _legend(figure: "Figure", rows: Sequence[Row], note: str) -> None:
    from matplotlib.lines import Line2D

    shown = [name for name in METHODS if any(row.method == name for row in rows)]
    handles = [Line2D([], [], label=name, **_look(name)) for name in shown]
    figure.legend(handles=handles, loc="outside right upper", title=note, title_fontsize=8)


def _png(draw: "Callable[[Figure], None]", size: tuple[float, float]) -> bytes:
    return drawn(draw, size, format="png", dpi=120, metadata={"Software": None})
