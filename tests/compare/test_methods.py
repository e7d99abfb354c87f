"""Parts of the comparison: word vectors, the GRU's ends, tables, plots, disagreements."""

import csv
import io

import numpy as np
import pytest
import torch
from tiny_comparison import needs_extra
from tiny_models import refuses

from ulmfit.compare import gru, plots, vectors
from ulmfit.compare.disagreements import disputed, disputed_csv
from ulmfit.compare.plan import METHODS, Job, Settings
from ulmfit.compare.summary import markdown, pareto, rounded, spread, summarize, table_csv

# Word vectors


def test_words_are_cut_as_glove_has_them():
    assert vectors.tokens("It's GREAT, don't you think?") == (
        ["it", "'s", "great", ",", "do", "n't", "you", "think", "?"]
    )
    assert vectors.tokens("Él comió 3 días…") == ["él", "comió", "3", "días", "…"]
    assert vectors.tokens(" ") == []


def glove(folder, text):
    path = folder / "vectors.txt"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("header", ["", "3 2\n"])
def test_vectors_of_a_file(tmp_path, header):
    path = glove(tmp_path, f"{header}the 1 2\n. . 3 -4\nthe 9 9\nél 5e-1 6\n")
    found = vectors.read_vectors(path)
    assert found.words == ["the", ". .", "él"]  # the first of two
    np.testing.assert_array_equal(found.matrix, np.array([[1, 2], [3, -4], [0.5, 6]], np.float32))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("the 1 2\nof 3\n", "line 2: found 'of 3', expected a word and 2 numbers"),
        ("the 1 2\nof x 3\n", "line 2: found 'of x 3', expected a word and 2 numbers"),
        ("word\n", "line 1: found 'word', expected a word and its numbers"),
    ],
)
def test_a_line_that_does_not_fit(tmp_path, text, line):
    path = glove(tmp_path, text)
    with refuses(f"{path}, {line} separated by spaces; give vectors in GloVe's text form"):
        vectors.read_vectors(path)


def test_no_vectors(tmp_path):
    path = glove(tmp_path, "")
    with refuses(f"{path} holds no word vectors; give some in GloVe's text form"):
        vectors.read_vectors(path)
    with refuses(f"no file {tmp_path}; --vectors takes word vectors in GloVe's text form"):
        vectors.read_vectors(tmp_path)


def test_texts_as_numbers_of_words():
    table = torch.tensor([[0.0, 0], [1, 2], [3, 4]])
    texts = vectors._Numbered(["good bad good", "", "unknown good"], {"good": 1, "bad": 2}, table)
    found, lengths = texts.inputs(np.array([2, 1, 0]))
    assert lengths.tolist() == [2, 1, 3]
    assert found.tolist() == [
        [[0, 0], [1, 2], [0, 0]],
        [[0, 0], [0, 0], [0, 0]],
        [[1, 2], [3, 4], [1, 2]],
    ]
    assert (texts.cut, texts.known) == (0, pytest.approx(4 / 6))


@needs_extra
def test_vectors_that_are_trained_are_those_of_the_texts_and_the_seed():
    texts = ["good film , good plot", "bad film , bad plot"] * 5
    one, again = (vectors.train_vectors(texts, seed=1) for _ in range(2))
    assert set(one.words) == {"good", "bad", "film", "plot", ","}
    assert one.matrix.shape == (5, vectors.DIMENSIONS)
    np.testing.assert_array_equal(one.matrix, again.matrix)


# The GRU


def sequences(lengths, seed=0):
    rng = np.random.default_rng(seed)
    found = [rng.normal(size=(length, 3)).astype(np.float32) for length in lengths]

    def inputs(rows):
        several = [torch.from_numpy(found[row]) for row in rows]
        padded = torch.nn.utils.rnn.pad_sequence(several, batch_first=True)
        return padded, torch.tensor([len(one) for one in several])

    return inputs, np.array(lengths)


