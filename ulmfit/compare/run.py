"""A comparison, from its settings to its table."""

from collections.abc import Sequence
from pathlib import Path

from ulmfit.base.atomic import check_parent
from ulmfit.base.errors import UserError
from ulmfit.base.lock import locked
from ulmfit.base.log import logger, show_result
from ulmfit.compare import plan
from ulmfit.compare.judge import Judge
from ulmfit.compare.page import write
from ulmfit.compare.plan import Settings
from ulmfit.compare.summary import Row
from ulmfit.compare.trials import Trials
from ulmfit.training.settings import ClassifierSettings, LMSettings, PretrainSettings, load_settings


def compare(
    settings: Settings,
    methods: str | Sequence[str] = "all",
    train_sizes: str = "",
    seeds: int = 3,
    out: str = "",
    overwrite: bool = False,
) -> list[Row]:
    """The command as a function; raises a UserError where the command ends with one."""
    names = plan.chosen_methods(methods)
    folder = _check(settings, seeds, out)

    judge = Judge.of(settings)
    sizes = plan.chosen_sizes(train_sizes, judge.labelled)
    for size in sizes:  # report a class without a label before any training
        for seed in range(1, seeds + 1):
            judge.task(size, seed)
    with locked(folder):
        trials = Trials(folder, settings, judge, overwrite)
        try:
            trials.make(plan.jobs(names, sizes, seeds))
        finally:  # after Ctrl-C, too, with the results so far
            rows = write(trials) if trials.found else []
    show_result((folder / "table.md").read_text(encoding="utf-8"))
    logger.info(f"wrote {folder / 'compare.md'}, with table, plots and results.json beside it")
    return rows


def _check(settings: Settings, seeds: int, out: str) -> Path:
    """Refuse wrong settings before any work."""
    if not out:
        raise UserError("no folder given; --out DIR names one for table, plots and results")
    for name, value, least in (
        ("seeds", seeds, 1),
        ("gru-epochs", settings.gru_epochs, 1),
        ("finetune-epochs", settings.finetune_epochs, 0),
        ("setfit-pairs", settings.setfit_pairs, 0),
        ("max-length", settings.max_length, 0),
        ("test-texts", settings.test_texts, 0),
    ):
        if value < least:
            raise UserError(f"--{name} is {value}, expected {least} or more")
    plan.rates_of(settings.rates)
    plan.rates_of(settings.setfit_rates, "setfit-rates")
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
