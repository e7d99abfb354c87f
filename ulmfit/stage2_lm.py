"""Stage 2: fine-tune the language model on in-domain text (ULMFiT section 3.2)."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ulmfit.artifacts.manifest import suffix
from ulmfit.artifacts.pretrained import Pretrained, load_pretrained
from ulmfit.base.cli import run_command, settings_flags
from ulmfit.base.errors import UserError
from ulmfit.base.log import logger, quiet
from ulmfit.base.visible import visible
from ulmfit.data.duplicates import normalised_digest
from ulmfit.data.fingerprints import fingerprint, texts_fingerprint
from ulmfit.data.load import load_data
from ulmfit.inference.sampling import generate
from ulmfit.model.build import build_lm
from ulmfit.model.sizes import EMBEDDING_RANGE, EncoderConfig
from ulmfit.model.transfer import load_encoder, load_head, remap_vocabulary, vocabulary_overlap
from ulmfit.text.corpus import Corpus, cache_folder, tokenize_texts
from ulmfit.text.ids import digest
from ulmfit.text.processor import TextProcessor, make_vocab
from ulmfit.training.checkpoint import checkpoint_path
from ulmfit.training.history import History
from ulmfit.training.lm import lm_learner, lm_loaders, measure_lm, measured_lm
from ulmfit.training.lr_finder import rate_found, show_rate
from ulmfit.training.run import CHECKPOINT_MINUTES, Run, deadline_after
from ulmfit.training.run_log import run_log
from ulmfit.training.schedules import steps_of
from ulmfit.training.settings import LMSettings, load_settings
from ulmfit.training.stage import Finished, Options, StageResult, identity, save, set_up, writing

# Which splits the language model reads, by the name that `lm_text` gives.
LM_TEXT = {"train": ("train", "unsup"), "all": ("train", "unsup", "test")}


@settings_flags(LMSettings)
def main(
    recipe: str = "demo",  # table of stages/stage2_lm.toml
    out: str | None = None,  # model directory to write (default: models/<recipe>/lm-fwd or -bwd)
    backwards: bool = False,  # read each text from its end
    half: bool = False,  # store the weights in half precision
    about: str = "",  # for the model card: what the texts are, and whose
    overwrite: bool = False,  # replace the model directory, and a checkpoint of another run
    find_lr: bool = False,  # train nothing: look for a learning rate, and draw loss against rate
    log: str = "",  # where to follow the training: tensorboard or mlflow
    checkpoint_minutes: float = CHECKPOINT_MINUTES,  # minutes between two checkpoints
    stop_after: float = 0.0,  # seconds after which it saves a checkpoint and ends; 0 for no end
    **overrides: Any,
) -> StageResult:
    """Adapt a language model to the texts of --data, and let it write sample reviews."""
    options = Options(
        backwards, half, about, overwrite, find_lr, checkpoint_minutes, deadline_after(stop_after)
    )
    settings = load_settings(LMSettings, recipe, overrides)
    target = Path(out or Path("models", recipe, f"lm-{suffix(backwards)}"))
    with writing(target, overwrite):
        logged = run_log(log, target, settings, recipe=recipe, backwards=backwards)
        frame = read_frame(settings)
        pretrained = load_pretrained(settings.pretrained, backwards, settings.size)
        return _train(frame, pretrained, settings, target, replace(options, log=logged))


def _train(
    frame: pd.DataFrame,
    pretrained: Pretrained,
    settings: LMSettings,
    target: Path,
    options: Options,
) -> StageResult:
    place = set_up(settings)
    processor, train, valid = prepare(frame, pretrained.processor, settings)
    model, config = adapt(pretrained, processor, settings)
    loaders = lm_loaders(train, valid, settings, options.backwards)
    known = vocabulary_overlap(pretrained.processor.vocab, processor.vocab)
    logger.info(
        f"language model of {len(train):,} texts, {len(train.ids):,} tokens; "
        f"{known:,} of {len(processor.vocab):,} words known to {settings.pretrained}"
    )
    if settings.lm_text == "all":
        logger.info("it reads the texts of test, too, as --lm-text all says, without their labels")
    learner = lm_learner(model, loaders, settings, place.device, place.dtype)
    found = rate_found(learner, settings, options.find_lr)
    if found and options.find_lr:
        return show_rate(found, target)
    # A checkpoint's run is of these tokens: another version of the tokenizer makes others.
    tokens = fingerprint([np.asarray(part.ids) for part in (train, valid)])
    parent = pretrained.artifact
    run = Run(
        learner,
        steps_of(settings, found.suggestion if found else None),
        checkpoint_path(target),
        identity(settings, options.backwards, tokens, parent.manifest_sha256 if parent else None),
        History(),
        minutes=options.checkpoint_minutes,
        afresh=options.overwrite,
        patience=settings.patience,
        schedule=settings.schedule,
        log=options.log,
        deadline=options.deadline,
    )
    before = measure_lm(model, loaders[1], place.device, place.dtype)
    logger.info(f"perplexity before: {before['perplexity']:.1f} on {len(valid):,} held-out texts")
    history = run.fit()
    after = measured_lm(run.final_row())
    logger.info(f"perplexity after:  {after['perplexity']:.1f}")
    samples = []
    if settings.samples:
        samples = generate(
            model,
            processor,
            n=settings.samples,
            seed=settings.seed,
            backwards=options.backwards,
        )
        _show(samples)
    result = save(
        Finished(
            kind="lm",
            model=model,
            config=config,
            processor=processor,
            settings=settings,
            size=pretrained.size,
            data_fingerprint=data_fingerprint(frame, settings.lm_text),
            history=history,
            metrics={
                "before": before,
                "after": after,
                "train_tokens": len(train.ids),
                "valid_tokens": len(valid.ids),
                "known_words": known,
                "samples": samples,
            },
            parent=parent,
            # Stage 3 asks whether the texts of its test split were read.
            extra_config={
                "texts": texts_fingerprint(frame["text"]),
                "withheld": _fingerprints_of_unread(frame, settings),
            },
        ),
        target,
        round(place.seconds() + run.spent_before, 1),
        options,
    )
    run.log_finals(result.metrics)
    run.discard()
    logger.info(f"wrote {target}")
    return result


def read_frame(settings: LMSettings) -> pd.DataFrame:
    """The texts of `settings.data`; labels are not needed."""
    frame = load_data(
        settings.data,
        **settings.columns(),
        seed=settings.seed,
        labels_required=False,
        texts_required=False,
        multi_label=settings.multi_label,  # which decides how a split is drawn
    )
    return _withhold(frame, settings) if settings.withhold else frame


def _withhold(frame: pd.DataFrame, settings: LMSettings) -> pd.DataFrame:
    """`frame` with the texts of another data set's test split in a split that nobody reads."""
    with quiet():
        others = load_data(
            settings.withhold, seed=settings.seed, labels_required=False, texts_required=False
        )
    test = others.loc[others["split"] == "test", "text"]
    withheld = set(map(normalised_digest, test))
    found = frame["text"].map(lambda text: normalised_digest(text) in withheld)
    logger.info(f"{int(found.sum()):,} texts are in test of {settings.withhold} and are left out")
    kept = frame.assign(split=frame["split"].mask(found & (frame["split"] != "test"), "withheld"))
    kept.attrs["withheld"] = texts_fingerprint(test)
    return kept


