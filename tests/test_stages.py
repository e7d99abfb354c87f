"""The three stages on a tiny model, end to end, in both directions, and what they promise."""

import json
import re
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_learners import At, ctrl_c
from tiny_models import refuses
from tiny_stages import (
    GENERAL,
    SETTINGS_2,
    SETTINGS_3,
    STEPS_3,
    reviews,
    stage1,
    stage2,
    stage3,
    write_csv,
    write_general,
    write_reviews,
)

from ulmfit import __main__, evaluate, generate, predict, settings, stage2_lm, training
from ulmfit.artifacts import read_artifact
from ulmfit.cli import run_command
from ulmfit.models import SIZES
from ulmfit.predict import Classifier
from ulmfit.rules import SPECIAL_TOKENS

DIRECTIONS = {"fwd": False, "bwd": True}
ODD = "<br />Ünïcode &amp; <b>HTML</b> 😀👍🏽 שלום 电影 «naïve»\tTAB"


def made_of(folder):
    """Where everything lies: general text, reviews, and the models of all stages."""
    places = {"corpus": write_general(folder / "general.csv")}
    places["data"] = write_reviews(folder / "reviews.csv")
    for name, backwards in DIRECTIONS.items():
        wiki, lm, clf = (folder / f"{stage}-{name}" for stage in ("wiki", "lm", "clf"))
        places[f"wiki-{name}"] = stage1(places["corpus"], wiki, backwards=backwards)
        places[f"lm-{name}"] = stage2(places["data"], wiki, lm, backwards=backwards)
        places[f"clf-{name}"] = stage3(places["data"], lm, clf, backwards=backwards)
    return places


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ULMFIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory, cache):
    return made_of(tmp_path_factory.mktemp("made"))


@pytest.mark.parametrize("name", DIRECTIONS)
def test_lineage_and_manifests(made, name):
    results = [made[f"{stage}-{name}"] for stage in ("wiki", "lm", "clf")]
    artifacts = [read_artifact(result.path) for result in results]
    assert [a.manifest.kind for a in artifacts] == ["lm", "lm", "classifier"]
    assert {a.manifest.direction for a in artifacts} == {
        f"{'for' if name == 'fwd' else 'back'}ward"
    }
    assert {a.manifest.size for a in artifacts} == {"tiny"}
    assert [a.manifest.parent for a in artifacts] == [
        None,
        *(parent.manifest_sha256 for parent in artifacts[:-1]),
    ]
    assert artifacts[2].manifest.labels == ["bad", "good"]
    assert artifacts[1].manifest.tokenizer == artifacts[2].manifest.tokenizer
    assert artifacts[2].manifest.recipe["steps"][1]["groups"] == STEPS_3[1]["groups"]
    for artifact, epochs in zip(artifacts, (3, 5, 9), strict=True):
        assert len(artifact.history()) == epochs
        assert len(artifact.encoder()["rnn.0.weight_hh_l0"][0]) == SIZES["tiny"][1]
    assert not list(results[0].path.parent.glob("*.checkpoint"))


@pytest.mark.parametrize("name", DIRECTIONS)
def test_perplexity_falls(made, name):
    metrics = made[f"lm-{name}"].metrics
    assert metrics["after"]["perplexity"] < 0.6 * metrics["before"]["perplexity"]
    read = read_artifact(made[f"lm-{name}"].path).manifest.metrics
    assert read["after"] == metrics["after"]
    assert len(metrics["samples"]) == 2


def test_known_words_keep_their_rows_and_new_ones_get_the_mean(made):
    pretrained = stage2_lm.load_pretrained(str(made["wiki-fwd"].path), False)
    given = {**SETTINGS_2, "data": made["data"], "min_freq": 1}
    stage = settings.load_settings(settings.LMSettings, "demo", given)
    processor, _, _ = stage2_lm.prepare(stage2_lm.read_frame(stage), pretrained.processor, stage)
    model, config = stage2_lm.adapt(pretrained, processor, stage)
    rows, old = model[0].encoder.weight.detach(), pretrained.encoder["embedding.weight"]
    known = set(pretrained.processor.vocab)
    assert "the" in known
    assert "superb" not in known
    for i, token in enumerate(processor.vocab):
        expected = old[pretrained.processor.vocab.index(token)] if token in known else old.mean(0)
        assert torch.equal(rows[i], expected), token
    assert config.vocab_sz == len(processor.vocab)


