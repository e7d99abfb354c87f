"""Teach a small, very fast student what classifiers answer."""

from pathlib import Path
from typing import Annotated, Any

from ulmfit.artifacts import bundled
from ulmfit.artifacts.writing import check_output
from ulmfit.base.cli import run_command, settings_flags
from ulmfit.base.errors import UserError
from ulmfit.data.spec import DataFlags


@settings_flags(DataFlags, default="")
def main(
    clf: Annotated[str, {"nargs": "+"}] = "",  # the teacher: classifiers' directories, or a name
    data: str | None = None,  # data set: a name or a path (default: the first classifier's)
    out: str | None = None,  # student's directory to write (default: student, beside the teacher's)
    texts: int = 0,  # most texts to learn from, drawn by the seed; 0 for all of train and unsup
    agreement: float = 0.99,  # share of the teacher's labels that predict --fast keeps
    seed: int = 42,  # for the texts that are drawn
    precision: str = "auto",  # the teacher's: float32, bfloat16, int8, or auto: by hardware
    overwrite: bool = False,  # replace a student in --out
    **flags: Any,
) -> dict[str, Any]:
    """Teach a student, a regression on hashed words and pairs of words, what classifiers answer.

    It learns the probabilities that the classifiers give to all texts of train and unsup; labels
    are not read. It is a model directory as others are: predict, evaluate and serve take it. With
    predict --fast it answers what it is sure of, and the classifiers answer the rest; how sure it
    must be is chosen on split valid. What the teacher answered is kept in the folder of caches, so
    that a run that was stopped goes on. Returns the student's metrics.
    """
    if not clf:
        raise UserError(
            "no model given; --clf DIR [DIR ...] names classifiers, as ulmfit train writes"
        )
    if not 0.5 <= agreement < 1:
        raise UserError(f"--agreement is {agreement:g}, expected from 0.5 to below 1")
    if texts < 0:
        raise UserError(f"--texts is {texts}, expected the number of texts, or 0 for all")
    folders = bundled.model_folders(clf)
    place = Path(out) if out else _default_out(folders)
    check_output(place, overwrite)
    from ulmfit.base.precision import keep_memory
    from ulmfit.inference.ensemble import Classifier
    from ulmfit.training.distilling import distill

    keep_memory()
    teacher = Classifier.load(*folders, precision=precision)
    given = DataFlags.of(flags).spec(data)
    return distill(
        teacher, given, place, most=texts, wanted=agreement, seed=seed, overwrite=overwrite
    )


def _default_out(folders: list[str]) -> Path:
    from ulmfit.inference.student import default_place

    place = default_place(folders)
    if place.parent in {folder.resolve() for folder in bundled.folders()}:
        raise UserError(
            "found a bundled classifier, whose folder is not yours to write to; --out DIR says "
            "where the student goes"
        )
    return place


if __name__ == "__main__":
    run_command(main)
