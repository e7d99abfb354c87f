"""Everything about trained classifiers on one page: figures, calibration, errors, training.

This command and `ulmfit.evaluate` are the only ones that read the labels of test.
"""

from pathlib import Path
from typing import Annotated, Any

from ulmfit.artifacts import bundled
from ulmfit.base.atomic import atomic_write, check_parent
from ulmfit.base.cli import run_command, settings_flags
from ulmfit.base.errors import UserError
from ulmfit.base.log import logger
from ulmfit.data.spec import DataFlags
from ulmfit.inference.ensemble import Classifier


@settings_flags(DataFlags, default="")
def main(
    clf: Annotated[str, {"nargs": "+"}] = "",  # classifiers' directories, or a bundled name
    data: str | None = None,  # data set: a name or a path (default: the first classifier's)
    split: str = "test",  # train, valid or test
    out: str = "report.html",  # the page to write
    texts: int = 20,  # texts of the highest loss that are shown; 0: a page without any text
    precision: str = "auto",  # float32: equal in any batch; bfloat16: faster; auto: by hardware
    overwrite: bool = False,  # replace --out if it exists
    **flags: Any,
) -> Path:
    """Write one HTML page about classifiers on one split: figures, errors, training.

    The page needs no network and runs no script. It contains texts of the data, see --texts.
    Returns its path.
    """
    if not clf:
        raise UserError(
            "no model given; --clf DIR [DIR ...] names classifiers, as ulmfit train writes"
        )
    from ulmfit.base.precision import keep_memory
    from ulmfit.inference.evaluation import check_split_name, read_data
    from ulmfit.inference.explanation import explain
    from ulmfit.report.collect import collect
    from ulmfit.report.page import page

    check_split_name(split)
    path = _check_output(out, texts, overwrite)
    keep_memory()
    classifier = Classifier.load(*bundled.model_folders(clf), precision=precision)
    given = DataFlags.of(flags).spec(data)
    data, read = read_data([model.artifact for model in classifier.models], given, split)

    def explained(text: str) -> str:
        return explain(classifier, text).to_html()

    report = collect(classifier, read.frame, data, split, texts, explained, read.left_out)
    atomic_write(path, page(report))
    logger.info(f"wrote {path}")
    return path


def _check_output(out: str, texts: int, overwrite: bool) -> Path:
    """The path to write; wrong arguments are refused before any work."""
    path = Path(out)
    if texts < 0:
        raise UserError(f"--texts is {texts}, expected 0 or more")
    if path.suffix.lower() != ".html":
        raise UserError(f"--out is {out}, expected a file that ends in .html")
    if path.exists() and not overwrite:
        raise UserError(f"{path} is there already; choose another --out or pass --overwrite")
    check_parent(path)
    return path


if __name__ == "__main__":
    run_command(main)