def test_padding_changes_nothing():
    torch.manual_seed(0)
    model = gru.GRUClassifier(3, 2)
    inputs, lengths = sequences([5, 1, 9, 3])
    together = gru.gru_probabilities(model, inputs, lengths)
    for row in range(4):
        alone = gru.gru_probabilities(
            model, lambda rows, row=row: inputs(np.array([row])), lengths[[row]]
        )
        np.testing.assert_allclose(alone[0], together[row], atol=1e-6)
    # The states are those of the ends: another last vector, another answer.
    vectors_of, sizes = inputs(np.array([2]))
    with torch.no_grad():
        before = model(vectors_of, sizes)
        vectors_of[0, -1] += 5
        assert not torch.allclose(model(vectors_of, sizes), before, atol=1e-3)


def test_the_best_epoch_is_kept(monkeypatch):
    torch.manual_seed(0)
    model = gru.GRUClassifier(3, 2)
    inputs, lengths = sequences([4] * 40)
    truth = np.array([int(inputs(np.array([n]))[0].mean() > 0) for n in range(40)])
    part = (inputs, lengths, truth)
    scores = iter([(0.5, 0.0), (0.8, 0.0), (0.8, -1.0), *[(0.1, 0.0)] * 9])
    states = []

    def score(probabilities, wanted):
        states.append({k: v.clone() for k, v in model.state_dict().items()})
        return next(scores)

    monkeypatch.setattr(gru, "score", score)
    facts = gru.train_gru(model, part, part, epochs=20, seed=0)
    assert facts == {"best epoch": 2, "epochs": 2 + gru.PATIENCE}
    assert all(torch.equal(value, states[1][k]) for k, value in model.state_dict().items())


def test_the_gru_learns():
    torch.manual_seed(0)
    model = gru.GRUClassifier(3, 2)
    inputs, lengths = sequences([4] * 60)
    truth = np.array([int(inputs(np.array([n]))[0][0, -1, 0] > 0) for n in range(60)])
    part = (inputs, lengths, truth)
    gru.train_gru(model, part, part, epochs=40, seed=0)
    assert (gru.gru_probabilities(model, inputs, lengths).argmax(1) == truth).mean() > 0.8


# Tables


def result(accuracy=0.5, seconds=1.0, **facts):
    return {
        "status": "done",
        "figures": {"accuracy": accuracy, "f1": accuracy / 2, "f1_weighted": accuracy / 4},
        "total_seconds": seconds,
        "predict_seconds": 0.5,
        "bytes": 2_500_000,
        "peak_bytes": 300_000_000,
        "facts": facts,
    }


FOUND = {
    Job("nb-lr", 100, 2): result(0.9, 3.0),
    Job("nb-lr", 100, 1): result(0.8, 2.0),
    Job("majority", 100, 1): result(0.5, 0.01),
    Job("finetune", 100, 1): {"status": "failed", "why": "out of | memory"},
    Job("finetune", 0, 1): result(0.95, 400.0, **{"texts cut": 0.25}),
    Job("nb-lr", 0, 1): result(0.93, 12.0),
    Job("vectors-gru", 0, 1): result(0.7, 30.0),
}
ROWS = summarize(FOUND, 1500)


def test_rows():
    assert [(row.method, row.labels, list(row.results)) for row in ROWS] == [
        ("majority", 100, [1]),
        ("nb-lr", 100, [1, 2]),
        ("finetune", 100, []),
        ("nb-lr", 1500, [1]),
        ("vectors-gru", 1500, [1]),
        ("finetune", 1500, [1]),
    ]
    assert ROWS[1].values("accuracy") == [0.8, 0.9]
    assert ROWS[2].failures == ["out of | memory"]


