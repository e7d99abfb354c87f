"""The command that checks data before a training."""

from pathlib import Path
from typing import Any

from ulmfit.base.cli import run_command, settings_flags
from ulmfit.base.log import show_result
from ulmfit.data.labels import KINDS
from ulmfit.data.spec import DataFlags


@settings_flags(DataFlags, default="")
def main(
    data: str = "imdb-sample",  # a data set by name, a file or a folder
    multi_label: bool = False,  # a text may have several labels, separated by ;, or none
    seed: int = 42,  # of the split, where the data brings none
    rows: int = 3,  # how many texts to show
    **flags: Any,
) -> dict[str, Any]:
    """Look at data before training on it: counts, labels, lengths, duplicates, what is odd.

    Prints a report and returns its figures. Labels of the test split are not looked at.
    """
    from ulmfit.artifacts import bundled
    from ulmfit.artifacts.directory import read_artifact
    from ulmfit.data.load import load_data
    from ulmfit.data.preflight import examples, preflight, report
    from ulmfit.data.vocabulary import with_vocabulary

    spec = DataFlags.of(flags).spec(data, KINDS[multi_label], seed)
    frame = load_data(spec, labels_required=False)
    figures = preflight(frame, spec.labels)
    general = read_artifact(Path(*bundled.model_folders(f"{bundled.GENERAL}-fwd")), "lm")
    figures = with_vocabulary(figures, frame["text"], general.processor(), bundled.GENERAL)
    show_result(report(spec.source, figures, examples(frame, rows)))
    return figures


if __name__ == "__main__":
    run_command(main)
