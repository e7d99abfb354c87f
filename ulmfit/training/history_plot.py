"""The learning curves of a training as a picture: history.png beside history.csv."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

# Shares of the picture. A layout that matplotlib looks for takes as long as the picture itself.
_MARGINS = {"left": 0.07, "right": 0.99, "bottom": 0.15, "top": 0.97, "wspace": 0.25}


def measure_of(rows: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """The column of `rows` that a curve beside the losses shows, and what to call it."""
    for column, name in (("perplexity", "perplexity"), ("f1_micro", "micro F1")):
        if any(column in row for row in rows):
            return column, name
    return "accuracy", "accuracy"


def history_png(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Losses on the left, accuracy, F1 or perplexity on the right, steps apart, over the epochs.

    rows: as `History` collects them. The same rows give the same bytes.
    """
    from matplotlib.figure import Figure  # takes half a second

    figure = Figure(figsize=(9, 3.5))
    losses, second = figure.subplots(1, 2, gridspec_kw=_MARGINS)
    epochs = range(1, len(rows) + 1)
    for name, label in (("train_loss", "training"), ("valid_loss", "validation")):
        losses.plot(epochs, [row[name] for row in rows], marker=".", label=label)
    losses.set_ylabel("loss")
    losses.legend()
    column, measure = measure_of(rows)
    second.plot(epochs, [row[column] for row in rows], marker=".", color="tab:green")
    second.set_ylabel(f"{measure}, validation")
    steps = [row["step"] for row in rows]
    for axes in (losses, second):
        axes.set_xlabel("epoch (dashed: a new step of the recipe)")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        for i in range(1, len(steps)):
            if steps[i] != steps[i - 1]:
                axes.axvline(i + 0.5, color="gray", linestyle="--", linewidth=0.8)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=120, metadata={"Software": None})
    return picture.getvalue()
