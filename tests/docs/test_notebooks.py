"""Notebooks: as their sources say, executed, small, and with names and flags that exist."""

import ast
import importlib.util
import inspect
import json
import re
from dataclasses import fields
from pathlib import Path

import pytest
from test_docs import commands, parse

import ulmfit
from ulmfit.training.settings import ClassifierSettings, LMSettings

FOLDER = Path(__file__).parents[2] / "notebooks"
SPEC = importlib.util.spec_from_file_location("build", FOLDER / "build.py")
build = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(build)
# From Python, the stages take settings that have no flag (the steps), too.
SETTINGS = [field.name for one in (LMSettings, ClassifierSettings) for field in fields(one)]
each = pytest.mark.parametrize("name", build.NAMES)


def cells(name):
    return build.cells_of((FOLDER / f"{name}.py").read_text(encoding="utf-8"))


def code(name):
    """The Python of a notebook."""
    python = [text for kind, text in cells(name) if kind == "code" and not text.startswith("%%")]
    return ast.parse("\n".join(python))


def executed(name):
    return json.loads((FOLDER / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]


def outputs(name):
    return [output for cell in executed(name) for output in cell.get("outputs", [])]


def test_every_source_is_a_notebook():
    sources = {path.stem for path in FOLDER.glob("*.py")} - {"build"}
    assert sources == {path.stem for path in FOLDER.glob("*.ipynb")} == set(build.NAMES)


@each
def test_a_notebook_has_the_cells_of_its_source(name):
    found = [(cell["cell_type"], "".join(cell["source"])) for cell in executed(name)]
    assert found == cells(name)


@each
def test_it_was_executed_to_its_end(name):
    counts = [c["execution_count"] for c in executed(name) if c["cell_type"] == "code"]
    assert counts == list(range(1, len(counts) + 1))
    assert {output["output_type"] for output in outputs(name)} <= {
        *("stream", "execute_result", "display_data")
    }
    assert any(output["output_type"] == "execute_result" for output in outputs(name))


@each
def test_it_is_small_and_tells_nothing_of_the_machine(name):
    assert (FOLDER / f"{name}.ipynb").stat().st_size < 60_000
    assert not re.search(r"/(tmp|home|root|work|Users)/", json.dumps(outputs(name)))


@each
def test_commands_exist_with_their_flags(name):
    shell = [text for _, text in cells(name) if text.startswith("%%bash")]
    prose = [span for kind, text in cells(name) if kind == "markdown" for span in spans(text)]
    lines = [re.sub(r" (2>&1 )?\|.*", "", text) for text in shell]
    found = [words for text in [*lines, *prose] for words in commands(f"```\n{text}\n```\n")]
    assert len(found) >= 1
    for words in found:
        parse(words)


def spans(text):
    """What is marked as code in a paragraph, if it is a command with arguments."""
    return re.findall(r"`(ulmfit \w+ [^`]+)`", " ".join(text.splitlines()))


def wrong_keywords(tree):
    """Keywords that a function of the package lacks, and names that the package lacks."""
    imported = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module == "ulmfit"]
    names = {alias.name for node in imported for alias in node.names}
    wrong = sorted(names - {*ulmfit.__all__})
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
            known = {*inspect.signature(getattr(ulmfit, node.func.id)).parameters, *SETTINGS}
            given = {keyword.arg for keyword in node.keywords} - {None}
            wrong += [f"{node.func.id}({name}=)" for name in sorted(given - known)]
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            given = {keyword.arg for keyword in node.keywords}
            for method in methods(node.func.attr, names):
                wrong += [f"{node.func.attr}({name}=)" for name in sorted(given - {*method})]
    return wrong


def methods(name, of):
    """The parameters of a method of the imported classes."""
    classes = [getattr(ulmfit, one) for one in sorted(of & {*ulmfit.__all__})]
    found = [getattr(one, name) for one in classes if hasattr(one, name) and inspect.isclass(one)]
    return [inspect.signature(method).parameters for method in found]


@each
def test_names_and_keywords_exist(name):
    assert wrong_keywords(code(name)) == []


def test_a_wrong_keyword_would_be_found():
    bad = "from ulmfit import fine_tune_lm, tune\nfine_tune_lm(data='x', epoch=1)"
    assert wrong_keywords(ast.parse(bad)) == ["tune", "fine_tune_lm(epoch=)"]
    bad = "from ulmfit import LanguageModel\nmodel.generate('x', temperature=1)"
    assert wrong_keywords(ast.parse(bad)) == ["generate(temperature=)"]


def test_text_before_the_first_cell_is_refused():
    with pytest.raises(ValueError, match="found text before the first cell: 'import os'"):
        build.cells_of("import os\n# %%\n1\n")
