"""The learning curves of a training as a picture: history.png beside history.csv."""

import io
from collections.abc import Mapping, Sequence
from typing import Any


def history_png(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Losses on the left, accuracy or perplexity on the right, steps apart, over the epochs.

    rows: as `History` collects them. The same rows give the same bytes.
    """
    from matplotlib.figure import Figure  # takes half a second

    figure = Figure(figsize=(9, 3.5), layout="constrained")
    losses, second = figure.subplots(1, 2)
    epochs = range(1, len(rows) + 1)
    for name, label in (("train_loss", "training"), ("valid_loss", "validation")):
        losses.plot(epochs, [row[name] for row in rows], marker=".", label=label)
    losses.set_ylabel("loss")
    losses.legend()
    measure = "perplexity" if "perplexity" in rows[0] else "accuracy"
    second.plot(epochs, [row[measure] for row in rows], marker=".", color="tab:green")
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
