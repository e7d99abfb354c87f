"""How long a user waits: a prediction from the command line, one from a loaded model, and the
second start of stage 2.

fastai's side loads an exported learner of the same sizes and predicts one short text.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.common import WORK, Row, alternate, measure, script, single_row, time_row
from benchmarks.texts import classifier

TEXT = "A quiet film about the sea, and a very good one."
LOADED = 50  # predictions from a loaded model

_FASTAI = """
import sys
from fastai.text.all import load_learner
print(load_learner(sys.argv[1]).predict(sys.argv[2]))
"""


def _seconds(command: list[str]) -> dict[str, Any]:
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return {"value": time.perf_counter() - began}


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
    from ulmfit.model.sizes import EncoderConfig

    artifact = read_artifact(classifier(), "classifier")
    config = EncoderConfig.from_dict(artifact.manifest.config, classifier())
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
    """fastai's `load_learner` and `predict`."""
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
    if what == "command":
        folder = str(classifier())
        return _seconds([sys.executable, "-m", "ulmfit.predict", "--clf", folder, "--text", TEXT])
    if what == "stage2":
        return {"value": _until_training()}
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


def _until_training() -> float:
    """Seconds until stage 2 begins to train, when it prints the perplexity before."""
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
                return seconds
        raise SystemExit("stage 2 ended before it trained")


def rows(runs: int) -> list[Row]:
    """The command, one short text, and stage 2 with its tokens cached."""
    name = "benchmarks.startup"
    classifier()  # trained before anything is timed
    measure(name, "ours", {"what": "stage2"})  # tokenises
    stage2 = [measure(name, "ours", {"what": "stage2"})["value"] for _ in range(runs)]
    return [
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
            statistics.median(stage2),
            "s",
            target="< 10",
            runs=runs,
        ),
    ]


if __name__ == "__main__":
    script("benchmarks.startup", {"peer": peer, "ours": ours}, rows)
