"""How long a user waits: ``--help``, ``import ulmfit``, a prediction from the command line, one
from a loaded model, and the second start of stage 2.

fastai's side imports `fastai.text.all`, which a script needs before it can say anything; it reads
an exported learner of the same sizes and predicts one short text.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.common import WORK, Row, alternate, measure, median, script, single_row, time_row
from benchmarks.texts import classifier

COMMANDS = (
    *("", ".stage1_pretrain", ".stage2_lm", ".stage3_clf", ".generate", ".evaluate", ".predict"),
    *(".explain", ".report", ".calibrate", ".compare", ".serve", ".export", ".push", ".pull"),
    *(".verify", ".tokenize", ".text", ".data"),
)
TEXT = "A quiet film about the sea, and a very good one."
LOADED = 50  # predictions from a loaded model

_FASTAI = """
import sys
from fastai.text.all import load_learner
print(load_learner(sys.argv[1]).predict(sys.argv[2]))
"""


_IMPORT = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"


def _seconds(command: list[str]) -> dict[str, Any]:
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return {"value": time.perf_counter() - began}


def _import(name: str) -> dict[str, Any]:
    """Milliseconds of an import, in a process of its own."""
    command = [sys.executable, "-W", "ignore", "-c", _IMPORT.format(name)]
    return {"value": 1000 * float(subprocess.check_output(command, text=True))}


def _slowest_help() -> dict[str, Any]:
    python = [sys.executable, "-m"]
    return max(
        (_seconds([*python, f"ulmfit{command}", "--help"]) for command in COMMANDS),
        key=lambda found: found["value"],
    )


def _learner() -> Any:
    """A fastai learner as `text_classifier_learner` makes it, of the project's sizes."""
    import pandas as pd
    from fastai.text.all import (
        AWD_LSTM,
        TextDataLoaders,
        awd_lstm_clas_config,
        text_classifier_learner,
    )

    from ulmfit.artifacts.directory import read_artifact

    artifact = read_artifact(classifier(), "classifier")
    config = artifact.manifest.network.encoder
    sizes = {"emb_sz": config.emb_sz, "n_hid": config.n_hid, "n_layers": config.n_layers}
    frame = pd.DataFrame({"text": [TEXT] * 8, "label": ["neg", "pos"] * 4})
    loaders = TextDataLoaders.from_df(
        frame,
        text_col="text",
        label_col="label",
        bs=4,
        n_workers=0,
        text_vocab=list(artifact.processor().vocab),
    )
    return text_classifier_learner(
        loaders, AWD_LSTM, pretrained=False, config={**awd_lstm_clas_config, **sizes}
    )


def peer(what: str) -> dict[str, Any]:
    """fastai's import, or `load_learner` and `predict`."""
    if what == "help":
        return _seconds([sys.executable, "-W", "ignore", "-c", "import fastai.text.all"])
    if what == "import":
        return _import("fastai.text.all")
    if what == "loaded":
        learn = _learner()
        with learn.no_bar():
            return {"value": 1000 * _median(lambda: learn.predict(TEXT))}
    exported = WORK / "learner.pkl"
    if not exported.exists():
        WORK.mkdir(exist_ok=True)
        _learner().export(exported.resolve())
    return _seconds([sys.executable, "-W", "ignore", "-c", _FASTAI, str(exported.resolve()), TEXT])


def ours(what: str) -> dict[str, Any]:
    """The command, or `Classifier.predict`."""
    if what == "help":
        return _slowest_help()
    if what == "import":
        return _import("ulmfit")
    if what == "command":
        folder = str(classifier())
        return _seconds([sys.executable, "-m", "ulmfit.predict", "--clf", folder, "--text", TEXT])
    if what == "stage2":
        return _until_training()
    from ulmfit.inference.ensemble import Classifier

    loaded = Classifier.load(classifier())
    return {"value": 1000 * _median(lambda: loaded.predict([TEXT]))}


def _median(call: Any) -> float:
    """Seconds of `call`, in the middle of many."""
    seconds = []
    for _ in range(LOADED):
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def _until_training() -> dict[str, Any]:
    """Seconds until stage 2 begins to train, when it prints the perplexity before.

    `processor`: of all cores together, which other programs change less.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-u", "-m", "ulmfit.stage2_lm", "--out", str(Path(folder, "lm"))]
        cache = {**os.environ, "ULMFIT_CACHE": str(WORK / "cache")}
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=cache)
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("perplexity before"):
                seconds = time.perf_counter() - began
                process.kill()
                process.wait()
                used = resource.getrusage(resource.RUSAGE_CHILDREN)
                return {"value": seconds, "processor": used.ru_utime + used.ru_stime}
        raise SystemExit("stage 2 ended before it trained")


def rows(runs: int) -> list[Row]:
    """Help, import, the command, one short text, and stage 2 with its tokens cached."""
    name = "benchmarks.startup"
    classifier()  # trained before anything is timed
    measure(name, "ours", {"what": "stage2"})  # tokenises
    stage2 = [measure(name, "ours", {"what": "stage2"}) for _ in range(runs)]
    return [
        time_row(
            "help",
            "`--help` of the slowest command, beside importing fastai",
            alternate(name, runs, {"what": "help"}),
            "s",
            target="< 1",
        ),
        time_row(
            "import",
            "`import ulmfit`, beside importing fastai",
            alternate(name, runs, {"what": "import"}),
            "ms",
            target="< 50",
        ),
        time_row(
            "startup",
            "`predict --text` from the command line",
            alternate(name, runs, {"what": "command"}),
            "s",
            target="< 4",
        ),
        time_row(
            "short_text",
            "one short text, model loaded",
            alternate(name, runs, {"what": "loaded"}),
            "ms",
            target="< 20",
        ),
        single_row(
            "stage2_warm_start",
            "stage 2 on the sample, tokens cached, until training begins",
            median(stage2),
            "s",
            target="< 6",
            runs=runs,
            details={"processor_s": median(stage2, "processor")},
        ),
    ]


if __name__ == "__main__":
    script("benchmarks.startup", {"peer": peer, "ours": ours}, rows)
