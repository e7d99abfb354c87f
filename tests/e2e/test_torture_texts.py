"""A short form of `make torture`'s texts and files, and that each of its checks can fail."""

import csv
import re

import pytest

from torture import texts
from ulmfit import predict
from ulmfit.data import formats_csv
from ulmfit.inference import scoring
from ulmfit.inference.ensemble import Classifier
from ulmfit.text import rules, spacy_tokenizer, tokenizers
from ulmfit.text.processor import TextProcessor


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return texts.write_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def processors(models):
    return {kind: TextProcessor.load(folders[0]) for kind, folders in models.items()}


@pytest.fixture(params=["word", "subword"])
def classifier(models, request):
    return Classifier.load(*models[request.param], precision="float32")


@pytest.fixture(scope="module")
def words(models):
    return Classifier.load(*models["word"], precision="float32")


def clean(row):
    assert row.tried > 0
    assert row.clean, row.told
    return True


def test_round_trip(processors):
    assert clean(texts.round_trip(processors, 20, 0))


def test_any_length(processors):
    assert clean(texts.any_length(processors, 20_000))


def test_linear(processors):
    assert clean(texts.linear(processors, 2000, 0, pieces=("()", ":) ) "), alphabets=(":@a./",)))


def test_predictions(classifier):
    assert clean(texts.predictions(classifier, "", 5, 0))
    found = classifier.probabilities(["a good film", "never again", "(((", "3"])
    assert found[:, 0].std() > 0.01


def test_one_long_text(classifier):
    assert clean(texts.one_long_text(classifier, "", 5000))


def test_files(words, tmp_path):
    assert clean(texts.files(words, tmp_path, 2, 0))


def test_bad_files(words, tmp_path):
    assert clean(texts.bad_files(words, tmp_path, 8, 0))


def test_many_rows(models, tmp_path):
    assert clean(texts.many_rows(models["word"][0], tmp_path, 2000))


def test_the_same_seed_tries_the_same():
    tried = []
    for number in (0, 0, 1):
        seen = []
        texts.hold(texts.Row(""), 5, number, texts.any_text, seen.append)
        tried.append(seen)
    assert tried[0] == tried[1] != tried[2]


# Each can fail


def test_crash_is_counted(processors, monkeypatch):
    monkeypatch.setattr(rules, "_shortened", lambda reference: reference[0])
    row = texts.any_length(processors, 100)
    assert (row.crashed, row.lost) == (1, 0)
    assert "Exceeds the limit" in row.told[0]


def test_text_that_explodes_is_counted(processors, monkeypatch):
    monkeypatch.setattr(texts, "PIECES", ("xxwrep 978 word ",))
    monkeypatch.setattr(rules, "_LONGEST_REPETITIONS", 10**9)
    assert texts.any_length({"word": processors["word"]}, 1_000_000).lost == 1


def test_quadratic_time_is_counted(processors, monkeypatch):
    word = {"word": TextProcessor("word").with_vocab(processors["word"].vocab)}
    monkeypatch.setattr(tokenizers, "LONGEST_RUN", 10**9)
    monkeypatch.setattr(tokenizers, "parts", lambda text: [text])
    monkeypatch.setattr(spacy_tokenizer, "_suffix_search", lambda search: search)
    assert texts.linear(word, 600, 0, pieces=("()",), alphabets=()).lost == 1


def test_predictions_that_depend_on_the_batch_are_counted(classifier, monkeypatch):
    probabilities = Classifier.probabilities

    def by_position(self, given, tell=None):
        found = probabilities(self, given, tell)
        found[-1] = 0.5
        return found

    monkeypatch.setattr(Classifier, "probabilities", by_position)
    assert texts.predictions(classifier, "", 5, 0).lost > 0


def test_changed_cells_are_counted(words, tmp_path, monkeypatch):
    monkeypatch.setattr(formats_csv, "_csv_cell", lambda cell: str(cell).strip())
    assert texts.files(words, tmp_path, 3, 0).lost > 0


def test_bad_file_that_is_read_is_counted(words, tmp_path, monkeypatch):
    for module in (predict, scoring):
        monkeypatch.setattr(module, "place_of", lambda name, columns, _: columns.index(name))
    row = texts.bad_files(words, tmp_path, 0, 0)
    assert (row.let_in, row.crashed) == (1, 0)
    assert row.told[0].endswith("twice.csv was read")


@pytest.mark.parametrize(
    ("found", "line"),
    [
        ([0, 2, 1], r"row 1: .*"),
        ([0, 1], r"row 2: None"),
        ([0, 1, 2, 3], "more rows than went in"),
        ([0, 1, 2], None),
    ],
)
def test_rows_out_of_order_are_counted(tmp_path, found, line):
    path = tmp_path / "a.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["id", "text", "pos"], *([i, "a", 0.5] for i in found)])
    wrong = texts.differing_row(path, 3)
    assert wrong is None if line is None else re.fullmatch(line, wrong)


def test_equal_texts_of_unequal_predictions_are_counted(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("id,text,pos\n0,a,0.5\n1,a,0.6\n")
    assert texts.differing_row(path, 2) == "row 1: an equal text had another prediction"
