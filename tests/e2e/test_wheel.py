"""Wheels: the project's own is small and works without the checkout; others bring the models."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from ulmfit.artifacts import bundled

PROJECT = Path(__file__).parents[1].parent
PACKAGES = sorted(path.parent for path in PROJECT.glob("packages/*/pyproject.toml"))


def run(*command, cwd, **environment):
    """What a command prints; its own complaint if it fails."""
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def contents_of(package):
    """Name of the package, and its parts: what a wheel calls them -> where they lie."""
    project = tomllib.loads((package / "pyproject.toml").read_text(encoding="utf-8"))
    parts = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    return project["project"], {
        inside: (package / path).resolve() for path, inside in parts.items()
    }


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_a_package_has_whole_models_and_fits(package):
    project, parts = contents_of(package)
    (inside,) = project["entry-points"][bundled.GROUP].values()
    assert inside == package.name.replace("-", "_")
    assert project["name"] == package.name
    own = {name for name, known in bundled.PACKAGES.items() if known == package.name}
    models = {f"{inside}/{name}-{way}" for name in own for way in bundled.DIRECTIONS}
    assert set(parts) == {f"{inside}/LICENSE", *models}
    for target, path in parts.items():
        assert path == PROJECT / "LICENSE" or path == PROJECT / "models" / Path(target).name
    files = [file for path in parts.values() for file in (path, *path.rglob("*"))]
    assert sum(file.stat().st_size for file in files if file.is_file()) < 100e6


def test_every_bundled_model_has_a_package():
    assert set(bundled.PACKAGES.values()) == {path.name for path in PACKAGES}
    folders = {path.name for path in (PROJECT / "models").glob("*-small-?wd")}
    assert folders == {f"{name}-{way}" for name in bundled.PACKAGES for way in bundled.DIRECTIONS}


def test_every_room_is_in_the_wheel():
    """An installed package without one of its rooms fails at the first import of it."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    listed = {name for name in project["tool"]["setuptools"]["packages"] if name != "ulmfit.stages"}
    folders = {file.parent for file in (PROJECT / "ulmfit").rglob("*.py")}
    assert listed == {".".join(folder.relative_to(PROJECT).parts) for folder in folders}


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder into which the wheels were installed: that of the project, then all of them."""
    folder = tmp_path_factory.mktemp("wheel")
    for project in (PROJECT, *PACKAGES):
        build = (sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder)
        run(*map(str, (*build, project)), cwd=folder)
    wheels = sorted(folder.glob("*.whl"))
    alone = [wheel for wheel in wheels if wheel.name.startswith("ulmfit-")]
    targets = []
    for name, chosen in (("alone", alone), ("all", wheels)):
        targets.append(folder / name)
        pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index")
        run(*pip, "--target", str(targets[-1]), *map(str, chosen), cwd=folder)
    return wheels, *targets


@pytest.mark.slow
def test_sizes(installed):
    sizes = {wheel.name.partition("-")[0]: wheel.stat().st_size for wheel in installed[0]}
    assert set(sizes) == {"ulmfit", *(package.name.replace("-", "_") for package in PACKAGES)}
    assert sizes["ulmfit"] < 20e6
    assert max(sizes.values()) < 100e6


@pytest.mark.slow
def test_recipes_and_models_come_along(installed, tmp_path):
    code = (
        "from ulmfit.artifacts import bundled, pretrained\n"
        "from ulmfit.training import settings\n"
        "print(list(settings.recipes(settings.LMSettings)))\n"
        "print(*bundled.names('lm'), *bundled.names('classifier'), len(bundled.folders()))\n"
        "print(len(pretrained.load_pretrained('wiki-en-small', backwards=True).processor.vocab))\n"
    )
    out = run(sys.executable, "-c", code, cwd=tmp_path, PYTHONPATH=str(installed[2]))
    recipes, found, words = out.splitlines()
    assert "demo" in recipes
    assert found == "imdb-lm-small wiki-en-small imdb-small 2"
    assert int(words) == 20_000


@pytest.mark.slow
def test_commands_run(installed, tmp_path):
    _, alone, together = installed
    python = (sys.executable, "-m")
    out = run(*python, "ulmfit.text", "GREAT film", cwd=tmp_path, PYTHONPATH=str(alone))
    assert out.split() == ["xxbos", "xxup", "great", "film"]
    predict = (*python, "ulmfit.predict", "--text", "A wonderful film.")
    out = run(*predict, cwd=tmp_path, PYTHONPATH=str(together))
    assert out.split()[-2:] == ["label", "pos"]
    refused = subprocess.run(
        (*python, "ulmfit", "--data", "none.csv"),  # needs every room
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(together)},
        capture_output=True,
        text=True,
    )
    assert refused.stderr.splitlines()[-1].startswith("error: no file or folder"), refused.stderr


@pytest.mark.slow
def test_without_models_a_line_says_what_to_install(installed, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(installed[1]), "HF_HUB_OFFLINE": "1"}
    environment["ULMFIT_CACHE"] = str(tmp_path)
    predict = (sys.executable, "-m", "ulmfit.predict", "--text", "A wonderful film.")
    done = subprocess.run(predict, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    line = "error: imdb-small-fwd is not installed: pip install ulmfit-models-en"
    assert done.stderr.startswith(line)
    assert done.stderr.count("\n") == 1
