"""The three stages on a tiny model, end to end, in both directions, and what they promise."""

import json
import random
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_learners import At, ctrl_c
from tiny_models import refuses
from tiny_stages import (
    GENERAL,
    MOODS,
    SETTINGS_1,
    SETTINGS_2,
    SETTINGS_3,
    STEPS_3,
    review,
    reviews,
    stage1,
    stage2,
    stage3,
    write_csv,
    write_general,
    write_reviews,
)

from ulmfit import __main__, evaluate, generate, predict, stage1_pretrain, stage2_lm, stage3_clf
from ulmfit.artifacts.directory import read_artifact, read_metrics
from ulmfit.artifacts.pretrained import load_pretrained
from ulmfit.base.cli import run_command
from ulmfit.data import __main__ as preflight
from ulmfit.inference.baseline import baseline_names
from ulmfit.inference.ensemble import Classifier
from ulmfit.model.sizes import SIZES
from ulmfit.text.rules import SPECIAL_TOKENS
from ulmfit.training import domain_lm, settings
from ulmfit.training import run as training
from ulmfit.training.members import MEMBERS

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
    pretrained = load_pretrained(str(made["wiki-fwd"].path), False)
    given = {**SETTINGS_2, "data": made["data"], "min_freq": 1}
    stage = settings.load_settings(settings.LMSettings, "demo", given)
    frame = domain_lm.read_frame(stage)
    processor, _, _ = domain_lm.prepare(frame, pretrained.processor, stage)
    model, config = domain_lm.adapt(pretrained, processor, stage)
    rows, old = model[0].encoder.weight.detach(), pretrained.encoder["embedding.weight"]
    known = set(pretrained.processor.vocab)
    assert "the" in known
    assert "superb" not in known
    for i, token in enumerate(processor.vocab):
        expected = old[pretrained.processor.vocab.index(token)] if token in known else old.mean(0)
        assert torch.equal(rows[i], expected), token
    assert config.vocab_sz == len(processor.vocab)