def test_classifier_learns(made):
    assert made["clf-fwd"].metrics["valid"]["accuracy"] >= 0.9
    assert made["clf-bwd"].metrics["valid"]["accuracy"] >= 0.9


def test_evaluate_each_and_the_ensemble(made, capsys):
    folders = [str(made[f"clf-{name}"].path) for name in DIRECTIONS]
    figures = evaluate.main(clf=folders)
    assert list(figures) == [*folders, "ensemble"]
    assert figures["ensemble"]["documents"] == 20
    assert figures["ensemble"]["accuracy"] >= 0.9
    assert "20 texts, split test" in capsys.readouterr().out
    kept = json.loads((made["clf-fwd"].path / "metrics.json").read_text())
    assert kept["evaluation"]["test"] == figures[folders[0]]
    assert "seconds" in kept


def test_predict_averages_the_two_directions(made):
    folders = [made[f"clf-{name}"].path for name in DIRECTIONS]
    texts = ["The great lovely superb film was funny.", "The dull awful boring plot was lame."]
    table = Classifier.load(*folders).predict(texts)
    assert table["label"].tolist() == ["good", "bad"]
    single = [Classifier.load(folder).predict(texts)["good"] for folder in folders]
    assert np.allclose(table["good"], np.mean(single, axis=0), atol=1e-6)


@pytest.mark.parametrize("name", DIRECTIONS)
def test_generate(made, name, capsys):
    lm = str(made[f"lm-{name}"].path)
    texts = generate.main(lm=lm, prompt="The film", n=2, words=8)
    assert len(texts) == 2
    assert all(
        text.lower().startswith("the film") if name == "fwd" else text.lower().endswith("the film")
        for text in texts
    )
    assert generate.main(lm=lm, prompt="The film", n=2, words=8) == texts
    assert texts[0] in capsys.readouterr().out


@pytest.mark.parametrize("name", DIRECTIONS)
def test_the_same_command_twice_gives_the_same_files(made, tmp_path, name):
    backwards = DIRECTIONS[name]
    again = {
        "wiki": stage1(made["corpus"], tmp_path / "wiki", backwards=backwards),
        "lm": stage2(made["data"], made[f"wiki-{name}"].path, tmp_path / "lm", backwards=backwards),
        "clf": stage3(made["data"], made[f"lm-{name}"].path, tmp_path / "clf", backwards=backwards),
    }
    for stage, result in again.items():
        first = made[f"{stage}-{name}"].path
        for file in sorted(entry.name for entry in first.iterdir()):
            if file != "metrics.json":  # it holds the seconds
                assert (result.path / file).read_bytes() == (first / file).read_bytes(), file


def test_another_seed_gives_other_weights(made, tmp_path):
    other = stage3(made["data"], made["lm-fwd"].path, tmp_path / "clf", seed=7)
    name = "head.safetensors"
    assert (other.path / name).read_bytes() != (made["clf-fwd"].path / name).read_bytes()


def test_subword_tokenizer_goes_through_all_stages(made, tmp_path):
    wiki = stage1(made["corpus"], tmp_path / "wiki", tokenizer="subword", max_vocab=80)
    lm = stage2(made["data"], wiki.path, tmp_path / "lm")
    assert lm.metrics["after"]["perplexity"] < lm.metrics["before"]["perplexity"]
    clf = stage3(made["data"], lm.path, tmp_path / "clf")
    files = {"processor.json", "spm.model"}
    assert files < {entry.name for entry in clf.path.iterdir()}
    assert len(Classifier.load(clf.path).predict(["superb", ""])) == 2


