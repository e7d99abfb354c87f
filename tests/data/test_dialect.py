"""What flags say of a file: the same of every command, kept in recipes and manifests."""

import inspect
from dataclasses import asdict, fields
from importlib import import_module

import pytest
from tiny_models import refuses

from ulmfit.data.dialect import PLAIN, Dialect
from ulmfit.data.spec import DataFlags, DataSpec
from ulmfit.training.settings import LMSettings, Step, data_spec

OF_DATA = {
    *("__main__", "stage2_lm", "stage3_clf", "data.__main__", "tokenize"),
    *("evaluate", "calibrate", "report.__main__", "compare.__main__"),
}
OF_TEXTS = {"predict", "stage1_pretrain"}


@pytest.mark.parametrize("command", sorted(OF_DATA | OF_TEXTS))
def test_every_command_that_reads_a_table_has_the_flags(command):
    known = inspect.signature(import_module(f"ulmfit.{command}").main).parameters
    wanted = {field.name for field in fields(DataFlags if command in OF_DATA else Dialect)}
    assert wanted <= known.keys()
    assert {known[name].default for name in wanted} == {None}


@pytest.mark.parametrize("sep", ["\t", "\\t", "tab"])
def test_a_tab_has_three_names(sep):
    assert Dialect(sep=sep) == Dialect(sep="\t")


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"sep": ";;"}, "--sep is ';;', expected one character such as ; or tab"),
        ({"sep": '"'}, "--sep is '\"', expected one character such as ; or tab"),
        ({"quoting": "all"}, "--quoting is 'all', expected none or minimal"),
        (
            {"encoding": "utf-88"},
            "--encoding is 'utf-88', which is no known encoding of text; expected one such as "
            "utf-8, cp1252 or utf-16",
        ),
        (
            {"encoding": "base64"},
            "--encoding is 'base64', which is no known encoding of text; expected one such as "
            "utf-8, cp1252 or utf-16",
        ),
    ],
)
def test_what_a_dialect_cannot_be(given, line):
    with refuses(line):
        Dialect(**given)


def test_flags_become_a_spec():
    flags = DataFlags.of({"text_col": "a", "sep": "tab", "no_header": None, "quoting": "none"})
    assert flags.given() == {"text_col": "a", "sep": "\t", "quoting": "none"}
    assert flags.spec("x.csv", seed=3) == DataSpec(
        "x.csv", "a", seed=3, dialect=Dialect("\t", "none")
    )
    with pytest.raises(TypeError, match="tex_col"):
        DataFlags.of({"tex_col": "a"})


def test_data_of_the_training_are_read_as_then():
    settings = LMSettings(
        data="x.csv", text_col="a", sep=";", encoding="cp1252", steps=[Step(1, 0.1)]
    )
    spec = data_spec(settings)
    assert spec.dialect == Dialect(";", "", "cp1252")
    recipe = asdict(settings)
    assert DataSpec().or_of(recipe) == DataSpec("x.csv", "a", dialect=spec.dialect)
    assert DataSpec(dialect=Dialect("|")).or_of(recipe).dialect == Dialect("|", "", "cp1252")
    assert DataSpec("y.csv").or_of(recipe) == DataSpec("y.csv")
    older = {name: value for name, value in recipe.items() if name not in vars(PLAIN)}
    assert DataSpec().or_of(older) == DataSpec("x.csv", "a")