def test_the_table():
    lines = markdown(ROWS, 50, Settings()).splitlines()
    assert lines[0].startswith("| method | labels | accuracy, % | weighted F1, % | macro F1, % |")
    assert lines[3] == (
        "| nb-lr | 100 | 85.0 (80.0 to 90.0) | 21.3 (20.0 to 22.5) | 42.5 (40.0 to 45.0) | 2.5 "
        "| 100 | 2.5 | 300 | no |  | 2 |"
    )
    assert lines[4].startswith("| finetune | 100 | failed: out of \\| memory |")
    assert lines[6].endswith("| yes |  | 1 |")
    assert lines[7].endswith("| no | 25.0% | 1 |")
    assert {line.replace("\\|", "").count("|") for line in lines} == {13}
    # Word vectors that are given take no text.
    assert markdown(ROWS, 50, Settings(vectors="a")).splitlines()[6].endswith("| no |  | 1 |")


def test_the_table_for_programs():
    rows = list(csv.DictReader(io.StringIO(table_csv(ROWS, 50, Settings()))))
    assert [row["method"] for row in rows] == [row.method for row in ROWS]
    assert float(rows[1]["accuracy"]) == pytest.approx(0.85)
    assert (rows[1]["accuracy_min"], rows[1]["accuracy_max"]) == ("0.8", "0.9")
    assert rows[1]["documents_per_second"] == "100.0"
    assert (rows[2]["accuracy"], rows[2]["failed"]) == ("", "out of | memory")
    assert (rows[5]["texts_cut"], rows[5]["failed"]) == ("0.25", "")


def test_numbers_to_read():
    assert spread([0.5]) == "50.0"
    assert spread([0.5, 0.6]) == "55.0 (50.0 to 60.0)"
    assert [rounded(x) for x in (12345.6, 10, 9.96, 0.999, 0.0123)] == (
        ["12,346", "10", "10.0", "1.0", "0.012"]
    )


def test_pareto_front():
    points = [(1, 0.5), (2, 0.4), (3, 0.8), (3, 0.7), (4, 0.8), (9, 0.9)]
    assert pareto(points) == [0, 2, 5]
    assert pareto([]) == []


# Plots


def size_of(png):
    from matplotlib import image

    return image.imread(io.BytesIO(png)).shape[:2]


def test_plots():
    rng = np.random.default_rng(0)
    labels = ["$anger$", "comer 电影", "a very long name of a class"]
    across = size_of(plots.accuracy_time(ROWS))  # two panels and the legend
    assert across[1] > across[0]
    assert size_of(plots.accuracy_labels(ROWS)) == (576, 1020)
    matrices = {name: rng.integers(0, 50, (3, 3)) for name in METHODS}
    assert (
        size_of(plots.confusions(matrices, labels))[0]
        > size_of(plots.confusions(dict(list(matrices.items())[:3]), labels))[0]
    )
    places, truth = rng.normal(size=(90, 2)), rng.integers(0, 3, 90)
    assert size_of(plots.feature_panels(places, truth, labels, "PCA"))[0] > 300


def test_every_method_looks_different():
    looks = [tuple(sorted(plots._look(name).items())) for name in METHODS]
    assert len(set(looks)) == len(METHODS)


# Disagreements


def test_texts_on_which_methods_disagree():
    answers = {
        "majority": np.array([0, 0, 0, 0]),
        "tfidf-lr": np.array([1, 1, 0, 2]),
        "nb-lr": np.array([1, 1, 1, 0]),
        "finetune": np.array([1, 0, 0, 1]),
    }
    found = disputed(["a", "b", "c", "d"], np.array([1, 0, 1, 2]), answers, ["x", "y", "z"])
    assert [one.text for one in found] == ["d", "b", "c"]  # most even first, then as in the data
    assert found[0].entropy == pytest.approx(np.log(3))
    assert (found[1].label, found[1].answers) == (
        "x",
        {"majority": "x", "tfidf-lr": "y", "nb-lr": "y", "finetune": "x"},
    )
    lines = disputed_csv(found).splitlines()
    assert lines[:2] == [
        "text,label,majority,tfidf-lr,nb-lr,finetune,entropy",
        "d,z,x,z,x,y,1.0986",
    ]
    assert disputed_csv([]) == "text,label,entropy\n"
