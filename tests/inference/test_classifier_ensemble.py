"""Predictions: order, odd texts, ensembles, files in and out, and what is refused."""

import datetime
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_models import TEXTS, WORDS, needs_bfloat16, refuses, write_classifier, write_lm

from ulmfit.artifacts import bundled
from ulmfit.artifacts.directory import read_artifact
from ulmfit.base.atomic import atomic_write
from ulmfit.base.errors import UserError
from ulmfit.data.formats import read_file
from ulmfit.data.labels import SingleLabels
from ulmfit.data.load import load_data
from ulmfit.inference.ensemble import Classifier
from ulmfit.inference.scoring import EMPTY, Answers, prediction_columns
from ulmfit.predict import main
from ulmfit.text.corpus import tokenize_texts

ENDINGS = (".csv", ".tsv", ".jsonl", ".parquet")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Classifiers: forward and backward, of the same data."""
    folder = tmp_path_factory.mktemp("models")
    return (
        str(write_classifier(folder / "fwd")),
        str(write_classifier(folder / "bwd", backwards=True, seed=1)),
    )


@pytest.fixture(scope="module")
def classifier(folders):
    return Classifier.load(folders[0], precision="float32")


def many_texts(count=300):
    rng = np.random.default_rng(0)
    return [" ".join(rng.choice(WORDS.split(), rng.integers(0, 40))) for _ in range(count)]


def write_file(path, table):
    form = {
        ".csv": lambda: table.to_csv(index=False),
        ".tsv": lambda: table.to_csv(index=False, sep="\t"),
        ".jsonl": lambda: table.to_json(orient="records", lines=True, force_ascii=False),
        ".parquet": lambda: table.to_parquet(index=False),
    }[path.suffix]
    atomic_write(path, form())
    return path


# The table of a prediction


def test_columns(classifier):
    found = classifier.predict(TEXTS)
    assert list(found.columns) == ["label", "probability", "neg", "pos"]
    assert len(found) == len(TEXTS)
    np.testing.assert_allclose(found["neg"] + found["pos"], 1, atol=1e-6)
    np.testing.assert_array_equal(found["probability"], found[["neg", "pos"]].max(axis=1))
    expected = np.where(found["neg"] >= found["pos"], "neg", "pos")
    assert found["label"].tolist() == expected.tolist()


def test_order_is_kept_and_none_is_lost(classifier):
    texts = many_texts()
    found = classifier.predict(texts)
    assert len(found) == len(texts)
    assert found["pos"].std() > 0.1
    assert set(found["label"]) == {"neg", "pos"}
    for i in (0, 1, 17, 150, 298, 299):
        assert classifier.predict([texts[i]])["pos"][0] == pytest.approx(found["pos"][i], abs=1e-4)
    order = np.random.default_rng(1).permutation(len(texts))
    shuffled = classifier.predict([texts[i] for i in order])
    np.testing.assert_allclose(shuffled["pos"], found["pos"].iloc[order], atol=1e-4)


def test_missing_texts_count_as_empty(classifier):
    found = classifier.predict(["", None, float("nan"), np.nan, pd.NA, pd.NaT, " \n "])
    assert len(found) == 7
    assert found["pos"].tolist() == [0.5] * 7  # the share of each class, if none is known
    mixed = classifier.predict(["the worst", None, "the best"])
    assert mixed["pos"][1] == 0.5
    assert mixed["pos"][0] != mixed["pos"][2]


def write_with_prior(folder, prior):
    """A classifier whose training had classes of other sizes."""
    write_classifier(folder)
    manifest = read_artifact(folder).manifest
    manifest = replace(manifest, config=replace(manifest.config, prior=prior))
    (folder / "manifest.json").write_text(manifest.to_json())
    return folder


def test_texts_without_words_get_the_shares_of_the_training(folders, tmp_path):
    folder = write_with_prior(tmp_path / "clf", [0.75, 0.25])
    found = Classifier.load(folder).predict(["", "good film", None])
    assert found["neg"][[0, 2]].tolist() == [0.75, 0.75]
    assert found["neg"][1] != 0.75
    both = Classifier.load(folder, folders[1]).predict([" "])
    assert both["neg"][0] == pytest.approx((0.75 + 0.5) / 2)


@pytest.mark.parametrize("prior", [[0.5], [0.9, 0.2], ["a", "b"], 1, [True, False], [-0.5, 1.5]])
def test_a_prior_that_is_none(tmp_path, prior):
    folder = write_with_prior(tmp_path / "clf", prior)
    with refuses(
        f"{folder}: found the prior {prior} in the manifest's config, expected 2 shares that sum "
        "to 1; copy or train the model again"
    ):
        Classifier.load(folder)


# Texts that a model does not know

FOREIGN = [
    ("这部电影很好看", "no token is known to this model; its answer means little"),
    ("Η ταινία ήταν πολύ καλή", "none of 5 tokens is known to this model; its answer means little"),
    (
        "Η ταινία ήταν πολύ καλή, a great",
        "",  # 2 of 7
    ),
    (
        "Η ταινία αυτή ήταν τόσο πολύ καλή, great",
        "only 1 of 8 tokens is known to this model; its answer means little",
    ),
    (
        "Η ταινία αυτή ήταν τόσο πολύ πολύ καλή και αυτή όμως, a great",
        "only 2 of 13 tokens are known to this model; its answer means little",
    ),
    ("A great film 电影", ""),
    ("\u200b\u200b", EMPTY),
    (" <br />\n<br />", EMPTY),
]


def test_each_answer_has_its_note(classifier, folders):
    texts = [text for text, _ in FOREIGN]
    assert classifier.answers(texts).notes == [note for _, note in FOREIGN]
    assert Classifier.load(*folders).answers(texts).notes == [note for _, note in FOREIGN]
    assert classifier.answers([]).notes == []


def test_invisible_texts_get_the_shares_of_the_training(tmp_path):
    folder = write_with_prior(tmp_path / "clf", [0.75, 0.25])
    found = Classifier.load(folder).predict(["\u200b\ufeff", "\u3000\u3164", "<br />"])
    assert found["neg"].tolist() == [0.75] * 3


def test_from_python_a_warning_counts_them(classifier):
    line = (
        "^fewer than a fifth of the tokens of 2 of 4 texts are known to this model; its answers to "
        "them mean little$"
    )
    with pytest.warns(UserWarning, match=line) as warned:
        classifier.predict(["这部电影很好看", "a great film", "", "Η ταινία ήταν πολύ καλή"])
    assert [one.filename for one in warned] == [__file__]


def test_the_command_notes_one_text(folders, told):
    main(clf=[folders[0]], text="这部电影很好看")
    note = "note no token is known to this model; its answer means little"
    assert told[-1].strip() == note
    main(clf=[folders[0]], text="\u200b")
    assert told[-1].strip() == f"note {EMPTY}"
    main(clf=[folders[0]], text="a great film")
    assert told[-1].startswith("       label")


def test_the_command_counts_the_rows_of_a_file(folders, tmp_path, told):
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    texts = [*(text for text, _ in FOREIGN), "a great film"]
    write_file(source, pd.DataFrame({"text": texts}))
    main(clf=[folders[0]], input=str(source), output=str(target))
    assert told[-1] == (
        "notes on 6 of 9 rows: 4 with fewer than a fifth of the tokens known to the model, whose "
        "answers to them mean little; 2 with nothing to read"
    )
    notes = read_file(target)["note"].fillna("").tolist()
    assert notes == [*(note for _, note in FOREIGN), ""]
    write_file(source, pd.DataFrame({"text": ["a great film"]}))
    main(clf=[folders[0]], input=str(source), output=str(target), overwrite=True)
    assert told[-1].startswith("wrote 1 rows")


@pytest.mark.parametrize("ending", ENDINGS)
def test_texts_without_words_are_marked(folders, tmp_path, ending):
    table = pd.DataFrame({"text": ["a good film", "", None, "  ", "bad"]})
    source, target = write_file(tmp_path / f"in{ending}", table), tmp_path / f"out{ending}"
    main(clf=[folders[0]], input=str(source), output=str(target))
    found = read_file(target)
    marked = [bool(note) and note == EMPTY for note in found["note"].fillna("")]
    expected = [not str(text).strip() for text in found["text"].fillna("")]
    assert marked == expected
    assert sum(marked) == (3 if len(found) == 5 else 2)  # csv of one column: a blank line is a text


def test_what_is_no_list_of_texts_is_refused(classifier):
    with refuses("texts[1] is an int, expected a string; pass it as a text, e.g. str(number)"):
        classifier.predict(["a film", 7])
    with refuses(
        "texts[0] is a list, expected a string; pass one flat list of texts, with the tokens of a "
        "text joined by spaces"
    ):
        classifier.probabilities([["a", "film"]])
    table = pd.DataFrame({"id": [1], "text": ["a film"]})
    with refuses(
        "found a DataFrame with the columns id, text, expected one column of texts; pass one "
        "column, e.g. frame['text']"
    ):
        classifier.predict(table)


def test_odd_texts(classifier):
    texts = [
        "😀 👩‍👩‍👧 🇳🇿",
        "<p>a &lt;b&gt; <br /> film</p>",
        "שלום, 电影, Привет",
        "nul \x00, half a pair \ud83d, U+2028 \u2028, \ufeff",
        "xxbos xxpad xxunk xxrep 5 a",
        "a" * 5000,
    ]
    found = classifier.predict(texts)
    assert len(found) == len(texts)
    assert found[["neg", "pos"]].notna().all(axis=None)


def test_a_text_of_20000_words(classifier):
    long = "never again , the story was dull and " * 2500
    found = classifier.predict(["good", long, ""])
    assert classifier.predict([long])["pos"][0] == pytest.approx(found["pos"][1], abs=1e-4)
    assert classifier.predict(["good"])["pos"][0] == pytest.approx(found["pos"][0], abs=1e-4)


def test_no_texts(classifier):
    found = classifier.predict([])
    assert found.shape == (0, 4)
    assert list(found.columns) == ["label", "probability", "neg", "pos"]


def test_other_sequences(classifier):
    expected = classifier.predict(TEXTS)
    for texts in (tuple(TEXTS), iter(TEXTS), np.array(TEXTS, object), np.array(TEXTS)):
        pd.testing.assert_frame_equal(classifier.predict(texts), expected)


def test_a_series_keeps_its_index(classifier):
    series = pd.Series(TEXTS, index=[7, 3, 3, 1, 0])
    found = classifier.predict(series)
    pd.testing.assert_frame_equal(found, classifier.predict(TEXTS).set_axis(series.index))


def test_one_string_is_no_list_of_texts(classifier):
    with refuses("found one text, expected a list of texts; call predict([text])"):
        classifier.predict("a film")


def test_classes_may_be_called_anything():
    probabilities = np.array([[0.5, 0.2, 0.2, 0.1]], np.float32)
    labels = ["label", "probability", "class_label", "text"]
    found = pd.DataFrame(prediction_columns(probabilities, SingleLabels(labels)))
    assert list(found.columns) == [
        *("label", "probability"),
        *("class_label", "class_probability", "class_class_label", "text"),
    ]
    assert found["label"].tolist() == ["label"]
    np.testing.assert_array_equal(found.iloc[:, 2:], probabilities)


@needs_bfloat16
def test_precisions_are_near(folders, classifier):
    found = Classifier.load(folders[0], precision="bfloat16").predict(TEXTS)
    np.testing.assert_allclose(found["pos"], classifier.predict(TEXTS)["pos"], atol=0.1)


def test_unknown_and_impossible_precisions_are_refused(folders, monkeypatch):
    with refuses("precision is 'half', expected one of auto, bfloat16, float32"):
        Classifier.load(folders[0], precision="half")
    monkeypatch.setattr("ulmfit.base.precision.has_bfloat16", lambda device: False)
    with refuses(
        "precision is 'bfloat16', but no LSTM runs in it on this machine; use auto or float32"
    ):
        Classifier.load(folders[0], precision="bfloat16")


# Ensembles


def test_ensemble_is_the_mean_of_probabilities(folders):
    singles = [Classifier.load(folder, precision="float32").predict(TEXTS) for folder in folders]
    found = Classifier.load(*folders, precision="float32").predict(TEXTS)
    assert np.abs(singles[0]["pos"] - singles[1]["pos"]).max() > 0.05
    for label in ("neg", "pos"):
        np.testing.assert_allclose(found[label], (singles[0][label] + singles[1][label]) / 2)


def test_backward_model_reads_from_the_end(folders):
    backward = Classifier.load(folders[1], precision="float32")
    loaded = backward.models[0]
    texts = [text for text in TEXTS if text]
    tokenized = tokenize_texts(texts, loaded.processor)
    by_hand = []
    for document in loaded.processor.encode(texts):
        ids = torch.tensor([document[0], *reversed(document[1:])], dtype=torch.int64)[None]
        outputs = loaded.model[0].module
        outputs.bs = 1
        outputs.reset()
        with torch.no_grad():
            read = outputs(ids)[0]
            pooled = torch.cat([read[-1], read.amax(0), read.mean(0)])[None]
            by_hand.append(loaded.model[1].layers(pooled).softmax(1)[0, 1].item())
    assert len(tokenized.offsets) == len(texts) + 1
    np.testing.assert_allclose(backward.predict(texts)["pos"], by_hand, atol=1e-4)


def test_what_makes_no_ensemble(folders, tmp_path):
    with refuses("no model given; name at least one classifier's directory"):
        Classifier.load()
    with refuses(f"{folders[0]} and {folders[0]} make no ensemble: they are the same model twice"):
        Classifier.load(folders[0], folders[0])
    other = write_classifier(tmp_path / "other", labels=("bad", "good"))
    with refuses(f"{folders[0]} and {other} make no ensemble: labels neg, pos against bad, good"):
        Classifier.load(folders[0], other)
    other_data = write_classifier(tmp_path / "other_data", seed=3, data_fingerprint="d2")
    with refuses(f"{folders[0]} and {other_data} make no ensemble: data d1 against d2"):
        Classifier.load(folders[0], other_data)
    lm = write_lm(tmp_path / "lm")
    with refuses(
        f"{lm} holds a language model, a classifier was expected; ulmfit train writes classifiers"
    ):
        Classifier.load(lm)


# One text


def test_text(folders, capsys):
    scores = main(clf=[folders[0]], text="A great film", precision="float32")
    expected = Classifier.load(folders[0], precision="float32").predict(["A great film"])
    assert scores == {"neg": expected["neg"][0], "pos": expected["pos"][0]}
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["neg", f"{scores['neg']:.3f}"]
    assert lines[1].split() == ["pos", f"{scores['pos']:.3f}"]
    assert lines[2].split() == ["label", expected["label"][0]]


def test_empty_text(folders):
    assert sum(main(clf=folders[0], text="").values()) == pytest.approx(1)


# Files


@pytest.mark.parametrize(("given", "written"), [*pairwise(ENDINGS), (ENDINGS[-1], ENDINGS[0])])
def test_file_to_file(folders, classifier, tmp_path, given, written, capsys):
    table = pd.DataFrame({"id": ["007", "8", "9", "10", "11"], "text": TEXTS})
    source, target = write_file(tmp_path / f"in{given}", table), tmp_path / f"out{written}"
    written = main(clf=[folders[0]], input=str(source), output=str(target), precision="float32")
    assert written == target
    out = capsys.readouterr().out
    assert re.fullmatch(
        rf"wrote 5 rows to {re.escape(str(target))}, [\d,]+ a second\n"
        r"notes on 1 of 5 rows: 1 with nothing to read\n",
        out,
    )
    found = read_file(target)
    assert list(found.columns) == ["id", "text", "label", "probability", "neg", "pos", "note"]
    assert found["id"].tolist() == table["id"].tolist()
    assert found["text"].tolist() == TEXTS
    expected = classifier.predict(TEXTS)
    assert found["label"].tolist() == expected["label"].tolist()
    np.testing.assert_allclose(found["pos"].astype(float), expected["pos"], atol=1e-6)


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_stands_in_a_text_survives(folders, tmp_path, ending):
    texts = [
        *("a\rb", "c\r\nd", "e\nf", 'q"x"y', "tab\there", "é😀", "  pad ", "", "x\u2028y", "NA"),
        *("null", "1,000", "'", "\\", "#", "=1+1"),
    ]
    source = write_file(tmp_path / "in.jsonl", pd.DataFrame({"text": texts}))
    target = tmp_path / f"out{ending}"
    main(clf=folders[0], input=str(source), output=str(target))
    assert read_file(target)["text"].tolist() == texts


def test_missing_text_in_a_file(folders, tmp_path):
    source = tmp_path / "in.parquet"
    pd.DataFrame({"text": ["good", None, "bad"], "stars": [1, None, 3]}).to_parquet(source)
    target = tmp_path / "out.jsonl"
    main(clf=folders[0], input=str(source), output=str(target))
    found = read_file(target)
    assert len(found) == 3
    assert found["pos"].notna().all()
    assert found["text"].isna().tolist() == [False, True, False]


@pytest.mark.parametrize("ending", ENDINGS)
def test_file_without_rows(folders, tmp_path, ending):
    source, target = tmp_path / "in.csv", tmp_path / f"out{ending}"
    source.write_text("id,text\n")
    main(clf=folders[0], input=str(source), output=str(target))
    found = read_file(target)
    assert len(found) == 0
    if ending != ".jsonl":
        assert list(found.columns) == ["id", "text", "label", "probability", "neg", "pos", "note"]


def test_other_text_column(folders, tmp_path):
    source = write_file(tmp_path / "in.csv", pd.DataFrame({"review": ["good", "bad"]}))
    target = tmp_path / "new" / "out.csv"
    main(clf=folders[0], input=str(source), output=str(target), text_col="review")
    columns = ["review", "label", "probability", "neg", "pos", "note"]
    assert list(read_file(target).columns) == columns


def test_columns_of_the_input_keep_their_names(folders, tmp_path):
    table = pd.DataFrame({"text": ["good"], "label": ["mine"], "pos": ["7"]})
    files = [write_file(tmp_path / "0.csv", table)]
    for i in (1, 2, 3):
        files.append(tmp_path / f"{i}.csv")
        main(clf=folders[0], input=files[-2], output=files[-1])
    added = ["predicted_label", "probability", "neg", "predicted_pos", "note"]
    once, thrice = read_file(files[1]), read_file(files[3])
    assert list(once.columns) == ["text", "label", "pos", *added]
    assert once["label"].tolist() == ["mine"]
    assert once["pos"].tolist() == ["7"]
    assert len(thrice.columns) == 3 + 3 * 5
    pd.testing.assert_frame_equal(thrice[once.columns], once)


def test_dates_and_digits_survive_json(folders, tmp_path):
    day, number = datetime.datetime(2020, 1, 2), 0.123456789012345
    source = tmp_path / "in.parquet"
    pd.DataFrame({"text": ["good"], "day": [day], "number": [number]}).to_parquet(source)
    main(clf=folders[0], input=str(source), output=str(tmp_path / "out.jsonl"))
    found = read_file(tmp_path / "out.jsonl")
    assert found["day"][0].startswith("2020-01-02T00:00:00")
    assert found["number"][0] == number


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_file_of_many_blocks(folders, tmp_path, monkeypatch, ending):
    monkeypatch.setattr("ulmfit.data.formats_base.MOST_ROWS", 7)
    texts = many_texts(60)
    texts[5:20:5] = ["", " ", "\x00"]
    table = pd.DataFrame({"text": texts, "n": [f"0{i}" for i in range(60)]})
    source = write_file(tmp_path / f"in{ending}", table)
    target = tmp_path / f"out{ending}"
    main(clf=folders, input=source, output=target, precision="float32")
    found = read_file(target)
    assert found["text"].tolist() == texts
    assert found["n"].tolist() == table["n"].tolist()
    expected = Classifier.load(*folders, precision="float32").predict(texts)
    assert found["label"].tolist() == expected["label"].tolist()
    np.testing.assert_allclose(found["pos"].astype(float), expected["pos"], atol=1e-5)


def test_missing_texts_of_every_kind_are_rows(folders, tmp_path):
    source = tmp_path / "in.jsonl"
    lines = ['{"text": null}', '{"id": 1}', '{"text": 7}', '{"text": true}', '{"text": NaN}']
    source.write_text("\n".join(lines))
    main(clf=folders[0], input=source, output=tmp_path / "out.jsonl", precision="float32")
    found = read_file(tmp_path / "out.jsonl")
    expected = Classifier.load(folders[0], precision="float32").predict(
        [None, None, "7", "True", None]
    )
    np.testing.assert_allclose(found["pos"], expected["pos"], atol=1e-4)


@pytest.mark.parametrize(
    ("cells", "found"), [([["a", "b"]], "list"), ([b"a"], "bytes"), ([{"a": "b"}], "dict")]
)
def test_cells_that_are_no_text_are_refused_as_in_training(
    folders, tmp_path, cells, found, monkeypatch
):
    monkeypatch.setattr(Classifier, "answers", None)
    monkeypatch.setattr("ulmfit.data.formats_base.MOST_ROWS", 2)
    source = tmp_path / "in.parquet"
    pd.DataFrame({"text": [None, None, None, *cells]}).to_parquet(source)
    line = (
        f"{source}, row 4: found a {found} in the column 'text', expected one string a row; "
        "convert it or name another column"
    )
    with refuses(line):
        main(clf=folders[0], input=source, output=tmp_path / "out.csv")
    with refuses(line):
        load_data(source, labels_required=False)
    assert not (tmp_path / "out.csv").exists()


def test_the_input_may_be_replaced(folders, tmp_path):
    source = write_file(tmp_path / "a.csv", pd.DataFrame({"text": TEXTS}))
    main(clf=folders[0], input=source, output=source, overwrite=True)
    assert list(read_file(source).columns) == ["text", "label", "probability", "neg", "pos", "note"]


def test_progress_of_a_file_counts_texts(folders, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("ulmfit.base.progress.SECONDS_BETWEEN_LINES", -1.0)
    monkeypatch.setattr("ulmfit.data.formats_base.MOST_ROWS", 100)
    source = write_file(tmp_path / "a.csv", pd.DataFrame({"text": many_texts(400)}))
    main(clf=folders, input=source, output=tmp_path / "b.csv")
    out = capsys.readouterr().out
    shares = re.findall(r"  classifying: +(\d+%), [\d,]+ texts a second, ", out)
    assert shares == [f"{i / 8:.0%}" for i in range(1, 8)]  # two models, four blocks


def test_one_text_needs_neither_pandas_nor_fastai(folders):
    # The last two are torch's compiler, and what spaCy's command line is made with.
    code = f"""