def data_fingerprint(frame: pd.DataFrame, lm_text: str) -> str:
    """sha256 over the texts that a language model is trained and validated on."""
    read = frame[_read(frame, lm_text)]
    texts = [digest(text).hex() for text in read["text"]]
    return fingerprint(zip(texts, read["split"], strict=True))


def _fingerprints_of_unread(frame: pd.DataFrame, settings: LMSettings) -> list[str]:
    found = [frame.attrs["withheld"]] if settings.withhold else []
    if settings.lm_text == "train":
        found.insert(0, texts_fingerprint(frame.loc[frame["split"] == "test", "text"]))
    return found


def _read(frame: pd.DataFrame, lm_text: str) -> pd.Series:
    return frame["split"].isin([*LM_TEXT[lm_text], "valid"])


def prepare(
    frame: pd.DataFrame, pretrained: TextProcessor, settings: LMSettings
) -> tuple[TextProcessor, Corpus, Corpus]:
    """Text processor of the domain, texts to train on, and texts to validate on.

    Without a valid split (every text unlabelled) a tenth of the texts, 1,000 at most, are held
    out. A subword tokenizer keeps its pieces; words get a vocabulary of their own.
    """
    tokenized = tokenize_texts(frame["text"], pretrained, cache_folder())
    splits = frame["split"].to_numpy()
    train = np.flatnonzero(np.isin(splits, LM_TEXT[settings.lm_text]))
    valid = np.flatnonzero(splits == "valid")
    if not len(valid):
        shuffled = np.random.default_rng(settings.seed).permutation(train)
        held_out = min(1000, max(1, len(train) // 10))
        valid, train = np.sort(shuffled[:held_out]), np.sort(shuffled[held_out:])
    if not len(train):
        raise UserError(f"found {len(frame)} texts and none to train on; give more texts")
    if pretrained.kind == "subword":
        processor = pretrained
    else:
        processor = TextProcessor("word", pretrained.lang, settings.max_vocab, settings.min_freq)
        vocab = make_vocab(tokenized.counts(train), settings.max_vocab, settings.min_freq)
        if settings.vocab_of == "both":
            vocab = fill_vocab(vocab, pretrained.vocab, settings.max_vocab)
        processor.with_vocab(vocab)
    return (
        processor,
        tokenized.numericalize(processor.vocab, train),
        tokenized.numericalize(processor.vocab, valid),
    )


def fill_vocab(vocab: list[str], pretrained: list[str], size: int) -> list[str]:
    """`vocab`, filled up to `size` with words of the pretrained model in its order.

    A few texts do not have every word of those to come; the pretrained model knows many of them.
    """
    known = set(vocab)
    return [*vocab, *(word for word in pretrained if word not in known)][: max(size, len(vocab))]


def adapt(
    pretrained: Pretrained, processor: TextProcessor, settings: LMSettings
) -> tuple[Any, EncoderConfig]:
    """The pretrained model over the vocabulary of the domain."""
    config = replace(pretrained.config, vocab_sz=len(processor.vocab))
    if not pretrained.encoder:
        return build_lm(config, settings.drop_mult, EMBEDDING_RANGE), config
    encoder, head = remap_vocabulary(
        pretrained.encoder, pretrained.head, pretrained.processor.vocab, processor.vocab
    )
    model = build_lm(config, settings.drop_mult)
    load_encoder(model, encoder, settings.pretrained)
    load_head(model, head, settings.pretrained)
    return model, config


def _show(samples: list[str]) -> None:
    logger.info("reviews that the model wrote:")
    for sample in samples:
        logger.info(f"  - {visible(' '.join(sample.split()))}")


if __name__ == "__main__":
    run_command(main)
