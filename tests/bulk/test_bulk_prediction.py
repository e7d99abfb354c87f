"""`predict` of folders, patterns and URLs into shards: equal rows, resumed runs, bad input."""

import json
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_models import refuses, write_classifier
from tiny_tables import assert_same, predicted, shards_of, write_parts

from ulmfit import predict
from ulmfit.bulk import run, shards, storage
from ulmfit.bulk.shards import Task


@pytest.fixture(scope="module")
def clf(tmp_path_factory):
    return str(write_classifier(tmp_path_factory.mktemp("models") / "fwd"))


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return write_parts(tmp_path_factory.mktemp("data") / "in", [23, 0, 40])


@pytest.fixture(scope="module")
def expected(clf, source, tmp_path_factory):
    return predicted(clf, source, tmp_path_factory.mktemp("expected"))


def bulk(clf, source, out, **more):
    more = {"precision": "float32", "shard_rows": 10, **more}
    return predict.main(clf=clf, input=str(source), output=str(out), **more)


def test_a_folder_in_shards(clf, source, expected, tmp_path):
    out = tmp_path / "out"
    assert bulk(clf, source, out) == out
    assert_same(shards_of(out), expected, 1e-4)
    manifest = json.loads((out / "_manifest.json").read_text())
    assert manifest["finished"]
    assert manifest["rows"] == 63
    parts = manifest["shards"]
    assert [part["rows"] for part in parts] == [10, 10, 3, 10, 10, 10, 10]
    assert [part["source"] for part in parts] == ["in-0.parquet"] * 3 + ["in-2.parquet"] * 4
    assert [part["start"] for part in parts] == [0, 10, 20, 0, 10, 20, 30]
    assert sum(part["empty"] for part in parts) == 9
    assert sorted(os.listdir(out)) == ["_manifest.json", *(part["name"] for part in parts)]
    assert pq.read_table(out).num_rows == 63  # the folder is a data set as it is


def test_shards_of_whole_blocks_are_predict_to_the_bit(clf, source, tmp_path):
    one = source / "in-2.parquet"
    plain = predict.main(clf=clf, input=str(one), output=str(tmp_path / "one.parquet"))
    bulk(clf, one, tmp_path / "out", engine="local", precision="auto", shard_rows=1000)
    assert_same(shards_of(tmp_path / "out"), pq.read_table(plain), 0)


def test_a_pattern_and_two_processes(clf, source, expected, tmp_path):
    bulk(clf, source / "in-[02].parquet", tmp_path / "out", engine="local", workers=2)
    assert_same(shards_of(tmp_path / "out"), expected, 1e-4)


def test_another_file_system(clf, expected, source, tmp_path):
    from fsspec import filesystem

    memory = filesystem("memory")
    for file in source.glob("*.parquet"):
        memory.pipe_file(f"/bucket/in/{file.name}", file.read_bytes())
    bulk(clf, "memory://bucket/in", "memory://bucket/out")
    found = sorted(path for path in memory.find("/bucket/out"))
    assert len(found) == 8
    for path in found:
        (tmp_path / path.rpartition("/")[2]).write_bytes(memory.cat_file(path))
    assert_same(shards_of(tmp_path), expected, 1e-4)


def _interrupt_after(count, monkeypatch):
    ran, real = [], Task.run

    def counted(task, shard, tell=None):
        if len(ran) == count:
            raise KeyboardInterrupt
        ran.append(shard.number)
        return real(task, shard, tell)

    monkeypatch.setattr(Task, "run", counted)
    return ran


def test_an_interrupted_run_goes_on(clf, source, expected, tmp_path, monkeypatch, told):
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        _interrupt_after(3, patch)
        with pytest.raises(KeyboardInterrupt, match=r"3 of 7 shards are in .*; the same command"):
            bulk(clf, source, out)
    assert not json.loads((out / "_manifest.json").read_text())["finished"]
    stamps = {path.name: path.stat().st_mtime_ns for path in out.glob("part-*")}
    damaged = out / "part-000001.parquet"
    damaged.write_bytes(damaged.read_bytes()[:-9])
    (out / ".part-000005.parquet.0123abcd.tmp").write_bytes(b"of a killed process")
    ran = _interrupt_after(99, monkeypatch)
    bulk(clf, source, out)
    assert ran == [1, 3, 4, 5, 6]
    assert_same(shards_of(out), expected, 1e-4)
    assert (out / "part-000000.parquet").stat().st_mtime_ns == stamps["part-000000.parquet"]
    assert len(list(out.iterdir())) == 8
    assert any("part-000001.parquet is damaged and is written again" in line for line in told)
    bulk(clf, source, out)  # nothing is left to do
    assert ran == [1, 3, 4, 5, 6]


def test_a_failed_shard_leaves_nothing(clf, source, tmp_path, monkeypatch):
    out = tmp_path / "out"

    def fails(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shards, "_writer", fails)
    with pytest.raises(shards.UserError, match=r"No space left on device$"):
        bulk(clf, source, out)
    assert os.listdir(out) == ["_manifest.json"]


def test_an_output_of_another_run(clf, source, tmp_path):
    out = tmp_path / "out"
    bulk(clf, source, out)
    with refuses(
        f"{out} holds the output of another run (it differs in shard_rows, input files); choose "
        "another --output, or pass --overwrite to replace it"
    ):
        bulk(clf, source, out, shard_rows=9)
    bulk(clf, source, out, shard_rows=40, overwrite=True)
    assert len(list(out.glob("part-*"))) == 2
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "mine.txt").write_text("keep")
    for overwrite in (False, True):
        with refuses(
            f"{foreign} is not empty (mine.txt), and no output of an earlier run of this command; "
            "choose another --output"
        ):
            bulk(clf, source, foreign, overwrite=overwrite)
    assert os.listdir(foreign) == ["mine.txt"]