def test_half_precision_files(made, tmp_path):
    lm = stage2(made["data"], made["wiki-fwd"].path, tmp_path / "lm", half=True)
    name = "encoder.safetensors"
    sizes = [(path / name).stat().st_size for path in (lm.path, made["lm-fwd"].path)]
    assert sizes[0] < 0.6 * sizes[1]


def test_test_labels_are_read_by_evaluate_alone(made, tmp_path):
    """Another label in every test row, and still the same model."""
    rows = reviews()
    turned = [[t, "good" if s == "test" else y, s] for t, y, s in rows]
    data = write_csv(tmp_path / "reviews.csv", ["text", "label", "split"], turned)
    other = stage3(data, made["lm-fwd"].path, tmp_path / "clf")
    for name in ("encoder.safetensors", "head.safetensors"):
        assert (other.path / name).read_bytes() == (made["clf-fwd"].path / name).read_bytes()


def test_lm_text_says_which_splits_are_read(made, tmp_path):
    train, whole = (
        stage2(made["data"], made["wiki-fwd"].path, tmp_path / text, lm_text=text)
        for text in ("train", "all")
    )
    assert train.metrics["train_tokens"] < whole.metrics["train_tokens"]
    assert read_artifact(whole.path).manifest.recipe["lm_text"] == "all"


# --- somebody else's data -----------------------------------------------------------------------


def test_a_csv_of_somebody_elses(made, tmp_path, capsys):
    """Other column names, three labels, no splits, and texts of every kind."""
    rng = np.random.default_rng(0)
    stars = {"1": "awful boring", "3": "so so film", "5": "great superb"}
    rows = [
        [i, f"{words} {' '.join(rng.choice(GENERAL, 8))}", star]
        for i, (star, words) in enumerate(list(stars.items()) * 20)
    ]
    rows[7][1] = ODD
    rows[8][1] = ""
    rows[9][1] = " ".join(rng.choice(GENERAL, 20_000))
    header = ["id", "Ihre Meinung", "Sterne ⭐"]
    file = write_csv(tmp_path / "mein.csv", header, rows)
    columns = {"text_col": "Ihre Meinung", "label_col": "Sterne ⭐"}
    lm = stage2(file, made["wiki-fwd"].path, tmp_path / "lm", seq_len=64, **columns)
    once = [{"epochs": 1, "lr": 0.02}]
    clf = stage3(file, lm.path, tmp_path / "clf", max_len=200, bptt=200, steps=once, **columns)
    said = capsys.readouterr().out
    assert "1 of 60 texts are missing or empty; kept as empty texts" in said
    assert "no split column: made one, stratified, from seed 42: 48 train, 6 valid, 6 test" in said
    assert "classifier of 1, 3, 5 from 48 labelled texts, 6 held out" in said
    output = tmp_path / "scored.csv"
    scored = predict.main(
        clf=str(clf.path), input=file, output=str(output), text_col="Ihre Meinung"
    )
    assert scored["id"].tolist() == [str(i) for i in range(60)]
    assert scored["Ihre Meinung"].tolist() == [row[1] for row in rows]
    assert scored.columns.tolist() == [*header, "label", "probability", "1", "3", "5"]
    assert np.allclose(scored[["1", "3", "5"]].sum(axis=1), 1, atol=1e-5)
    written = pd.read_csv(output, dtype=str, keep_default_na=False)
    assert written["Ihre Meinung"].tolist() == [row[1] for row in rows]
    assert written["label"].tolist() == scored["label"].tolist()
    # A text's prediction is its own, whatever is classified beside it.
    for row in (7, 8, 9, 20):
        alone = Classifier.load(clf.path).predict([rows[row][1]])
        assert np.allclose(alone[["1", "3", "5"]], scored[["1", "3", "5"]].iloc[[row]], atol=1e-5)
    assert evaluate.main(clf=str(clf.path))[str(clf.path)]["documents"] == 6


