"""The learning curves of a training as a picture: history.png beside history.csv."""

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Shares of the picture. Computing a layout would take as long as drawing the picture.
_MARGINS = {"left": 0.07, "right": 0.99, "bottom": 0.15, "top": 0.97, "wspace": 0.25}


def draw_history(
    losses: "Axes",
    second: "Axes",
    rows: Sequence[Mapping[str, Any]],
    looks: Sequence[Mapping[str, Any]],
    rule: str,
) -> None:
    """Draw the losses, and accuracy, F1 or perplexity, over the epochs; lines divide the steps.

    rows: as `History` collects them; missing values are left out.
    looks: of the curves: training loss, validation loss, the measure.
    rule: the colour of the lines.
    """
    from matplotlib.ticker import MaxNLocator

    names = {"perplexity": "perplexity", "f1_micro": "micro F1", "accuracy": "accuracy"}
    column = next((name for name in names if any(name in row for row in rows)), "accuracy")
    curves = {"train_loss": "training", "valid_loss": "validation", column: ""}
    for (name, label), look in zip(curves.items(), looks, strict=True):
        epochs = [n for n, row in enumerate(rows, 1) if isinstance(row.get(name), (int, float))]
        axes = second if name == column else losses
        axes.plot(epochs, [rows[n - 1][name] for n in epochs], label=label, **look)
    losses.set_ylabel("loss")
    losses.legend()
    second.set_ylabel(f"{names[column]}, validation")
    steps = [row.get("step") for row in rows]
    for axes in (losses, second):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid()
        for n in range(1, len(steps)):
            if steps[n] != steps[n - 1]:
                axes.axvline(n + 0.5, color=rule, linestyle="--", linewidth=0.8)


def history_png(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Losses on the left, accuracy, F1 or perplexity on the right, over the epochs.

    rows: as `History` collects them. The same rows give the same bytes.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure  # takes half a second

    picture = io.BytesIO()
    colours = ("tab:blue", "tab:orange", "tab:green")
    with rc_context({"grid.alpha": 0.3}):
        figure = Figure(figsize=(9, 3.5))
        losses, second = figure.subplots(1, 2, gridspec_kw=_MARGINS)
        looks = [{"marker": ".", "color": colour} for colour in colours]
        draw_history(losses, second, rows, looks, "gray")
        for axes in (losses, second):
            axes.set_xlabel("epoch (dashed: a new step of the recipe)")
        figure.savefig(picture, format="png", dpi=120, metadata={"Software": None})
    return picture.getvalue()