import sys
from ulmfit.predict import main
main(clf={folders[0]!r}, text="good")
slow = {{"fastai", "pandas", "pyarrow", "scipy", "sklearn", "torch._dynamo", "typer"}}
found = slow & sys.modules.keys()
import spacy
assert spacy.cli.info.__module__ == "spacy.cli.info"
print(*found)"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == ""


# What is refused


def test_a_row_that_breaks_the_file_is_found_before_the_work(folders, tmp_path, monkeypatch):
    monkeypatch.setattr(Classifier, "answers", None)
    monkeypatch.setattr("ulmfit.data.formats_base.MOST_ROWS", 3)
    source = tmp_path / "in.csv"
    source.write_text("id,text\n" + "1,good\n" * 9 + "2\n")
    with refuses(
        f"{source}, line 11: found 1 fields, expected 2 (id, text); put a field that holds the "
        "separator or a line end in double quotes"
    ):
        main(clf=folders[0], input=source, output=tmp_path / "new" / "out.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_interruption_leaves_nothing_behind(folders, tmp_path, monkeypatch, ending):
    monkeypatch.setattr("ulmfit.data.formats_base.MOST_ROWS", 2)
    source = write_file(tmp_path / "in.csv", pd.DataFrame({"text": TEXTS}))
    target = tmp_path / f"out{ending}"
    target.write_text("mine")
    calls = []

    def interrupted(self, texts, tell):
        calls.append(texts)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return Answers(np.zeros((1, len(texts), 2), np.float32), [""] * len(texts))

    monkeypatch.setattr(Classifier, "answers", interrupted)
    with pytest.raises(KeyboardInterrupt):
        main(clf=folders[0], input=source, output=target, overwrite=True)
    assert target.read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", target.name]


@pytest.fixture
def bundled_pair(tmp_path, monkeypatch):
    """Bundled models: the default classifier in both directions."""
    for direction, backwards in (("fwd", False), ("bwd", True)):
        write_classifier(
            tmp_path / f"imdb-small-{direction}", backwards=backwards, seed=int(backwards)
        )
    monkeypatch.setattr("ulmfit.artifacts.bundled.folder", lambda: tmp_path)
    return [str(tmp_path / f"imdb-small-{direction}") for direction in ("fwd", "bwd")]


def test_no_model_is_the_bundled_ensemble(bundled_pair, capsys):
    found = main(text="good film")
    said = "with the bundled imdb-small; --clf DIR [DIR ...] names other classifiers"
    assert capsys.readouterr().out.startswith(said)
    assert found == main(clf=bundled_pair, text="good film")
    assert "bundled" not in capsys.readouterr().out.removeprefix(said)


def test_bundled_by_name(bundled_pair):
    both, one = Classifier.load("imdb-small"), Classifier.load("imdb-small-bwd")
    assert [str(model.artifact.path) for model in both.models] == bundled_pair
    assert [str(model.artifact.path) for model in one.models] == bundled_pair[1:]
    assert bundled.model_folders(["imdb-small", "elsewhere"]) == [*bundled_pair, "elsewhere"]


def test_directory_goes_before_a_bundled_one(bundled_pair, tmp_path, monkeypatch):
    own = tmp_path / "own"
    write_classifier(own / "imdb-small")
    monkeypatch.chdir(own)
    assert bundled.model_folders("imdb-small") == ["imdb-small"]


@pytest.mark.parametrize("arguments", [{}, {"text": "good", "input": "a.csv"}])
def test_neither_or_both(arguments):
    with refuses("give either --text TEXT or --input FILE with --output FILE"):
        main(clf="none", **arguments)


@pytest.mark.parametrize("output", [None, "out", "out.xlsx"])
def test_unknown_ending_of_the_output(output):
    with refuses(
        f"--output is {output}, expected a file that ends in .csv, .tsv, .jsonl, .parquet"
    ):
        main(clf="none", input="in.csv", output=output)


def test_output_exists(folders, tmp_path):
    source = write_file(tmp_path / "in.csv", pd.DataFrame({"text": ["good"]}))
    target = tmp_path / "out.csv"
    target.write_text("mine")
    with refuses(f"{target} is there already; choose another --output or pass --overwrite"):
        main(clf=folders[0], input=str(source), output=str(target))
    assert target.read_text() == "mine"
    main(clf=folders[0], input=str(source), output=str(target), overwrite=True)
    assert len(read_file(target)) == 1


def test_input_is_missing_or_unknown(tmp_path):
    output = str(tmp_path / "out.csv")
    missing = tmp_path / "none.csv"
    with refuses(f"no file {missing}; --input takes .csv, .tsv, .jsonl, .parquet, .xlsx"):
        main(clf="none", input=str(missing), output=output)
    sheet = tmp_path / "in.xls"
    sheet.write_text("")
    with refuses(
        f"{sheet}: found the extension '.xls' (a sheet of an old Excel), expected one of .csv, "
        ".tsv, .jsonl, .parquet, .xlsx; save the sheet as .xlsx or .csv"
    ):
        main(clf="none", input=str(sheet), output=output)


def test_no_such_column(tmp_path):
    source = write_file(tmp_path / "in.csv", pd.DataFrame({"id": [1], "review": ["good"]}))
    with refuses(
        f"{source} has no column 'text'; it has id, review: name the one with the texts with "
        "--text-col"
    ):
        main(clf="none", input=str(source), output=str(tmp_path / "out.csv"))


def test_what_the_output_cannot_hold_is_said_before_the_work(folders, tmp_path, monkeypatch):
    monkeypatch.setattr(Classifier, "answers", None)
    source = tmp_path / "in.jsonl"
    source.write_text('{"text": "a", "x": 1}\n{"text": "b", "x": "one"}\n')
    target = tmp_path / "out.parquet"
    with pytest.raises(UserError) as caught:
        main(clf=folders[0], input=str(source), output=str(target))
    assert re.fullmatch(
        f"cannot write {re.escape(str(target))}: a column of the input has no form there "
        r"\(.*\); choose another of \.csv, \.tsv, \.jsonl, \.parquet",
        str(caught.value),
    )
    assert not target.exists()


# Within somebody's program


def test_threads_do_not_mix_their_texts(folders):
    classifier = Classifier.load(*folders)
    parts = [many_texts()[i::4] for i in range(4)]
    expected = [classifier.predict(part) for part in parts]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            for found, alone in zip(pool.map(classifier.predict, parts), expected, strict=True):
                pd.testing.assert_frame_equal(found, alone)


def test_loading_leaves_the_allocator_alone(folders, monkeypatch):
    told = []
    monkeypatch.setattr("ulmfit.base.precision.keep_memory", lambda: told.append(1))
    Classifier.load(*folders)
    assert told == []
    main(clf=folders[0], text="good")
    assert told == [1]


def test_paths_from_python(folders, tmp_path):
    table = pd.DataFrame({"text": TEXTS})
    given = write_file(tmp_path / "in.csv", table)
    main(clf=[Path(folder) for folder in folders], input=given, output=tmp_path / "out.csv")
    assert len(read_file(tmp_path / "out.csv")) == len(TEXTS)
    assert main(clf=Path(folders[0]), text="good") == main(clf=folders[0], text="good")
