"""A wheel of the project works without the checkout: recipes and bundled models come along."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1].parent


def run(*command, cwd, **environment):
    """What a command prints; its own complaint if it fails."""
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder into which the wheel alone was installed."""
    folder = tmp_path_factory.mktemp("wheel")
    build = (sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder))
    run(*build, str(PROJECT), cwd=folder)
    (wheel,) = folder.glob("*.whl")
    target = folder / "installed"
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target))
    run(*pip, str(wheel), cwd=folder)
    return target


@pytest.mark.slow
def test_recipes_and_models_come_along(installed, tmp_path):
    code = (
        "from ulmfit import bundled, settings, pretrained\n"
        "print(list(settings.recipes(settings.LMSettings)))\n"
        "print(*bundled.names('lm'), *bundled.names('classifier'), bundled.folder())\n"
        "print(len(pretrained.load_pretrained('wiki-en-small', backwards=True).processor.vocab))\n"
    )
    out = run(sys.executable, "-c", code, cwd=tmp_path, PYTHONPATH=str(installed))
    recipes, bundled, words = out.splitlines()
    assert "demo" in recipes
    assert bundled == f"imdb-lm-small wiki-en-small imdb-small {installed / 'ulmfit' / 'bundled'}"
    assert int(words) == 20_000


@pytest.mark.slow
def test_a_command_runs(installed, tmp_path):
    out = run(
        sys.executable, "-m", "ulmfit.text", "GREAT film", cwd=tmp_path, PYTHONPATH=str(installed)
    )
    assert out.split() == ["xxbos", "xxup", "great", "film"]
