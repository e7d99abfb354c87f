"""ULMFiT's methods: the project's own stages, on the files of the other methods."""

import time
from pathlib import Path
from typing import Any

from ulmfit import stage1_pretrain, stage2_lm, stage3_clf
from ulmfit.artifacts.directory import read_artifact, read_metrics
from ulmfit.artifacts.manifest import suffix
from ulmfit.artifacts.pretrained import find_directory
from ulmfit.base.errors import UserError
from ulmfit.compare.plan import OWN_TEXT
from ulmfit.compare.task import Fitted, Task, folder_size
from ulmfit.inference.ensemble import Classifier
from ulmfit.training.options import StageResult
from ulmfit.training.start import read_lm

LEFT_OUT, NOT_KNOWN = "left unread", "not known to be left unread"
_OF_LM = ("train", "unsup", "valid")  # splits that stage 2 reads; stage 1 holds some texts out
_TIMED = 500  # about so many texts


def lm_forward(task: Task) -> Fitted:
    """The language model for all forward classifiers."""
    return _language_model(task, backwards=False)


def lm_backward(task: Task) -> Fitted:
    """The language model for all backward classifiers."""
    return _language_model(task, backwards=True)


def forward(task: Task) -> Fitted:
    """ULMFiT, reading forward."""
    return _classifier(task, "lm-fwd", backwards=False)


def backward(task: Task) -> Fitted:
    """ULMFiT, reading backward."""
    return _classifier(task, "lm-bwd", backwards=True)


def ensemble(task: Task) -> Fitted:
    """The mean probabilities of the classifiers of `forward` and `backward`."""
    each = [task.needs["ulmfit-fwd"], task.needs["ulmfit-bwd"]]
    return Fitted(_loaded(task, *each), sum(map(folder_size, each)), seconds=0.0)


def scratch(task: Task) -> Fitted:
    """The same classifier from random weights: neither stage 1 nor stage 2."""
    return _classifier(task, "none", backwards=False, recipe=task.settings.scratch_recipe)


def no_lm(task: Task) -> Fitted:
    """Stage 3 right after stage 1: the language model has not seen the texts."""
    if task.settings.pretrained == OWN_TEXT:
        raise UserError(
            "there is no language model of other texts to begin with (--pretrained none)"
        )
    return _classifier(task, task.settings.pretrained, backwards=False)


def _language_model(task: Task, backwards: bool) -> Fitted:
    settings = task.settings
    if settings.lm:
        folder = find_directory(settings.lm, backwards)
        if folder is None:
            raise UserError(
                f"no language model {settings.lm}: found neither a folder of that name nor one "
                f"that ends in -{suffix(backwards)}, and no bundled one; correct --lm"
            )
        # Whether it has read texts of test is known only of its own data.
        withheld = read_lm(folder, backwards).manifest.lm_config.withheld or []
        unread = LEFT_OUT if set(task.tests).intersection(withheld) else NOT_KNOWN
        facts = {"language model": f"{settings.lm}, as it was given", "texts of test": unread}
        return Fitted(facts=facts, seconds=0.0)
    if settings.pretrained == OWN_TEXT:
        return _from_own_text(task, backwards)
    # Texts of test are never read, even if the recipe says so: no other method reads them, either.
    own = {"pretrained": settings.pretrained, "lm_text": "train", "samples": 0}
    given = {"data": str(task.data), "seed": task.seed, **own, **settings.stage2}
    result = stage2_lm.main(**given, **_options(task, settings.stage2_recipe, backwards))
    perplexity = {when: result.metrics[when]["perplexity"] for when in ("before", "after")}
    facts = {"perplexity": f"{perplexity['before']:.1f} -> {perplexity['after']:.1f}"}
    return _of(task, result, facts, _OF_LM)


def _from_own_text(task: Task, backwards: bool) -> Fitted:
    """Stage 1 on train + unsup, for a language or a kind of text without another model."""
    corpus = task.folder / "corpus.parquet"
    corpus.parent.mkdir(parents=True, exist_ok=True)
    read = task.frame["split"].isin(["train", "unsup"])
    task.frame.loc[read, ["text"]].to_parquet(corpus, index=False)
    settings = task.settings
    own = {"seed": task.seed, "tokenizer": settings.tokenizer, "lang": settings.lang}
    given = {"corpus": str(corpus), **own, **settings.stage1}
    result = stage1_pretrain.main(**given, **_options(task, settings.stage1_recipe, backwards))
    facts = {"perplexity": f"{result.metrics['valid']['perplexity']:.1f}"}
    return _of(task, result, facts, _OF_LM[:2])


def _classifier(task: Task, lm: str, backwards: bool, recipe: str = "") -> Fitted:
    """A classifier of stage 3; `lm` is a need of the task, or a language model for ``--lm``."""
    if lm in task.needs:
        lm = task.settings.lm or str(task.needs[lm] / "model")
    own = {"lm": lm, "data": str(task.data), "seed": task.seed, "labels": 0}
    given = {**own, **task.settings.stage3}
    options = _options(task, recipe or task.settings.stage3_recipe, backwards)
    result = stage3_clf.main(**given, **options)
    facts = {"texts cut": result.metrics["texts_cut"] / len(task.rows("train"))}
    made = _of(task, result, facts, ("train", "valid"))
    size = folder_size(result.path)
    return Fitted(_loaded(task, task.folder), size, made.facts, made.seconds)


def _options(task: Task, recipe: str, backwards: bool) -> dict[str, Any]:
    """The flags of a stage that are not its settings; it continues from its own checkpoint."""
    out = str(task.folder / "model")
    return {"recipe": recipe, "out": out, "backwards": backwards, "overwrite": True}


def _loaded(task: Task, *folders: Path) -> Any:
    classifier = Classifier.load(*(folder / "model" for folder in folders))
    if classifier.labels != task.classes:
        raise UserError(f"{folders[0]} knows other classes; pass --overwrite")
    return classifier.probabilities


def _of(task: Task, result: StageResult, facts: dict[str, Any], splits: tuple[str, ...]) -> Fitted:
    """Seconds of a stage: its own clock, which survives interruptions, plus its tokenising.

    The tokens may come from another trial, and they are those of more texts than this trial has.
    So the time for the texts of `splits` is measured on some of them.
    """
    processor = read_artifact(result.path).processor()
    texts = task.texts(*splits)
    some = texts[:: max(1, len(texts) // _TIMED)]
    began = time.perf_counter()
    processor.encode(some)
    seconds = (time.perf_counter() - began) * sum(map(len, texts)) / max(1, sum(map(len, some)))
    return Fitted(facts=facts, seconds=float(read_metrics(result.path)["seconds"]) + seconds)