def new_reviews(count):
    """Texts that no split has, and their moods."""
    rng, moods = random.Random(5), [*MOODS] * (count // 2)
    return [review(mood, rng) for mood in moods], moods


@pytest.mark.parametrize("name", DIRECTIONS)
def test_classifier_learns(made, name):
    texts, moods = new_reviews(60)  # of the 20 valid ones, two wrong would be too many
    found = Classifier.load(made[f"clf-{name}"].path).predict(texts)
    assert (found["label"] == moods).mean() >= 0.9
    assert made[f"clf-{name}"].metrics["valid"]["documents"] == 20


def test_evaluate_each_and_the_ensemble(made, capsys):
    folders = [str(made[f"clf-{name}"].path) for name in DIRECTIONS]
    figures = evaluate.main(clf=folders)
    assert list(figures) == [*folders, "ensemble"]
    assert figures["ensemble"]["documents"] == 20
    assert figures["ensemble"]["accuracy"] >= 0.9
    assert "20 texts, split test" in capsys.readouterr().out
    kept = json.loads((made["clf-fwd"].path / "metrics.json").read_text())
    assert kept["evaluation"] == {"reviews.csv": {"test": figures[folders[0]]}}
    assert "seconds" in kept


def test_predict_averages_the_two_directions(made):
    folders = [made[f"clf-{name}"].path for name in DIRECTIONS]
    texts, moods = new_reviews(2)
    table = Classifier.load(*folders).predict(texts)
    assert table["label"].tolist() == moods == ["good", "bad"]
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


def test_lm_text_says_which_splits_are_read(made, tmp_path, capsys):
    found, told = [], []
    for text in ("train", "all"):
        found.append(stage2(made["data"], made["wiki-fwd"].path, tmp_path / text, lm_text=text))
        card = (found[-1].path / "README.md").read_text("utf-8")
        told += ["also reads the texts of test" in capsys.readouterr().out]
        told += ["also read the texts of split test" in card]
    train, whole = found
    assert told == [False, False, True, True]
    assert train.metrics["train_tokens"] < whole.metrics["train_tokens"]
    assert read_artifact(whole.path).manifest.recipe["lm_text"] == "all"


# --- what is printed ----------------------------------------------------------------------------


def all_stages(made, folder):
    """Each stage in a blink, and what uses its model."""
    once = {"steps": [{"epochs": 1, "lr": 0.01}]}
    wiki = stage1(made["corpus"], folder / "wiki", **once)
    lm = stage2(made["data"], wiki.path, folder / "lm", **once)
    clf = stage3(made["data"], lm.path, folder / "clf", **once)
    evaluate.main(clf=str(clf.path))
    predict.main(clf=str(clf.path), text="The film was great.")
    generate.main(lm=str(lm.path), n=1, words=3)


def test_from_python_nothing_is_printed(made, tmp_path, as_imported, capfd):
    all_stages(made, tmp_path)
    assert capfd.readouterr() == ("", "")


def test_commands_print_the_lines_that_handlers_get(made, tmp_path, told, capfd):
    all_stages(made, tmp_path)
    printed = capfd.readouterr().out
    assert printed == "".join(f"{line}\n" for line in told)
    for line in (
        f"on held-out documents; wrote {tmp_path / 'wiki'}\n",
        "texts that the model wrote:\n  - ",
        f"held-out; wrote {tmp_path / 'clf'}\n20 texts, split test\n",
    ):
        assert line in printed


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
    given = {"input": file, "output": str(output), "text_col": "Ihre Meinung"}
    predict.main(clf=str(clf.path), **given, precision="float32")
    scored = pd.read_csv(output, dtype=str, keep_default_na=False)
    assert scored["id"].tolist() == [str(i) for i in range(60)]
    assert scored["Ihre Meinung"].tolist() == [row[1] for row in rows]
    assert scored.columns.tolist() == [*header, "label", "probability", "1", "3", "5", "note"]
    probabilities = scored[["1", "3", "5"]].astype(float)
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    # A text's prediction is its own, whatever is classified beside it.
    classifier = Classifier.load(clf.path, precision="float32")
    for row in (7, 8, 9, 20):
        alone = classifier.predict([rows[row][1]])
        assert np.allclose(alone[["1", "3", "5"]], probabilities.iloc[[row]], atol=1e-5)
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
        "no file or folder gone.csv, and no data set of that name; names: imdb, "
        "imdb-sample, emotion, spanish-reviews"
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
    monkeypatch.setattr(settings, "recipes", lambda stage: {"tiny": tables[stage]})
    return tables


def test_all_stages_from_one_command(made, recipe, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    summary = __main__.main(recipe="tiny")
    said = capsys.readouterr().out
    folder = tmp_path / "models" / "tiny"
    names = ["clf", "clf-bwd", "clf-fwd", "clf-nb", "clf-tfidf", "lm-bwd", "lm-fwd"]
    names.append("summary.json")
    assert sorted(entry.name for entry in folder.iterdir()) == names
    assert json.loads((folder / "summary.json").read_text()) == summary
    for figure in ("accuracy", "f1"):
        assert list(summary[figure]) == [*MEMBERS, "ensemble"]
        assert all(0 <= value <= 1 for value in summary[figure].values())
        assert all(found[figure] >= 0.9 for found in summary["baselines"].values())
    assert list(summary["baselines"]) == list(baseline_names())
    for name in DIRECTIONS:
        perplexity = summary["perplexity"][name]
        assert perplexity["after"] < perplexity["before"]
        assert summary["seconds"][f"stage2_{name}"] > 0
        assert summary["seconds"][f"stage3_{name}"] > 0
    assert summary["test_texts"] == 20
    assert len(summary["samples"]) == 2
    rows = ("forward", "backward", "linear, naive Bayes", "linear, TF-IDF", "ensemble")
    for row in (*rows, *baseline_names()):
        assert re.search(rf"^  {re.escape(row)} +[01]\.\d{{4}} +[01]\.\d{{4}}$", said, re.M), row
    assert "\nbaselines, outside the ensemble\n" in said
    assert "the figures are in models/tiny/summary.json" in said
    assert said.endswith('\nulmfit predict --clf models/tiny/clf --text "..."\n')
    # One directory is all that predict needs, and it has the figures of the evaluation.
    ensemble = Classifier.load(folder / "clf")
    assert summary["models"]["ensemble"] == "models/tiny/clf"
    assert sum(summary["weights"].values()) == pytest.approx(1)
    found = read_metrics(folder / "clf")["evaluation"][Path(made["data"]).name]["test"]
    assert found["accuracy"] == summary["accuracy"]["ensemble"]
    # Texts full of one mood: which class they are of does not depend on rounding.
    sure = [f"The film {' '.join(MOODS[mood])} was {MOODS[mood][0]}." for mood in ("good", "bad")]
    assert ensemble.predict(sure)["label"].tolist() == ["good", "bad"]
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
    assert said.count("is finished already and kept; --overwrite trains again") == 6
    assert said.count("models/tiny/clf is of these classifiers already and kept") == 1
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


NOTHING_TO_VALIDATE_ON = (
    "found 15 classes, each too small to give a row to validate on; check the column that holds "
    "the label (--label-col), or mark valid rows in a split column"
)


def test_what_a_later_stage_would_refuse_is_refused_at_once(made, recipe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [[t, y, s] for t, y, s in reviews() if s != "test"]
    data = write_csv(tmp_path / "none.csv", ["text", "label", "split"], rows)
    with refuses(
        f"{data}: found no test rows, expected labelled ones for the evaluation; add them, or run "
        "ulmfit lm and ulmfit clf by themselves"
    ):
        __main__.main(recipe="tiny", data=data)
    rows = [[t, "" if s == "test" else y, s] for t, y, s in reviews()]
    data = write_csv(tmp_path / "unlabelled.csv", ["text", "label", "split"], rows)
    by_themselves = "correct them, or run ulmfit lm and ulmfit clf by themselves"
    with refuses(
        f"20 of 20 texts in split test of {data} have no label; evaluation needs one for each; "
        + by_themselves
    ):
        __main__.main(recipe="tiny", data=data)
    rows = [[t, "odd" if s == "test" else y, s] for t, y, s in reviews()]
    data = write_csv(tmp_path / "odd.csv", ["text", "label", "split"], rows)
    with refuses(
        f"{data} has the label 'odd' in split test; the classifier knows bad, good; {by_themselves}"
    ):
        __main__.main(recipe="tiny", data=data)
    rows = [[f"{i} {t}", i // 2] for i, (t, _, _) in enumerate(reviews(30))]
    with refuses(NOTHING_TO_VALIDATE_ON):
        __main__.main(recipe="tiny", data=write_csv(tmp_path / "ids.csv", ["text", "label"], rows))
    with refuses(
        f"{made['wiki-fwd'].path} is a forward language model, and a backward one is needed as "
        "well; give --pretrained the name of both, without -fwd or -bwd, or add --members fwd"
    ):
        __main__.main(recipe="tiny", pretrained=made["wiki-fwd"].path)
    foreign = tmp_path / "models" / "tiny" / "clf-bwd"
    foreign.mkdir(parents=True)
    (foreign / "notes.txt").write_text("mine")
    with refuses(
        "models/tiny/clf-bwd contains files that are not part of a model (notes.txt); choose "
        "another --out"
    ):
        __main__.main(recipe="tiny")
    assert [p.name for p in foreign.parent.iterdir()] == ["clf-bwd"]


def test_models_of_other_data_or_another_parent_are_not_kept(made, recipe, tmp_path, monkeypatch):
    """Without a split column other rows are drawn from other data: train rows land in test."""
    monkeypatch.chdir(tmp_path)
    rows = [[t, y] for t, y, s in reviews() if s != "unsup"]
    recipe[settings.LMSettings]["steps"] = [{"epochs": 1, "lr": 0.02}]
    recipe[settings.ClassifierSettings]["steps"] = [{"epochs": 1, "lr": 0.02}]
    given = {"recipe": "tiny", "data": Path("mine.csv"), "out": Path("out")}
    write_csv(tmp_path / "mine.csv", ["text", "label"], rows)
    summary = __main__.main(**given)
    assert summary["data"] == "mine.csv"
    assert __main__.main(**given)["accuracy"] == summary["accuracy"]
    rest = "pass --overwrite to train again, or choose another --out"
    write_csv(tmp_path / "mine.csv", ["text", "label"], rows[3:])
    with refuses(f"out/lm-fwd was trained on other data than mine.csv holds now; {rest}"):
        __main__.main(**given)
    shutil.move("out/lm-fwd", "lm-fwd")  # the classifier is checked by itself
    with refuses(f"out/clf-fwd was trained on other data than mine.csv holds now; {rest}"):
        __main__.main(**given)
    shutil.move("lm-fwd", "out/lm-fwd")
    write_csv(tmp_path / "mine.csv", ["text", "label"], rows)
    assert __main__.main(**given)["accuracy"] == summary["accuracy"]
    wiki = recipe[settings.LMSettings]["pretrained"]
    manifest = Path(f"{wiki}-fwd", "manifest.json")
    before = manifest.read_text()
    manifest.write_text(json.dumps({**json.loads(before), "seed": 3}))  # of another training
    try:
        with refuses(f"out/lm-fwd was made from another language model than {wiki} is now; {rest}"):
            __main__.main(**given)
    finally:
        manifest.write_text(before)


# --- the texts that the language model has read -------------------------------------------------

ONCE = [{"epochs": 1, "lr": 0.02}]


def has_read_test(path):
    return refuses(
        f"{path} has read texts that are in test now: the data has changed since, or was split by "
        "another --seed, --label-col, --split-col or --multi-label; run stage 2 again with what "
        "stage 3 is given, or with --lm-text all if test may be read"
    )


def test_a_language_model_of_another_split_is_refused(made, tmp_path, capsys):
    rows = [[t, y, y] for t, y, s in reviews() if s != "unsup"]
    data = write_csv(tmp_path / "mine.csv", ["text", "label", "stars"], rows)

    def lm(name, data=data, **more):
        out = tmp_path / name
        return stage2(data, made["wiki-fwd"].path, out, **{"steps": ONCE, "samples": 0, **more})

    def clf(lm, data=data, **more):
        out = tmp_path / f"clf-{lm.path.name}"
        return stage3(data, lm.path, out, **{"steps": ONCE, "overwrite": True, **more})

    drawn, other, whole = lm("drawn"), lm("other", seed=7), lm("whole", seed=7, lm_text="all")
    assert clf(drawn).path.is_dir()
    assert clf(whole).path.is_dir()
    with has_read_test(other.path):
        clf(other)
    assert clf(other, seed=7).path.is_dir()
    texts = write_csv(tmp_path / "texts.csv", ["text"], [[row[0]] for row in rows])
    unlabelled = lm("unlabelled", data=texts)
    with has_read_test(unlabelled.path):
        clf(unlabelled)
    assert "trained on other texts" not in capsys.readouterr().out
    # Another order is the same texts; other rows of the same file are drawn anew.
    turned = write_csv(tmp_path / "turned.csv", ["text", "label"], [r[:2] for r in rows[::-1]])
    with has_read_test(drawn.path):
        clf(drawn, data=turned)
    write_csv(tmp_path / "mine.csv", ["text", "label", "stars"], rows[5:])
    with has_read_test(drawn.path):
        clf(drawn)


def test_a_language_model_of_other_texts_is_welcome(made, tmp_path, capsys):
    said = "was trained on other texts; those of test may be among them"
    rows = reviews(60, seed=5)
    data = write_csv(tmp_path / "mine.csv", ["text", "label", "split"], rows)
    given = {"steps": ONCE, "overwrite": True}
    stage3(data, made["lm-fwd"].path, tmp_path / "clf", **given)
    assert f"{made['lm-fwd'].path} {said}" in capsys.readouterr().out
    stage3(data, made["wiki-fwd"].path, tmp_path / "clf", **given)
    assert f"{made['wiki-fwd'].path} {said}" in capsys.readouterr().out
    # More texts to train on, and the same test part: it was left out, whatever came to train.
    lm = stage2(data, made["wiki-fwd"].path, tmp_path / "lm", steps=ONCE, samples=0)
    more = [["a fine film", "good", "train"], ["a poor film", "bad", "train"]]
    write_csv(tmp_path / "mine.csv", ["text", "label", "split"], rows + more)
    stage3(data, lm.path, tmp_path / "clf", **given)
    assert said not in capsys.readouterr().out


def test_classes_too_small_to_validate_are_refused_before_the_training(made, tmp_path):
    rows = [[f"{i} {t}", i // 2] for i, (t, _, _) in enumerate(reviews(30))]
    data = write_csv(tmp_path / "ids.csv", ["text", "label"], rows)
    with refuses(NOTHING_TO_VALIDATE_ON):
        stage3(data, made["lm-fwd"].path, tmp_path / "clf")
    assert not (tmp_path / "clf").exists()


def test_paths_from_python(made, tmp_path):
    """`Path` objects wherever a command takes a path."""
    wiki, data = made["wiki-fwd"].path, Path(made["data"])
    assert isinstance(wiki, Path)
    once = {"steps": ONCE, "overwrite": True}
    again = stage1_pretrain.main(
        **{**SETTINGS_1, **once}, corpus=Path(made["corpus"]), out=tmp_path / "wiki"
    )
    lm = stage2_lm.main(
        **{**SETTINGS_2, **once}, data=data, pretrained=again.path, out=tmp_path / "lm"
    )
    clf = stage3_clf.main(**{**SETTINGS_3, **once}, data=data, lm=lm.path, out=tmp_path / "clf")
    assert read_artifact(clf.path).manifest.recipe["data"] == made["data"]
    assert len(generate.main(lm=lm.path, n=1, words=3)) == 1
    assert preflight.main(data=data)["rows"] == 120


def test_vocabulary_begins_with_the_special_tokens(made):
    vocab = read_artifact(made["lm-fwd"].path).processor().vocab
    assert tuple(vocab[: len(SPECIAL_TOKENS)]) == SPECIAL_TOKENS


def test_without_stage_1(made, tmp_path):
    made_lm = stage2(made["data"], "none", tmp_path / "lm", size="tiny", rates="equal")
    manifest = read_artifact(made_lm.path).manifest
    assert manifest.parent is None
    assert manifest.metrics["known_words"] == 0
    assert manifest.config.encoder.emb_sz == SIZES["tiny"][0]
    assert made_lm.metrics["after"]["perplexity"] < 0.5 * made_lm.metrics["before"]["perplexity"]
    assert "Began from none" not in (made_lm.path / "README.md").read_text()


def test_without_stage_2(made, tmp_path, capsys):
    pretrained = made["wiki-fwd"]
    result = stage3(made["data"], pretrained.path, tmp_path / "clf")
    artifact = read_artifact(result.path)
    assert artifact.manifest.parent == read_artifact(pretrained.path).manifest_sha256
    assert artifact.processor().vocab == read_artifact(pretrained.path).processor().vocab
    assert "was trained on other texts" in capsys.readouterr().out


def test_without_stages_1_and_2(made, tmp_path):
    result = stage3(made["data"], "none", tmp_path / "clf", size="tiny", min_freq=1)
    artifact = read_artifact(result.path)
    assert artifact.manifest.parent is None
    assert "superb" in artifact.processor().vocab
    # Words of train alone: those of valid and test are unknown to a model from scratch.
    rows = [row for row in reviews() if row[2] == "train"]
    assert set(artifact.processor().vocab) - set(SPECIAL_TOKENS) <= set(
        artifact.processor().fit(text for text, _, _ in rows).vocab
    )
    assert evaluate.main(clf=str(result.path))[str(result.path)]["documents"] == 20


def test_few_labels(made, tmp_path):
    result = stage3(made["data"], made["lm-fwd"].path, tmp_path / "clf", labels=12)
    assert result.metrics["train_texts"] == 12
    assert result.metrics["valid"]["documents"] == 12
    assert evaluate.main(clf=str(result.path))[str(result.path)]["documents"] == 20


def test_few_labels_of_data_that_is_split_by_the_seed(made, tmp_path):
    rows = [row[:2] for row in reviews(n=200) if row[1]]
    data = write_csv(tmp_path / "all.csv", ["text", "label"], rows)
    result = stage3(data, made["lm-fwd"].path, tmp_path / "clf", labels=40)
    assert result.metrics["train_texts"] == 40
    assert evaluate.main(clf=str(result.path))[str(result.path)]["documents"] > 10


@pytest.mark.parametrize(
    "variant", [{"unfreeze": "all"}, {"unfreeze": "last"}, {"schedule": "slanted"}]
)
def test_variants_train_as_long(made, tmp_path, variant):
    result = stage3(made["data"], made["lm-fwd"].path, tmp_path / "clf", **variant)
    artifact = read_artifact(result.path)
    assert len(artifact.history()) == 9
    key, value = next(iter(variant.items()))
    assert artifact.manifest.recipe[key] == value
    before = read_artifact(made["lm-fwd"].path).encoder()["rnn.0.weight_hh_l0"]
    after = artifact.encoder()["rnn.0.weight_hh_l0"]
    assert torch.equal(before, after) == (value == "last")


def test_test_texts_of_another_data_set_are_left_out(made, tmp_path, capsys):
    rows = reviews(n=60, seed=5, splits=("train", "valid", "test"))
    other = write_csv(tmp_path / "other.csv", ["text", "label", "split"], rows)
    held = [text for text, _, split in rows if split == "test"]
    more = [[text.upper().replace(" ", "  "), "", "unsup"] for text in held]
    data = write_csv(tmp_path / "data.csv", ["text", "label", "split"], [*reviews(), *more])
    lm = stage2(data, made["wiki-fwd"].path, tmp_path / "lm", withhold=other)
    assert f"{len(held)} texts are in test of {other} and are left out" in capsys.readouterr().out
    plain = made["lm-fwd"].metrics["train_tokens"]
    assert lm.metrics["train_tokens"] == plain
    stage3(other, lm.path, tmp_path / "clf")  # knows that its test was left out
    stage3(data, lm.path, tmp_path / "own")
    assert "may be among them" not in capsys.readouterr().out


def test_sampled_softmax_learns(made, tmp_path):
    lm = stage2(made["data"], made["wiki-fwd"].path, tmp_path / "lm", sampled_softmax=30)
    plain = made["lm-fwd"].metrics
    assert lm.metrics["before"] == plain["before"]
    assert lm.metrics["after"]["perplexity"] < 1.3 * plain["after"]["perplexity"]
    assert lm.metrics["after"] != plain["after"]


def test_vocabulary_of_both(made, tmp_path):
    wiki = read_artifact(made["wiki-fwd"].path)
    of_texts = read_artifact(made["lm-fwd"].path).processor().vocab
    lm = stage2(made["data"], wiki.path, tmp_path / "lm", vocab_of="both")
    vocab = read_artifact(lm.path).processor().vocab
    assert vocab[: len(of_texts)] == of_texts
    assert set(vocab) == {*of_texts, *wiki.processor().vocab}
    cut = domain_lm.fill_vocab(["a", "b"], ["b", "c", "a", "d"], 3)
    assert cut == ["a", "b", "c"]
    assert domain_lm.fill_vocab(["a", "b"], ["c"], 1) == ["a", "b"]


def test_several_corpora(made, tmp_path):
    once = stage1(made["corpus"], tmp_path / "one")
    twice = stage1([made["corpus"], made["corpus"]], tmp_path / "two")
    assert twice.metrics["valid_tokens"] > 0
    assert twice.metrics["train_tokens"] > 1.8 * once.metrics["train_tokens"]


def test_rare_classes_may_weigh_more(made, tmp_path):
    many = [row for row in reviews(n=300) if row[1] == "good"]
    rows = [*many, *[row for row in reviews(n=40, seed=3) if row[1] == "bad"]]
    data = write_csv(tmp_path / "rare.csv", ["text", "label", "split"], rows)
    losses = {}
    for weights in ("equal", "balanced"):
        result = stage3(data, made["lm-fwd"].path, tmp_path / weights, class_weights=weights)
        losses[weights] = result.metrics["epochs"][0]["train_loss"]
    assert losses["equal"] != losses["balanced"]


def test_smoothed_labels_make_less_sure(made, tmp_path):
    smooth = stage3(made["data"], made["lm-fwd"].path, tmp_path / "clf", label_smoothing=0.3)
    texts = [text for text, _, _ in reviews()]
    sure = [
        Classifier.load(folder, precision="float32").predict(texts)["probability"].mean()
        for folder in (smooth.path, made["clf-fwd"].path)
    ]
    assert sure[0] < sure[1] - 0.05