def test_texts_without_labels_are_enough_for_stage_2(made, tmp_path, capsys):
    rows = [[text] for text, _, _ in reviews(n=60)]
    lm = stage2(
        write_csv(tmp_path / "t.csv", ["text"], rows), made["wiki-fwd"].path, tmp_path / "lm"
    )
    said = capsys.readouterr().out
    assert "no split column and no labels: all 60 rows are unsup" in said
    assert "on 6 held-out texts" in said
    assert lm.metrics["after"]["perplexity"] < lm.metrics["before"]["perplexity"]


# --- interrupted stages -------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["wiki", "lm", "clf"])
def test_interrupted_stage_leaves_a_checkpoint_and_goes_on(
    made, tmp_path, monkeypatch, capsys, stage
):
    places = {"corpus": made["corpus"], "data": made["data"], "out": tmp_path / "m"}
    calls = {
        "wiki": lambda: stage1(made["corpus"], places["out"]),
        "lm": lambda: stage2(made["data"], made["wiki-fwd"].path, places["out"]),
        "clf": lambda: stage3(made["data"], made["lm-fwd"].path, places["out"]),
    }
    fit = training.Run.fit

    def stopped(run):
        run.learn.add_cb(At(ctrl_c, batch=12))
        return fit(run)

    with monkeypatch.context() as patch:
        patch.setattr(training.Run, "fit", stopped)
        with pytest.raises(KeyboardInterrupt, match="the same command goes on from there"):
            calls[stage]()
    assert [entry.name for entry in tmp_path.iterdir()] == ["m.checkpoint"]
    result = calls[stage]()
    assert "going on at step" in capsys.readouterr().out
    assert [entry.name for entry in tmp_path.iterdir()] == ["m"]
    first = made[f"{stage}-fwd"].path
    for file in sorted(entry.name for entry in first.iterdir()):
        if file != "metrics.json":
            assert (result.path / file).read_bytes() == (first / file).read_bytes(), file


def test_interrupted_command_exits_with_130(made, tmp_path, monkeypatch, capsys):
    fit = training.Run.fit

    def stopped(run):
        run.learn.add_cb(At(ctrl_c, batch=3))
        return fit(run)

    monkeypatch.setattr(training.Run, "fit", stopped)
    arguments = ["--corpus", made["corpus"], "--out", str(tmp_path / "m"), "--size", "tiny"]
    arguments += ["--batch-size", "8", "--seq-len", "16", "--valid-documents", "8"]
    monkeypatch.setattr(sys, "argv", ["stage1_pretrain", *arguments])
    from ulmfit import stage1_pretrain

    with pytest.raises(SystemExit) as stop:
        run_command(stage1_pretrain.main)
    assert stop.value.code == 130
    assert capsys.readouterr().err == (
        f"interrupted: saved {tmp_path / 'm.checkpoint'}; the same command goes on from there\n"
    )


def test_wrong_data_leaves_the_checkpoint_of_an_overwriting_run(made, tmp_path):
    checkpoint = tmp_path / "m.checkpoint"
    checkpoint.write_bytes(b"hours of work")
    with refuses(
        "no file or folder gone.csv, and no data set of that name; names: imdb, imdb-sample"
    ):
        stage2("gone.csv", made["wiki-fwd"].path, tmp_path / "m", overwrite=True)
    assert checkpoint.read_bytes() == b"hours of work"


# --- python -m ulmfit ---------------------------------------------------------------------------


@pytest.fixture
def recipe(made, monkeypatch):
    """A recipe [tiny] for stages 2 and 3."""
    wiki = str(made["wiki-fwd"].path).removesuffix("-fwd")
    tables = {
        settings.LMSettings: {**SETTINGS_2, "data": made["data"], "pretrained": wiki},
        settings.ClassifierSettings: {**SETTINGS_3, "data": made["data"]},
    }
    monkeypatch.setattr(settings, "_tables", lambda stage: {"tiny": tables[stage]})
    return tables