def test_an_input_that_changes(clf, tmp_path, monkeypatch):
    source, real = write_parts(tmp_path / "in", [20]), Task.run

    def changes(task, shard, tell=None):
        if shard.number:
            write_parts(tmp_path / "in", [21])
        return real(task, shard, tell)

    monkeypatch.setattr(Task, "run", changes)
    with refuses(f"{source}/in-0.parquet has changed since the run began; start a new one"):
        bulk(clf, source, tmp_path / "out")


def test_other_models_and_versions_of_a_worker(clf, source, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(run, "__version__", "0.0.1")
        with pytest.raises(shards.UserError, match=r"^a worker has version .*, the run 0.0.1; "):
            bulk(clf, source, tmp_path / "out")
    monkeypatch.setattr(run, "key_of", lambda *_: "another")
    with pytest.raises(shards.UserError, match=r"^a worker found other models than the run "):
        bulk(clf, source, tmp_path / "other")


def _fails(line, clf, source, out, **more):
    with refuses(line):
        bulk(clf, source, out, **more)
    assert not out.exists()


def test_bad_input(clf, source, tmp_path):
    out, odd = tmp_path / "out", tmp_path / "odd"
    odd.mkdir()
    _fails(
        f"{odd}: found no .parquet file there, and 0 others; give a folder with some, a file or a "
        "pattern such as 'data/*.parquet'",
        clf,
        odd,
        out,
    )
    _fails(
        f"{source}/in-0.parquet has no column 'body'; it has id, text: name the one with the texts "
        "with --text-col",
        clf,
        source,
        out,
        text_col="body",
    )
    pq.write_table(pa.table({"text": ["a"]}), odd / "a.parquet")
    pq.write_table(pa.table({"text": [["a"]]}), odd / "b.parquet")
    _fails(
        f"{odd}/b.parquet: found the columns text (list<element: string>), and text (string) in "
        "a.parquet; expected the same in every file: write them alike, or predict them by "
        "themselves",
        clf,
        odd,
        out,
    )
    _fails(
        f"{odd}/b.parquet: the column 'text' has the type list<element: string>, expected one "
        "string a row; convert it or name another column with --text-col",
        clf,
        odd / "b*.parquet",
        out,
    )
    (odd / "a.parquet").write_bytes(b"PAR1 no table PAR1")
    with pytest.raises(shards.UserError, match=r"a.parquet: found a malformed parquet file"):
        bulk(clf, odd, out)
    _fails(
        f"--output {source}/out is in the folder of the input, {source}; choose a folder beside it",
        clf,
        source,
        source / "out",
    )


def test_tables_that_are_no_parquet_files(clf, tmp_path):
    folder, out = tmp_path / "tables", tmp_path / "out"
    folder.mkdir()
    for name in ("a.csv", "b.JSONL.gz", "notes.txt"):
        (folder / name).write_text("text\na\n")
    line = (
        "found no .parquet file there, but a.csv, b.JSONL.gz; write them as parquet, or predict "
        "one after the other, each with a file as --input and as --output"
    )
    _fails(f"{folder}: {line}", clf, folder, out)
    _fails(f"{folder}/[ab]*: {line}", clf, f"{folder}/[ab]*", out)
    line = (
        "found no .parquet file, which --engine and URLs need; write it as parquet, or give a path "
        "of this machine without --engine, and a file as --output"
    )
    _fails(f"{folder}/a.csv: {line}", clf, folder / "a.csv", out, engine="local")
    _fails(f"file://{folder}/a.csv: {line}", clf, f"file://{folder}/a.csv", out)


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ({"engine": "spark"}, "--engine is spark, expected local or ray"),
        ({"workers": 0}, "--workers is 0, expected 1 or more"),
        ({"shard_rows": 0}, "--shard-rows is 0, expected 1 or more"),
        ({"address": "auto"}, "found --address auto without --engine ray; add it"),
        (
            {"fast": True},
            "found --fast with a folder, a pattern, a URL or --engine; leave one out",
        ),
    ],
)
def test_flags(clf, source, tmp_path, more, line):
    _fails(line, clf, source, tmp_path / "out", **more)


def test_flags_of_an_engine_without_one(clf, source):
    with refuses("found --workers without --engine local or --engine ray; add one"):
        predict.main(clf=clf, input=str(source / "in-0.parquet"), output="x.csv", workers=2)
    with refuses("found --engine with --text; they belong to --input"):
        predict.main(clf=clf, text="a", engine="local")


def test_unknown_file_systems(clf, tmp_path):
    with pytest.raises(
        shards.UserError, match=r"^nowhere://bucket: this file system cannot be used"
    ):
        bulk(clf, "nowhere://user:secret@bucket", tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "pattern", "taken"),
    [
        ("a.parquet", "", True),
        ("day=1/a.parquet", "", True),
        ("_tmp/a.parquet", "", False),
        (".a.parquet", "*.parquet", False),
        ("a.parquet", "*.parquet", True),
        ("day=1/a.parquet", "*.parquet", False),
        ("day=1/a.parquet", "*/a.*", True),
        ("a.parquet", "**/*.parquet", True),
        ("x/y/a.parquet", "**/*.parquet", True),
        ("x/y/a.csv", "**/*.parquet", False),
    ],
)
def test_patterns(name, pattern, taken):
    assert storage.is_taken(name, pattern) is taken
