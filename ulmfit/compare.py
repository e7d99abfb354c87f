"""Side by side with what a user would pick instead: the same labels, the same test, one table."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from ulmfit.atomic import check_parent
from ulmfit.cli import run_command
from ulmfit.comparing import plan
from ulmfit.comparing.plan import Settings
from ulmfit.comparing.summary import Row
from ulmfit.errors import UserError
from ulmfit.lock import locked
from ulmfit.settings import ClassifierSettings, LMSettings, PretrainSettings, load_settings

_NOTES = Settings()


def main(
    data: str = _NOTES.data,  # data set: a name or a path
    methods: Annotated[str, {"nargs": "+"}] = "all",  # which to compare, of those above
    train_sizes: str | None = None,  # labels to train on (default: 100,500,2000); all for every one
    seeds: int = 3,  # trials of each method and number of labels
    out: str | None = None,  # folder for table, plots, compare.md, and what the trials leave
    text_col: str | None = None,  # column of the texts, where --data is a file
    label_col: str | None = None,  # column of the labels, where --data is a file
    split_col: str | None = None,  # column of the splits, where --data is a file
    test_texts: int = 0,  # texts of test to measure on, drawn by a fixed seed; 0 for all
    transformer: str = _NOTES.transformer,  # a folder, or a name of the Hub (distilbert-base-cased)
    max_length: int = 0,  # tokens that the transformer reads of a text; 0: as many as it can
    rates: str = _NOTES.rates,  # learning rates of finetune, of which validation chooses
    finetune_epochs: int = 0,  # epochs of finetune; 0: 3, for few labels up to 20
    gru_epochs: int = _NOTES.gru_epochs,  # epochs of the GRUs at most
    vectors: str | None = None,  # word vectors in GloVe's text form (default: trained on the texts)
    pretrained: str = _NOTES.pretrained,  # ULMFiT's general model; none: stage 1 on the texts
    lm: str | None = None,  # a language model of the domain that is there, in place of stage 2
    tokenizer: str = _NOTES.tokenizer,  # word or subword, with --pretrained none
    lang: str = _NOTES.lang,  # language of the word tokenizer, with --pretrained none
    stage1_recipe: str = _NOTES.stage1_recipe,  # of stages/stage1_pretrain.toml
    stage2_recipe: str = _NOTES.stage2_recipe,  # of stages/stage2_lm.toml
    stage3_recipe: str = _NOTES.stage3_recipe,  # of stages/stage3_clf.toml
    scratch_recipe: str = _NOTES.scratch_recipe,  # of stages/stage3_clf.toml, for ulmfit-scratch
    overwrite: bool = False,  # measure again what is there of other settings or other data
) -> list[Row]:
    """Train each method on the same labels, measure all on the same test texts, write a table.

    Methods: majority, tfidf-lr, nb-lr, vectors-gru, features-lr, features-gru, finetune, ulmfit,
    ulmfit-fwd, ulmfit-bwd, ulmfit-scratch, ulmfit-no-lm. What is there of an earlier call is kept:
    an interrupted comparison goes on where it was, and one of more methods, sizes or seeds takes
    in what was measured before. Returns the rows of the table.
    """
    given = locals()
    names = Settings.__dataclass_fields__
    settings = Settings(**{name: given[name] for name in names if name in given})
    return compare(settings, methods, train_sizes or "", seeds, out or "", overwrite)


def compare(
    settings: Settings,
    methods: str | Sequence[str] = "all",
    train_sizes: str = "",
    seeds: int = 3,
    out: str = "",
    overwrite: bool = False,
) -> list[Row]:
    """What the command does, from Python; raises a UserError where the command ends with one."""
    names = plan.chosen_methods(methods)
    folder = _check(settings, seeds, out)
    from ulmfit.comparing.judge import Judge
    from ulmfit.comparing.page import write
    from ulmfit.comparing.trials import Trials

    judge = Judge.of(settings)
    sizes = plan.chosen_sizes(train_sizes, judge.labelled)
    for size in sizes:  # a class without a label is told before any training
        for seed in range(1, seeds + 1):
            judge.task(size, seed)
    with locked(folder):
        trials = Trials(folder, settings, judge, overwrite)
        try:
            trials.make(plan.jobs(names, sizes, seeds))
        finally:  # after Ctrl-C as well, of what there is
            rows = write(trials) if trials.found else []
    print((folder / "table.md").read_text(encoding="utf-8"))
    print(f"wrote {folder / 'compare.md'}, with table, plots and results.json beside it")
    return rows


def _check(settings: Settings, seeds: int, out: str) -> Path:
    """What cannot be is refused before any work."""
    if not out:
        raise UserError("no folder given; --out DIR names one for table, plots and results")
    for name, value, least in (
        ("seeds", seeds, 1),
        ("gru-epochs", settings.gru_epochs, 1),
        ("finetune-epochs", settings.finetune_epochs, 0),
        ("max-length", settings.max_length, 0),
        ("test-texts", settings.test_texts, 0),
    ):
        if value < least:
            raise UserError(f"--{name} is {value}, expected {least} or more")
    plan.rates_of(settings.rates)
    if settings.vectors and not Path(settings.vectors).expanduser().is_file():
        raise UserError(
            f"no file {settings.vectors}; --vectors takes word vectors in GloVe's text form"
        )
    own = {"tokenizer": settings.tokenizer, "lang": settings.lang}
    load_settings(PretrainSettings, settings.stage1_recipe, {**own, **settings.stage1})
    load_settings(LMSettings, settings.stage2_recipe, settings.stage2)
    for recipe in (settings.stage3_recipe, settings.scratch_recipe):
        load_settings(ClassifierSettings, recipe, settings.stage3)
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--out is {out}, a file; expected a folder")
    check_parent(folder / "compare.md")
    return folder


if __name__ == "__main__":
    run_command(main)
