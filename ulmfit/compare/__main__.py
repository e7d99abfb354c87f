"""ULMFiT and its alternatives side by side: the same labels, the same test, one table."""

from typing import Annotated, Any

from ulmfit.base.cli import run_command, settings_flags
from ulmfit.compare.plan import Settings
from ulmfit.compare.summary import Row
from ulmfit.data.spec import DataFlags

_NOTES = Settings()


@settings_flags(DataFlags, default="")
def main(
    data: str = _NOTES.data,  # data set: a name or a path
    methods: Annotated[str, {"nargs": "+"}] = "all",  # which of the methods above to compare
    train_sizes: str | None = None,  # labels to train on (default: 100,500,2000); all: every label
    seeds: int = 3,  # trials of each method and number of labels
    out: str | None = None,  # folder for table, plots, compare.md and the trials' files
    test_texts: int = 0,  # texts of test to measure on, drawn by a fixed seed; 0 for all
    transformer: str = _NOTES.transformer,  # a folder, or a name of the Hub (distilbert-base-cased)
    max_length: int = 0,  # tokens of a text for the transformer; 0: as many as it can read
    rates: str = _NOTES.rates,  # learning rates of finetune; validation chooses one
    finetune_epochs: int = 0,  # epochs of finetune; 0: 3, for few labels up to 20
    setfit_rates: str = _NOTES.setfit_rates,  # learning rates of setfit; validation chooses one
    setfit_pairs: int = 0,  # pairs that setfit learns from; 0: 40 a label, 4,800 at most
    gru_epochs: int = _NOTES.gru_epochs,  # epochs of the GRUs at most
    vectors: str | None = None,  # word vectors in GloVe's text form (default: trained on the texts)
    pretrained: str = _NOTES.pretrained,  # ULMFiT's general model; none: stage 1 on the texts
    lm: str | None = None,  # your own language model of the domain, instead of stage 2
    tokenizer: str = _NOTES.tokenizer,  # word or subword, with --pretrained none
    lang: str = _NOTES.lang,  # language of the word tokenizer, with --pretrained none
    stage1_recipe: str = _NOTES.stage1_recipe,  # of stages/stage1_pretrain.toml
    stage2_recipe: str = _NOTES.stage2_recipe,  # of stages/stage2_lm.toml
    stage3_recipe: str = _NOTES.stage3_recipe,  # of stages/stage3_clf.toml
    scratch_recipe: str = _NOTES.scratch_recipe,  # of stages/stage3_clf.toml, for ulmfit-scratch
    overwrite: bool = False,  # measure results of other settings or data again
    **flags: Any,
) -> list[Row]:
    """Train each method on the same labels, measure all on the same test texts, write a table.

    Methods: majority, tfidf-lr, nb-lr, vectors-gru, features-lr, features-gru, finetune, ulmfit,
    ulmfit-fwd, ulmfit-bwd, ulmfit-scratch, ulmfit-no-lm, setfit, static, static-tuned. Results of
    earlier calls are kept: an interrupted comparison continues, and a call with more methods, sizes
    or seeds adds to them.
    Returns the rows of the table.
    """
    given = locals()
    from ulmfit.compare.run import compare

    names = Settings.__dataclass_fields__
    own = {name: given[name] for name in names if name in given}
    settings = Settings(**own, **DataFlags.of(flags).given())
    return compare(settings, methods, train_sizes or "", seeds, out or "", overwrite)


if __name__ == "__main__":
    run_command(main)
