"""SetFit and static vectors, with a tiny transformer that is made here."""

import json
from importlib.util import find_spec

import numpy as np
import pytest
from tiny_comparison import failures, made, no_processes, settings  # noqa: F401
from tiny_models import refuses
from tiny_stages import reviews

from ulmfit.compare import worker
from ulmfit.compare.heads import best_head
from ulmfit.compare.run import compare

PEERS = ("transformers", "setfit", "model2vec", "skeletoken", "datasets")
needs_peers = pytest.mark.skipif(
    not all(map(find_spec, PEERS)), reason="the extra compare is not installed"
)


def write_transformer(folder):
    """A BERT of one layer with random weights, whose words are those of the tiny reviews."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    words = sorted({word for text, *_ in reviews() for word in text.lower().split()})
    folder.mkdir()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    (folder / "vocab.txt").write_text("\n".join([*special, *words]), encoding="utf-8")
    tokenizer = BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=64)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(folder)
    return str(folder)


@needs_peers
@pytest.mark.usefixtures("no_processes")
def test_setfit_and_static_vectors(tmp_path):
    given = settings(
        tmp_path, transformer=write_transformer(tmp_path / "bert"), max_length=32, setfit_pairs=320,
        setfit_rates="1e-5,5e-3",
    )  # fmt: skip
    out = tmp_path / "out"
    found = made(given, out, ["setfit", "static", "static-tuned"])
    assert failures(found) == {}
    for name in ("setfit", "static", "static-tuned"):
        result = found[f"{name}-20-1"]
        assert result["figures"]["accuracy"] > 0.8  # the tiny texts are easy
        assert result["bytes"] > 5_000
    facts = found["setfit-20-1"]["facts"]
    assert (facts["learning rate"], facts["pairs"]) in ((1e-5, 320), (5e-3, 320))
    prepared = found["static-vectors"]
    assert prepared["facts"]["dimensions"] == 16
    total = prepared["seconds"] + found["static-20-1"]["seconds"]
    assert found["static-20-1"]["total_seconds"] == pytest.approx(total)
    # Other pairs are another result of setfit, and the same one of the static vectors.
    with refuses(
        f"{out / 'trials' / 'setfit-20-1.json'} was measured with other --setfit-pairs; give the "
        "same, choose another --out, or pass --overwrite to repeat such trials"
    ):
        made(settings(tmp_path, **{**changed(given), "setfit_pairs": 64}), out, ["setfit"])


def changed(given):
    names = ("transformer", "max_length", "setfit_rates")
    return {name: getattr(given, name) for name in names}


@pytest.mark.usefixtures("no_processes")
@pytest.mark.parametrize(
    ("method", "job", "packages"),
    [
        ("setfit", "setfit-20-1", "transformers and setfit"),
        ("static", "static-vectors", "transformers and model2vec and skeletoken"),
    ],
)
def test_the_package_that_is_missing(tmp_path, monkeypatch, method, job, packages):
    def fails(name):
        raise ModuleNotFoundError("No module named 'x'")

    monkeypatch.setattr(worker, "import_module", fails)
    found = failures(made(settings(tmp_path), tmp_path / "out", [method]))
    assert found[job] == f"needs {packages}, No module named 'x': pip install 'ulmfit[compare]'"
    assert set(found) == {job, f"{method}-20-1"}


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (
            {"setfit_rates": "fast"},
            "--setfit-rates is 'fast', expected learning rates between 0 and 1, separated by "
            "commas",
        ),
        ({"setfit_pairs": -1}, "--setfit-pairs is -1, expected 0 or more"),
    ],
)
def test_wrong_settings_are_refused_before_any_work(tmp_path, more, line):
    with refuses(line):
        compare(settings(tmp_path, **more), "setfit", "20", 1, str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_the_head_is_the_one_that_valid_likes_best():
    rng = np.random.default_rng(0)
    truth = np.arange(60) % 3
    train = np.eye(3)[truth] + rng.normal(0, 0.8, (60, 3))
    valid = np.eye(3)[truth] + rng.normal(0, 0.8, (60, 3))
    head = best_head(train, truth, valid, truth)
    assert (head.model.predict_proba(valid).argmax(1) == truth).mean() == head.score[0]
    assert json.dumps(head.facts) == json.dumps({"C": head.model[-1].C})
    # Labels of valid that are those of another class choose another strength of regularisation.
    other = best_head(train, truth, valid, (truth + 1) % 3)
    assert other.facts["C"] < head.facts["C"] or other.score[1] < head.score[1]
