"""Trainings to compare: each runs once and its figures are stored, so a script can resume."""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.common import WORK, versions
from ulmfit import stage3_clf
from ulmfit.base.atomic import atomic_write
from ulmfit.base.log import show_progress
from ulmfit.base.precision import hardware

Figures = dict[str, Any]


class Trials:
    """The figures of a JSON file, by name; missing ones are computed and written at once."""

    def __init__(self, file: Path) -> None:
        show_progress()  # of the trainings, which take hours
        self.file = file
        self.found: dict[str, Figures] = json.loads(file.read_text()) if file.exists() else {}

    def get(self, name: str, compute: Callable[[], Figures]) -> Figures:
        """The figures of `name`; one line says where kept ones are of other hardware."""
        if name not in self.found:
            print(f"--- {name}", flush=True)
            began = time.monotonic()
            figures = compute()
            made = {"seconds": round(time.monotonic() - began), "hardware": hardware()}
            self.found[name] = {**figures, **made, "versions": versions()}
            atomic_write(self.file, json.dumps(self.found, indent=1, sort_keys=True) + "\n")
        elif (made_on := self.found[name].get("hardware")) not in (None, hardware()):
            print(f"--- {name}: kept, of other hardware: {made_on}", flush=True)
        return self.found[name]


def classifier(name: str, use: Callable[[Path], Figures], **settings: Any) -> Figures:
    """Train a classifier by stage 3, ask `use` for its figures, and remove it."""
    out = WORK / "trials" / name
    result = stage3_clf.main(out=str(out), half=True, overwrite=True, **settings)
    valid = result.metrics["valid"]
    figures = {
        "valid_accuracy": valid["accuracy"],
        "valid_documents": valid["documents"],
        "train_documents": result.metrics["train_texts"],
        "settings": {k: v for k, v in settings.items() if k != "lm"},
        **use(result.path),
    }
    shutil.rmtree(out)
    return figures
