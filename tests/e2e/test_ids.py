"""Files of ids in place of texts: the same models, without spaCy, and what they cannot do."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_models import TEXTS, refuses, word_processor, write_classifier, write_lm
from tiny_stages import general, reviews, stage1, stage2, stage3, write_csv

from ulmfit import calibrate, evaluate, generate, tokenize
from ulmfit.artifacts.directory import read_artifact
from ulmfit.base.errors import UserError
from ulmfit.data import __main__ as preflight
from ulmfit.data.corpora import read_corpora
from ulmfit.data.duplicates import exact_groups
from ulmfit.data.fingerprints import labelled_fingerprint
from ulmfit.data.load import load_data
from ulmfit.data.spec import DataSpec
from ulmfit.inference import calibration
from ulmfit.report import __main__ as report
from ulmfit.text.corpus import tokenize_texts
from ulmfit.text.ids import digest, is_empty
from ulmfit.text.ids_file import ids_files, read_ids
from ulmfit.text.processor import TextProcessor
from ulmfit.training.domain_lm import read_frame
from ulmfit.training.general_lm import prepare
from ulmfit.training.settings import LMSettings, PretrainSettings, Step

SHORT = {"steps": [{"epochs": 1, "lr": 0.02}]}
ODD = ["", " \n", "<br />", "ÜBER  naïve 😀 שלום 电影", "A B", "a\tb", "xxbos a back\\slash"]


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ULMFIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def as_ids(data, out, **more):
    """The name of the file of ids that is made of `data`."""
    tokenize.main(data=str(data), out=str(out), **more)
    return str(out)


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """The names of a corpus and of a data set, as texts and as ids."""
    folder = tmp_path_factory.mktemp("sources")
    # The first text of test stands in train, too, but for case and white space; one is empty.
    rows = [*reviews(), ["", "good", "test"], ["", "bad", "train"], [" A  film", "good", "train"]]
    rows += [["a FILM", "good", "test"]]
    texts = {
        "corpus": write_csv(folder / "general.csv", ["text"], [[t] for t in ["", *general()]]),
        "data": write_csv(folder / "reviews.csv", ["text", "label", "split"], rows),
    }
    ids = {name: as_ids(path, folder / f"{name}.ids.parquet") for name, path in texts.items()}
    return {"texts": texts, "ids": ids}


def all_stages(corpus, data, folder, **more):
    """The directories of the three models, trained backwards, and the figures of the test part."""
    made = {name: Path(folder, name) for name in ("wiki", "lm", "clf")}
    stage1(corpus, made["wiki"], backwards=True, **SHORT, **more)
    stage2(data, made["wiki"], made["lm"], backwards=True, **SHORT)
    stage3(data, made["lm"], made["clf"], backwards=True, **SHORT)
    return made, evaluate.main(clf=str(made["clf"]), data=data)


WITHOUT_SPACY = """
import json, sys
sys.modules["spacy"] = None  # importing it raises ImportError
from test_ids import all_stages
_, figures = all_stages(*sys.argv[1:4])
print(json.dumps(list(figures.values())[0]))
"""


def run_without_spacy(script, *arguments):
    here = Path(__file__).parent
    found = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=here,
        env={**os.environ, "PYTHONPATH": f"{here}:{here.parent}:{here.parents[1]}"},
    )
    assert found.returncode == 0, found.stderr
    return found.stdout


@pytest.fixture(scope="module")
def made(sources, tmp_path_factory):
    """What texts make here, and what ids make where there is no spaCy, with their figures."""
    folder = tmp_path_factory.mktemp("made")
    ids = sources["ids"]
    printed = run_without_spacy(WITHOUT_SPACY, ids["corpus"], ids["data"], folder / "ids")
    models, figures = all_stages(*sources["texts"].values(), folder / "texts")
    return {
        "texts": (models, next(iter(figures.values()))),
        "ids": (
            {name: folder / "ids" / name for name in models},
            json.loads(printed.splitlines()[-1]),
        ),
    }


@pytest.mark.parametrize("stage", ["wiki", "lm", "clf"])
def test_ids_make_the_model_that_texts_make(made, stage):
    texts, ids = (read_artifact(made[kind][0][stage]).manifest for kind in ("texts", "ids"))
    for file in ("encoder.safetensors", "head.safetensors", "vocab.txt", "processor.json"):
        assert texts.files[file] == ids.files[file], file
    assert texts.files.get("seen.bin") == ids.files.get("seen.bin")
    assert ("seen.bin" in ids.files) == (stage == "clf")
    assert texts.files["history.csv"] == ids.files["history.csv"]
    assert texts.tokenizer == ids.tokenizer
    assert texts.data_fingerprint == ids.data_fingerprint
    assert texts.config == ids.config  # and with it the fingerprints of the texts of test


def test_ids_are_evaluated_as_texts_are(made, sources):
    assert made["ids"][1] == json.loads(json.dumps(made["texts"][1]))
    assert "without_repeated" in made["ids"][1]
    clf = str(made["ids"][0]["clf"])
    anew = evaluate.main(clf=clf, data=sources["texts"]["data"])
    assert anew[clf] == made["texts"][1]


def test_models_of_texts_and_of_ids_make_an_ensemble(made, sources, tmp_path, monkeypatch):
    forward = stage3(
        sources["texts"]["data"], "none", tmp_path / "fwd", size="tiny", min_freq=1, **SHORT
    )
    both = [str(forward.path), str(made["ids"][0]["clf"])]
    assert "ensemble" in evaluate.main(clf=both, data=sources["ids"]["data"])
    # After one epoch no temperature may fit: a figure of all that one would be fitted to.
    monkeypatch.setattr(
        calibration, "fit_temperature", lambda p, t, labels: 1 + p[t == 1, 1].mean()
    )
    assert calibrate.main(clf=both[1:], data=sources["ids"]["data"])[both[1]] > 1


# --- what a file holds ---------------------------------------------------------------------------


def odd_file(tmp_path, **more):
    rows = [[text, "ab"[i % 2], "train"] for i, text in enumerate(ODD)]
    frame = pd.DataFrame(rows, columns=["text", "label", "split"])
    frame.to_json(tmp_path / "odd.jsonl", orient="records", lines=True)
    return as_ids(tmp_path / "odd.jsonl", tmp_path / "odd.ids.parquet", **more)


def test_tokens_digests_and_empty_texts_survive(tmp_path):
    ids = read_ids(ids_files(Path(odd_file(tmp_path))))["text"]
    processor = TextProcessor("word")
    found, wanted = (tokenize_texts(t, processor) for t in (ids, ODD))
    assert [[found.tokens[i] for i in part] for part in parts(found)] == processor.tokenize(ODD)
    assert found.offsets.tolist() == wanted.offsets.tolist()
    assert list(map(digest, ids)) == list(map(digest, ODD))
    assert list(map(is_empty, ids)) == list(map(is_empty, ODD))
    assert exact_groups(ids).tolist() == exact_groups(ODD).tolist()


def parts(tokenized):
    return np.split(tokenized.ids, tokenized.offsets[1:-1])


def test_rows_in_another_order_keep_their_tokens(tmp_path):
    ids = read_ids(ids_files(Path(odd_file(tmp_path))))["text"].iloc[[3, 0, 3]]
    found = tokenize_texts(ids.tolist(), TextProcessor("word"))
    wanted = TextProcessor("word").tokenize([ODD[3], ODD[0], ODD[3]])
    assert [[found.tokens[i] for i in part] for part in parts(found)] == wanted


def test_no_text_is_in_the_file(sources):
    content = Path(sources["ids"]["data"]).read_bytes()
    table = pq.read_table(sources["ids"]["data"])
    assert table.column_names == ["split", "label", "ids", "digest", "normalised", "empty"]
    assert table["label"].to_pylist()[-1] == "good"  # of a text of test: kept, for evaluate
    assert b"lovely" not in content  # the tokens are there, packed


def test_a_drawn_split_is_that_of_the_texts(tmp_path):
    rows = [[text, label or "good"] for text, label, _ in reviews(60)]
    texts = write_csv(tmp_path / "r.csv", ["review", "stars"], rows)
    ids = as_ids(texts, tmp_path / "r.ids.parquet", text_col="review", label_col="stars")
    one = load_data(DataSpec(texts, "review", "stars", seed=7))
    other = load_data(DataSpec(ids, seed=7), texts_required=False)
    assert one["split"].tolist() == other["split"].tolist()
    assert one["label"].tolist() == other["label"].tolist()
    assert one.attrs == other.attrs
    assert labelled_fingerprint(one) == labelled_fingerprint(other)


def test_texts_withheld_are_found_among_ids(sources, tmp_path):
    other = as_ids(sources["texts"]["data"], tmp_path / "other.ids.parquet")

    def settings(data, withhold):
        return LMSettings(steps=[Step(1, 0.1)], data=data, withhold=withhold)

    one = read_frame(settings(sources["texts"]["data"], sources["texts"]["data"]))
    two = read_frame(settings(sources["ids"]["data"], other))
    assert one["split"].tolist() == two["split"].tolist()
    assert "withheld" in set(two["split"])
    assert one.attrs["withheld"] == two.attrs["withheld"]


# --- parts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["imdb", "imdb-sample", "emotion", "spanish-reviews"])
def test_a_named_data_set_is_its_ids_where_its_texts_are_not(sources, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ulmfit.data.datasets.find_spec", lambda package: None)
    folder = tmp_path / "own"
    folder.mkdir()
    made = as_ids(sources["texts"]["data"], folder / f"{name}.ids.parquet")
    monkeypatch.setenv("ULMFIT_DATA", str(folder))
    named, by_path = (load_data(data, texts_required=False) for data in (name, made))
    assert labelled_fingerprint(named) == labelled_fingerprint(by_path)
    line = f"{name} holds ids and no texts, expected texts; the stages, evaluate and calibrate do "
    with refuses(line + "with ids, everything else takes the texts that they were made of"):
        load_data(name)


def test_a_large_file_comes_in_parts(sources, tmp_path):
    limit = 0.6 * Path(sources["ids"]["data"]).stat().st_size / 1e6
    out = tmp_path / "r.ids.parquet"
    written = tokenize.main(data=sources["texts"]["data"], out=str(out), part_mb=limit)
    count = len(written)
    assert count > 1
    assert [p.name for p in written] == [f"r.ids-{i}of{count}.parquet" for i in range(1, count + 1)]
    assert all(path.stat().st_size <= limit * 1e6 for path in written)
    whole = load_data(sources["ids"]["data"], texts_required=False)
    frame = load_data(out, texts_required=False)
    assert frame["label"].tolist() == whole["label"].tolist()
    assert labelled_fingerprint(frame) == labelled_fingerprint(whole)
    processor = TextProcessor("word")
    one, other = (tokenize_texts(f["text"], processor) for f in (whole, frame))
    rows = np.arange(len(whole))
    assert list(one.counts(rows).items()) == list(other.counts(rows).items())
    vocab = list(one.counts(rows))
    assert (one.numericalize(vocab, rows).ids == other.numericalize(vocab, rows).ids).all()
    first = written[0]
    with refuses(f"{first} is part 1 of {count}; give {out}, which stands for all of them"):
        load_data(first, texts_required=False)
    written[-1].unlink()
    with refuses(
        f"{out}: found {count - 1} numbered parts, expected {count} of one set; missing: "
        f"{written[-1].name}"
    ):
        load_data(out, texts_required=False)
    # Written anew as one file, no part of before stays.
    with refuses(f"{first} exists; choose another --out or pass --overwrite"):
        tokenize.main(data=sources["texts"]["data"], out=str(out))


def test_parts_of_before_are_removed(sources, tmp_path):
    out = tmp_path / "r.ids.parquet"
    tokenize.main(data=sources["texts"]["data"], out=str(out), part_mb=0.006)
    tokenize.main(data=sources["texts"]["data"], out=str(out), overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["r.ids.parquet"]


def test_corpora_of_several_files_are_one(sources):
    both = read_corpora([Path(sources["ids"][name]) for name in ("corpus", "data")], "text")
    texts = read_corpora([Path(sources["texts"][name]) for name in ("corpus", "data")], "text")
    processor = TextProcessor("word")
    one, other = (tokenize_texts(t, processor) for t in (both, texts))
    assert one.tokens != other.tokens  # numbered otherwise, the same tokens
    rows = np.arange(len(texts))
    assert list(one.counts(rows).items()) == list(other.counts(rows).items())
    with refuses(
        f"found ids ({sources['ids']['corpus']}) and texts together, expected one kind; give the "
        "texts of all, or the ids of all (ulmfit tokenize)"
    ):
        mixed = [Path(sources[k][n]) for k, n in (("ids", "corpus"), ("texts", "data"))]
        tokenize_texts(read_corpora(mixed, "text"), processor)


# --- subword tokenizers --------------------------------------------------------------------------


def test_pieces_travel_with_the_ids(sources, tmp_path):
    corpus = as_ids(
        sources["texts"]["corpus"],
        tmp_path / "c.ids.parquet",
        tokenizer="subword",
        max_vocab=60,
    )
    data = as_ids(sources["texts"]["data"], tmp_path / "d.ids.parquet", tokenizer_of=corpus)
    settings = PretrainSettings(tokenizer="subword", valid_documents=8, steps=[Step(1, 0.1)])
    processor, train, _ = prepare(read_corpora([Path(corpus)], "text"), settings)
    assert len(processor.vocab) <= 60
    texts = read_corpora([Path(sources["texts"]["corpus"])], "text")
    assert len(train) == len(texts) - 8
    found, wanted = (
        tokenize_texts(load_data(source, texts_required=False)["text"], processor)
        for source in (data, sources["texts"]["data"])
    )
    rows = np.arange(len(wanted.offsets) - 1)
    one, other = (t.numericalize(processor.vocab, rows) for t in (found, wanted))
    assert (one.ids == other.ids).all()
    assert TextProcessor.from_files(processor.files()).description() == processor.description()
    with refuses(
        f"{data} holds ids of another tokenizer: found tokenizer subword, expected word; make it "
        "again with ulmfit tokenize --tokenizer-of a model or a file of ids"
    ):
        tokenize_texts(load_data(data, texts_required=False)["text"], TextProcessor("word"))


# --- what ids cannot do --------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["look", "report"])
def test_what_needs_texts_refuses_ids(sources, tmp_path, command):
    data = sources["ids"]["data"]
    with refuses(
        f"{data} holds ids and no texts, expected texts; the stages, evaluate and calibrate do "
        "with ids, everything else takes the texts that they were made of"
    ):
        if command == "look":
            preflight.main(data=data)
        else:
            clf = write_classifier(tmp_path / "clf", labels=("bad", "good"))
            report.main(clf=str(clf), data=data, out=str(tmp_path / "r.html"))


def test_ids_are_not_tokenised_again(sources, tmp_path):
    data = sources["ids"]["data"]
    with refuses(f"{data} holds ids already; give the texts that they were made of"):
        as_ids(data, tmp_path / "again.ids.parquet")


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({}, "both --data NAME|PATH and --out FILE are needed; --help explains them"),
        (
            {"data": "x.csv", "out": "x.csv"},
            "--out is x.csv, expected a name that ends in .parquet",
        ),
        (
            {"data": "x.csv", "out": "x.parquet", "part_mb": 0},
            "--part-mb is 0, expected more than 0",
        ),
    ],
)
def test_tokenize_refuses(given, line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with refuses(line):
        tokenize.main(**given)


@pytest.mark.parametrize("where", ["middle", "ids"])
def test_a_damaged_file_is_named(sources, tmp_path, where):
    path = tmp_path / "d.ids.parquet"
    content = bytearray(Path(sources["ids"]["data"]).read_bytes())
    if where == "middle":
        content[200:5000] = bytes(4800)
        path.write_bytes(content)
        reason = "found a malformed file of ids ("
    else:
        table = pq.read_table(sources["ids"]["data"])
        metadata = json.loads(pq.read_metadata(sources["ids"]["data"]).metadata[b"ulmfit.ids"])
        other = pq.read_metadata(sources["ids"]["corpus"]).metadata[b"ulmfit.ids"]
        metadata["tokens"] = json.loads(other)["tokens"]  # fewer tokens than the ids have
        pq.write_table(
            table.replace_schema_metadata({b"ulmfit.ids": json.dumps(metadata).encode()}), path
        )
        reason = "found a malformed file of ids (an id of "
    with pytest.raises(UserError, match="make it again with") as raised:
        load_data(path, texts_required=False)
    assert str(raised.value).startswith(f"{path}: {reason}")


@pytest.mark.parametrize(
    "change",
    [
        lambda about: "no json",
        lambda about: "[1]",
        lambda about: json.dumps({"format": 1}),
        lambda about: json.dumps({**about, "parts": "many"}),
        lambda about: json.dumps({**about, "tokens": "!"}),
        lambda about: json.dumps({**about, "tokens": about["tokens"][:40]}),
        lambda about: json.dumps({**about, "reading": 3}),
        lambda about: json.dumps({**about, "reading": {"tokenizer": ["word"]}}),
        lambda about: json.dumps({**about, "pieces": None}),
    ],
)
def test_metadata_of_strangers_are_refused_in_one_line(sources, tmp_path, change):
    path, data = tmp_path / "m.ids.parquet", sources["ids"]["data"]
    about = json.loads(pq.read_metadata(data).metadata[b"ulmfit.ids"])
    table = pq.read_table(data).replace_schema_metadata({b"ulmfit.ids": change(about).encode()})
    pq.write_table(table, path)
    with pytest.raises(UserError, match="found a malformed file of ids"):
        load_data(path, texts_required=False)


@pytest.mark.parametrize("kind", [pa.list_(pa.int64()), pa.list_(pa.string()), pa.string()])
def test_ids_of_another_type_are_refused(sources, tmp_path, kind):
    path, data = tmp_path / "m.ids.parquet", sources["ids"]["data"]
    about = pq.read_metadata(data).metadata[b"ulmfit.ids"]
    table = pq.read_table(data)
    ids = table["ids"].cast(kind) if kind != pa.string() else table["label"]
    table = table.set_column(2, "ids", ids).replace_schema_metadata({b"ulmfit.ids": about})
    pq.write_table(table, path)
    with pytest.raises(UserError, match=r"found a malformed file of ids \(ids of type "):
        load_data(path, texts_required=False)


def test_another_format_is_refused(sources, tmp_path):
    path = tmp_path / "n.ids.parquet"
    table = pq.read_table(sources["ids"]["data"])
    pq.write_table(table.replace_schema_metadata({b"ulmfit.ids": b'{"format": 9}'}), path)
    with refuses(
        f"{path} is a file of ids of format 9, this program reads format 1; make it again with "
        "ulmfit tokenize"
    ):
        load_data(path, texts_required=False)


def test_without_spacy_texts_are_refused_and_nothing_else(tmp_path, monkeypatch):
    lm, processor = write_lm(tmp_path / "lm"), word_processor()
    written = generate.main(lm=str(lm), n=1, words=3)
    monkeypatch.setitem(sys.modules, "spacy", None)
    assert generate.main(lm=str(lm), n=1, words=3) == written
    assert processor.vocab
    line = (
        "the word tokenizer needs spaCy, which cannot be imported (import of spacy halted; None in "
        "sys.modules); install it (pip install spacy), or give ids, which "
        "ulmfit tokenize makes elsewhere"
    )
    with refuses(line):
        generate.main(lm=str(lm), prompt="The", n=1, words=3)
    with refuses(line):
        TextProcessor("word").tokenize(TEXTS)
