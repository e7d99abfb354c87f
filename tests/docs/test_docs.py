"""README and docs/: commands exist, links lead somewhere, figures are those of the results."""

import inspect
import json
import re
import shlex
import tomllib
from importlib import import_module
from pathlib import Path
from statistics import fmean

import pytest

import ulmfit
from ulmfit.base.cli import command_parser
from ulmfit.base.errors import UserError
from ulmfit.command import VERBS

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^(?:\$ )?((?:ulmfit|python -m ulmfit)[ .].*)$", re.MULTILINE)
LINK = re.compile(r'(?:\]\(|^\[[^\]\n]+\]: +|src=")([^)\s"#]+)', re.MULTILINE)
MODULES = {verb.module.removesuffix(".__main__"): name for name, verb in VERBS.items()}
names = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def read(page):
    return page.read_text(encoding="utf-8")


def commands(text):
    """The words of each command of the package in the blocks of `text`."""
    for language, block in BLOCK.findall(text):
        if language != "python":
            for line in COMMAND.findall(block.replace("\\\n", "")):
                yield shlex.split(line.removesuffix("&"), comments=True)


def parse(words):
    """Parse a command line as the command does; UserError for an unknown verb or flag."""
    if words[0] == "ulmfit":
        verb, arguments = words[1], words[2:]
    else:
        _, _, module, *arguments = words
        verb = MODULES[module.removeprefix("ulmfit.") if "." in module else "__main__"]
    if verb.startswith("--"):
        return
    found = VERBS[verb]
    function = import_module(f"ulmfit.{found.module}").main
    parser = command_parser(function, f"ulmfit {verb}", found.positional)
    kinds = {parameter.kind for parameter in inspect.signature(function).parameters.values()}
    _, unknown = parser.parse_known_args(arguments)
    assert not unknown or inspect.Parameter.VAR_POSITIONAL in kinds, unknown


@names
def test_commands_exist_with_their_flags(page):
    for words in commands(read(page)):
        if words[-1] not in ("-h", "--help"):
            parse(words)


def test_a_wrong_flag_would_be_found():
    assert list(commands("```\n$ ulmfit lm --out x \\\n    --bad 1  # note\n```\n")) == [
        ["ulmfit", "lm", "--out", "x", "--bad", "1"]
    ]
    with pytest.raises((AssertionError, UserError)):
        parse(["ulmfit", "lm", "--out", "x", "--bad", "1"])
    with pytest.raises(KeyError):
        parse(["ulmfit", "foretell"])


@names
def test_links_lead_to_files(page):
    for target in LINK.findall(BLOCK.sub("", read(page))):
        assert "://" in target or (page.parent / target).exists(), target


@names
def test_lines_are_short(page):
    assert [line for line in read(page).splitlines() if len(line) > 120] == []


def test_readme_is_short():
    words = [word for word in read(README).split() if re.search(r"\w", word)]
    assert len(words) <= 900


def test_python_blocks_are_python():
    for page in PAGES:
        for language, block in BLOCK.findall(read(page)):
            if language == "python":
                compile(block, page.name, "exec")


def test_every_public_name_is_on_the_page_of_the_api():
    page = read(ROOT / "docs" / "api.md")
    assert [name for name in ulmfit.__all__ if f"ulmfit.{name}" not in page] == []


def test_every_page_is_in_the_menu():
    menu = read(ROOT / "mkdocs.yml")
    assert [page.name for page in PAGES[1:] if f": {page.name}" not in menu] == []


def test_the_docs_extra_is_pinned():
    project = tomllib.loads(read(ROOT / "pyproject.toml"))["project"]
    pinned = read(ROOT / "constraints.txt")
    for requirement in project["optional-dependencies"]["docs"]:
        name = re.match(r"[\w-]+", requirement)[0]
        assert f"\n{name}==" in pinned, name


def accuracy(results, method, labels):
    """Mean accuracy of a method over the seeds of a comparison, in % with a decimal place."""
    wanted = re.compile(rf"{method}-{labels}-\d+")
    found = [v["figures"]["accuracy"] for k, v in results.items() if wanted.fullmatch(k)]
    return f"{100 * fmean(found):.1f}"


COMPARED = {"film reviews": "imdb", "tweets": "emotion", "Spanish reviews": "spanish"}


def test_figures_of_the_readme_are_those_of_the_results():
    folder = ROOT / "benchmarks" / "results"
    rows = re.findall(
        r"^\| (film reviews|tweets|Spanish reviews), ([\d,]+)(.*)$", read(README), re.M
    )
    assert len(rows) == 7
    for texts, number, rest in rows:
        ours, transformer, linear = (cell.strip() for cell in rest.split("|")[1:4])
        labels = number.replace(",", "")
        if labels == "22500":
            figures = json.loads(read(folder / "imdb.json"))["figures"]
            assert ours == f"{100 * figures['ensemble']['accuracy']:.1f}"
            best = max(v["accuracy"] for k, v in figures.items() if "regression" in k)
            assert linear == f"{100 * best:.1f}"
            continue
        results = json.loads(read(folder / "compare" / f"{COMPARED[texts]}.json"))["results"]
        method = "ulmfit-fwd" if "forward only" in rest else "ulmfit"
        assert ours == accuracy(results, method, labels)
        if transformer:
            assert transformer == accuracy(results, "finetune", labels)
        assert linear == max(accuracy(results, name, labels) for name in ("tfidf-lr", "nb-lr"))
