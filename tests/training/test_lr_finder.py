"""The learning rate finder: what it leaves as it was, what it suggests, and --lr auto."""

import math

import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from tiny_learners import LEARNERS, weights
from tiny_models import refuses
from tiny_stages import stage2, write_general, write_reviews

from ulmfit.artifacts.directory import read_artifact
from ulmfit.training.lr_finder import HIGHEST, LOWEST, find_rate, show_rate


@pytest.mark.parametrize("name", LEARNERS)
def test_the_model_is_as_before(name):
    learn = LEARNERS[name]()
    before = weights(learn)
    random = torch.get_rng_state()
    found = find_rate(learn, batches=30)
    for key, weight in weights(learn).items():
        assert torch.equal(weight, before[key]), key
    assert torch.equal(torch.get_rng_state(), random)
    assert all(p.grad is None for p in learn.model.parameters())
    assert LOWEST < found.suggestion < HIGHEST


def test_rates_rise_by_a_factor_and_it_stops_when_the_loss_diverges():
    found = find_rate(LEARNERS["lm"](), batches=40)
    factors = np.diff(np.log(found.rates))
    np.testing.assert_allclose(factors, math.log(HIGHEST / LOWEST) / 40, rtol=1e-4)
    assert found.rates[0] == pytest.approx(LOWEST)
    assert all(math.isfinite(loss) for loss in found.losses)
    assert max(found.losses) <= 4 * min(found.losses)


def test_it_is_repeatable():
    first, second = (find_rate(LEARNERS["lm"](), batches=20) for _ in range(2))
    assert first == second


def test_too_little_to_look_at():
    with refuses(
        "the learning-rate finder ran only 5 batches; it needs at least 10: give more texts or a "
        "smaller --batch-size, or set --lr yourself"
    ):
        find_rate(LEARNERS["lm"](), batches=5)


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    from tiny_stages import stage1

    folder = tmp_path_factory.mktemp("places")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ULMFIT_CACHE", str(folder / "cache"))
        wiki = stage1(write_general(folder / "general.csv"), folder / "wiki")
        yield write_reviews(folder / "reviews.csv"), wiki.path


def test_find_lr_trains_nothing_and_draws(places, tmp_path, capsys):
    data, wiki = places
    path, metrics = stage2(data, wiki, tmp_path / "lm", find_lr=True)
    assert path == tmp_path / "lm-lr.png"
    assert [entry.name for entry in tmp_path.iterdir()] == ["lm-lr.png"]
    assert plt.imread(path).shape == (600, 900, 4)
    assert f"give --lr {metrics['lr']:.2g}, or --lr auto" in capsys.readouterr().out


def test_lr_auto_takes_the_suggestion(places, tmp_path):
    data, wiki = places
    _, metrics = stage2(data, wiki, tmp_path / "lm", find_lr=True)
    auto = stage2(data, wiki, tmp_path / "auto", lr="auto")
    given = stage2(data, wiki, tmp_path / "given", lr=metrics["lr"])
    highest = max(row["lr"] for row in auto.metrics["epochs"])
    assert highest == pytest.approx(metrics["lr"], rel=0.05)
    first, second = (read_artifact(made.path) for made in (auto, given))
    assert first.manifest.recipe["lr"] == "auto"
    assert (
        first.manifest.files["encoder.safetensors"] == second.manifest.files["encoder.safetensors"]
    )


def test_no_place_for_the_plot(tmp_path):
    (tmp_path / "file").write_text("")
    found = find_rate(LEARNERS["lm"](), batches=12)
    with pytest.raises(Exception, match="cannot write"):
        show_rate(found, tmp_path / "file" / "lm")
