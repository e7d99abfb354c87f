"""A table as another program writes it: every command reads the same rows of it."""

import csv
from dataclasses import replace

import pytest
from tiny_models import refuses, write_classifier
from tiny_stages import reviews, stage1, stage2, stage3, write_general

from ulmfit import calibrate, evaluate, predict, tokenize
from ulmfit.artifacts.directory import read_artifact
from ulmfit.compare.plan import Settings
from ulmfit.data.__main__ import main as look
from ulmfit.pipeline import checks
from ulmfit.report.__main__ import main as report
from ulmfit.text.ids_file import read_ids
from ulmfit.training.settings import ClassifierSettings, Step

STEPS = [{"epochs": 1, "lr": 0.01}]
NOTE = "{}: read without quoting: a quote at line 12 would have merged lines 12 to 22"
# Of a file without a header, in which quotes are characters, written by Windows.
FLAGS = {"encoding": "cp1252", "no_header": True, "sep": "|", "quoting": "none"}
COLUMNS = {"text_col": "1", "label_col": "0", "split_col": "2"}


@pytest.fixture
def odd(tmp_path):
    """Reviews whose first texts have a quote at the beginning, at the end, and a £."""
    rows = [[label, f"£ {text}", split] for text, label, split in reviews()]
    rows[1][1], rows[9][1] = f'"{rows[1][1]}', f'{rows[9][1]}"'
    path = tmp_path / "odd.txt.csv"
    path.write_bytes("".join(f"{'|'.join(row)}\r\n" for row in rows).encode("cp1252"))
    return str(path)


def test_data_of_the_training_are_read_the_same_afterwards(odd, tmp_path, told):
    lm = stage1(write_general(tmp_path / "g.csv"), tmp_path / "general", steps=STEPS).path
    given = {**FLAGS, **COLUMNS, "steps": STEPS}
    lm = stage2(odd, lm, tmp_path / "lm", samples=0, **given).path
    clf = str(stage3(odd, lm, tmp_path / "clf", **given).path)
    recipe = read_artifact(tmp_path / "clf").manifest.recipe
    assert {name: recipe[name] for name in FLAGS} == FLAGS
    told.clear()
    named = evaluate.main(clf=clf)
    assert named[clf]["documents"] == 20
    assert evaluate.main(clf=clf, data=odd, **FLAGS, **COLUMNS) == named
    assert calibrate.main(clf=clf, data=odd, **FLAGS, **COLUMNS) == calibrate.main(clf=clf)
    assert report(clf=clf, out=str(tmp_path / "r.html"), data=odd, **FLAGS, **COLUMNS).is_file()
    assert look(odd, **FLAGS, **COLUMNS)["rows"] == 120
    ids = tokenize.main(data=odd, out=str(tmp_path / "a.ids.parquet"), **FLAGS, **COLUMNS)
    assert len(read_ids(ids)) == 120
    spec = Settings(data=odd, **FLAGS, **COLUMNS).data_spec()
    assert (spec.dialect.sep, spec.dialect.no_header, spec.text_col) == ("|", True, "1")
    target = tmp_path / "out.csv"
    predict.main(clf=clf, input=odd, output=str(target), text_col="1", **FLAGS)
    with target.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert len(rows) == 121
    assert [row[1] for row in rows[1:]][1][:3] == '"£ '


def test_models_of_before_have_the_same_settings(tmp_path):
    """Their manifests lack the flags that there were not."""
    path = write_classifier(tmp_path / "old", recipe={"data": "a.csv"})
    manifest = read_artifact(path).manifest
    older = {k: v for k, v in manifest.recipe.items() if k not in FLAGS}
    (path / "manifest.json").write_text(replace(manifest, recipe=older).to_json())
    settings = ClassifierSettings(data="a.csv", steps=[Step(1, 0.01)])
    checks.check_same(path, settings, True, "a.csv")
    with refuses(
        f"{path} holds a model of other settings; pass --overwrite to train again, or choose "
        "another --out"
    ):
        checks.check_same(path, replace(settings, sep=";"), True, "a.csv")


# predict


@pytest.fixture
def clf(tmp_path):
    return str(write_classifier(tmp_path / "clf"))


def scored(clf, source, target, **given):
    predict.main(clf=clf, input=str(source), output=str(target), **given)
    with target.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_predict_does_not_merge_rows(clf, tmp_path, told):
    rows = [[f"film {n}", ("pos", "neg")[n % 2]] for n in range(2, 62)]
    rows[10][0], rows[20][0] = '"so', '5 feet 3"'
    source = tmp_path / "in.tsv"
    source.write_text("text\tlabel\n" + "".join(f"{a}\t{b}\n" for a, b in rows))
    found = scored(clf, source, tmp_path / "out.csv")
    assert [row[:2] for row in found[1:]] == rows
    assert told[0].startswith(NOTE.format(source))
    source.write_text("text\tlabel\n" + "".join(f"{a}\tb{n}\n" for n, (a, _) in enumerate(rows)))
    with refuses(
        f"{source}, line 12: found a field in quotes that spans lines 12 to 22, which look like "
        "rows of their own; pass --quoting none if every line is a row, or --quoting minimal if "
        "the field is one text"
    ):
        scored(clf, source, tmp_path / "more.csv")
    assert not (tmp_path / "more.csv").exists()
    assert len(scored(clf, source, tmp_path / "more.csv", quoting="none")) == 61


def test_predict_keeps_columns_that_share_a_name(clf, tmp_path):
    source = tmp_path / "in.csv"
    source.write_text("v1,v2,,,\nham,a film,,,\nspam,a story,,x,\n")
    found = scored(clf, source, tmp_path / "out.csv", text_col="v2")
    added = ["label", "probability", "neg", "pos", "note"]
    assert found[0] == ["v1", "v2", "", "", "", *added]
    assert [row[:5] for row in found[1:]] == [
        ["ham", "a film", "", "", ""],
        ["spam", "a story", "", "x", ""],
    ]
    with refuses(
        f"cannot write {tmp_path / 'out.jsonl'}: a column of the input has no form there (more "
        "than one is named ''); choose another of .csv, .tsv, .jsonl, .parquet"
    ):
        predict.main(clf=clf, input=source, output=tmp_path / "out.jsonl", text_col="v2")
    with refuses(
        f"{source}: found more than one column named '', expected one to be read; rename or remove "
        "the others"
    ):
        predict.main(clf=clf, input=source, output=tmp_path / "o.csv", text_col="")


def test_predict_finds_the_separator(clf, tmp_path, told):
    source = tmp_path / "in.csv"
    source.write_text("id;text\n1;good, very good\n2;bad\n")
    found = scored(clf, source, tmp_path / "out.csv")
    assert [row[:2] for row in found] == [["id", "text"], ["1", "good, very good"], ["2", "bad"]]
    line = f"{source}: the fields are separated by ';', as the header 'id;text' says; --sep names "
    assert told[0] == f"{line}another"


def test_predict_of_a_text_takes_no_dialect(clf):
    with refuses("--text: found --sep, expected no such flag for a text; leave it out"):
        predict.main(clf=clf, text="good", sep=";")