def test_all_stages_from_one_command(made, recipe, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    summary = __main__.main(recipe="tiny")
    said = capsys.readouterr().out
    folder = tmp_path / "models" / "tiny"
    names = ["clf-bwd", "clf-fwd", "lm-bwd", "lm-fwd", "summary.json"]
    assert sorted(entry.name for entry in folder.iterdir()) == names
    assert json.loads((folder / "summary.json").read_text()) == summary
    for figure in ("accuracy", "f1"):
        assert list(summary[figure]) == ["fwd", "bwd", "ensemble"]
        assert all(0 <= value <= 1 for value in summary[figure].values())
        assert summary["baseline"][figure] >= 0.9
    assert summary["baseline"]["name"] == "TF-IDF + logistic regression"
    for name in DIRECTIONS:
        perplexity = summary["perplexity"][name]
        assert perplexity["after"] < perplexity["before"]
        assert summary["seconds"][f"stage2_{name}"] > 0
        assert summary["seconds"][f"stage3_{name}"] > 0
    assert summary["test_texts"] == 20
    assert len(summary["samples"]) == 2
    for row in ("forward", "backward", "ensemble", "TF-IDF + logistic regression"):
        assert re.search(rf"^  {re.escape(row)} +[01]\.\d{{4}} +[01]\.\d{{4}}$", said, re.M), row
    assert "the figures are in models/tiny/summary.json" in said
    # The stages by themselves give the same weights.
    for kind in ("lm", "clf"):
        for name in DIRECTIONS:
            ours = folder / f"{kind}-{name}" / "encoder.safetensors"
            theirs = made[f"{kind}-{name}"].path / "encoder.safetensors"
            assert ours.read_bytes() == theirs.read_bytes()

    # Again: kept. Other settings: refused. --overwrite: trained anew.
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}
    assert __main__.main(recipe="tiny")["accuracy"] == summary["accuracy"]
    said = capsys.readouterr().out
    assert said.count("is finished already and kept; --overwrite trains again") == 4
    assert {path: path.stat().st_mtime_ns for path in before} == before
    with refuses(
        "models/tiny/lm-fwd holds a model of other settings; pass --overwrite to train again, or "
        "choose another --out"
    ):
        __main__.main(recipe="tiny", seed=7)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    other = __main__.main(recipe="tiny", seed=7, overwrite=True)
    assert all(path.stat().st_mtime_ns > before[path] for path in before)
    assert read_artifact(folder / "clf-bwd").manifest.seed == 7
    assert other["models"] == summary["models"]


def test_what_a_later_stage_would_refuse_is_refused_at_once(recipe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [[t, y, s] for t, y, s in reviews() if s != "test"]
    data = write_csv(tmp_path / "none.csv", ["text", "label", "split"], rows)
    with refuses(
        f"{data}: found no test rows, expected labelled ones for the evaluation; add them, or run "
        "python -m ulmfit.stage2_lm and ulmfit.stage3_clf by themselves"
    ):
        __main__.main(recipe="tiny", data=data)
    rows = [[t, "" if s == "test" else y, s] for t, y, s in reviews()]
    data = write_csv(tmp_path / "unlabelled.csv", ["text", "label", "split"], rows)
    with refuses(
        f"{data}: found 20 of 20 test rows without a label, expected labelled ones for the "
        "evaluation; add them, or run python -m ulmfit.stage2_lm and ulmfit.stage3_clf by "
        "themselves"
    ):
        __main__.main(recipe="tiny", data=data)
    foreign = tmp_path / "models" / "tiny" / "clf-bwd"
    foreign.mkdir(parents=True)
    (foreign / "notes.txt").write_text("mine")
    with refuses(
        "models/tiny/clf-bwd holds what is no part of a model (notes.txt) and is left alone; "
        "choose another --out"
    ):
        __main__.main(recipe="tiny")
    assert [p.name for p in foreign.parent.iterdir()] == ["clf-bwd"]


def test_vocabulary_begins_with_the_special_tokens(made):
    vocab = read_artifact(made["lm-fwd"].path).processor().vocab
    assert tuple(vocab[: len(SPECIAL_TOKENS)]) == SPECIAL_TOKENS
