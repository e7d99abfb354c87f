"""The learning curves as a picture."""

import io

from matplotlib import pyplot as plt

from ulmfit.training.history_plot import history_png


def rows(count, **more):
    return [
        {"step": 1 + i // 2, "epoch": i, "train_loss": 5 - i, "valid_loss": 5.5 - i, **more}
        for i in range(count)
    ]


def test_same_rows_same_bytes():
    history = rows(4, accuracy=0.5)
    assert history_png(history) == history_png(history)
    assert history_png(history) != history_png(rows(4, accuracy=0.6))
    assert plt.imread(io.BytesIO(history_png(history))).shape == (420, 1080, 4)


def test_perplexity_of_a_language_model_and_a_single_epoch():
    with_perplexity = history_png(rows(1, accuracy=0.5, perplexity=80.0))
    assert with_perplexity != history_png(rows(1, accuracy=0.5))
