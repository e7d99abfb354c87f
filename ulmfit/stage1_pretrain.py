"""Stage 1: pretrain an AWD-LSTM language model on general text (ULMFiT section 3.1)."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd

from ulmfit.base.cli import run_command, settings_flags
from ulmfit.base.errors import UserError, listed
from ulmfit.data.fingerprints import fingerprint, texts_fingerprint
from ulmfit.data.folders import read_folder
from ulmfit.data.formats import read_file
from ulmfit.model.build import build_lm
from ulmfit.model.sizes import encoder_config
from ulmfit.text.blocks import each
from ulmfit.text.corpus import Corpus, TokenizedTexts, cache_folder, tokenize_texts
from ulmfit.text.ids import TextIds, is_empty, pieces_of
from ulmfit.text.ids_file import ids_files, read_ids
from ulmfit.text.processor import TextProcessor, make_vocab
from ulmfit.training.checkpoint import checkpoint_path
from ulmfit.training.history import History
from ulmfit.training.lm import lm_learner, lm_loaders, measured_lm, unigram_entropy
from ulmfit.training.lr_finder import rate_found, show_rate
from ulmfit.training.run import CHECKPOINT_MINUTES, Run, deadline_after, parameters_of
from ulmfit.training.run_log import run_log
from ulmfit.training.schedules import steps_of
from ulmfit.training.settings import PretrainSettings, load_settings
from ulmfit.training.stage import Finished, Options, StageResult, identity, save, set_up, writing

# A model that ends this close to the unigram entropy has learned word frequencies and no more.
_STUCK = 0.97


@settings_flags(PretrainSettings)
def main(
    corpus: Annotated[str, {"nargs": "+"}] = "",  # parquet, csv, tsv, jsonl files, .txt folders
    out: str | None = None,  # model directory to write
    recipe: str = "demo",  # table of stages/stage1_pretrain.toml
    backwards: bool = False,  # read each document from its end
    text_col: str = "text",  # column of the texts
    half: bool = False,  # store the weights in half precision
    about: str = "",  # for the model card: what the texts are, and whose
    overwrite: bool = False,  # replace the model directory, and a checkpoint of another run
    find_lr: bool = False,  # train nothing: look for a learning rate, and draw loss against rate
    log: str = "",  # where to follow the training: tensorboard or mlflow
    checkpoint_minutes: float = CHECKPOINT_MINUTES,  # minutes between two checkpoints
    stop_after: float = 0.0,  # seconds after which it saves a checkpoint and ends; 0 for no end
    **overrides: Any,
) -> StageResult:
    """Pretrain a language model on general text and write it as a model directory."""
    options = Options(
        backwards, half, about, overwrite, find_lr, checkpoint_minutes, deadline_after(stop_after)
    )
    settings = load_settings(PretrainSettings, recipe, overrides)
    if not corpus or out is None:
        raise UserError("both --corpus PATH and --out DIR are needed; --help explains them")
    paths = [corpus] if isinstance(corpus, (str, Path)) else corpus
    target = Path(out)
    with writing(target, overwrite):
        logged = run_log(log, target, settings, recipe=recipe, backwards=backwards)
        texts = read_corpora([Path(path) for path in paths], text_col)
        return _train(texts, settings, target, replace(options, log=logged))


def _train(
    texts: pd.Series, settings: PretrainSettings, target: Path, options: Options
) -> StageResult:
    place = set_up(settings)
    processor, train, valid = prepare(texts, settings)
    config = encoder_config(settings.size, len(processor.vocab))
    model = build_lm(config, settings.drop_mult, settings.embedding_range)
    loaders = lm_loaders(train, valid, settings, options.backwards)
    entropy = unigram_entropy(train.ids)
    print(
        f"pretraining {settings.size} ({parameters_of(model) / 1e6:.1f} million parameters) on "
        f"{len(train.ids):,} tokens, {len(processor.vocab):,} in the vocabulary, "
        f"unigram entropy {entropy:.2f}, {place.device}, {place.dtype}"
    )
    data = fingerprint([train.ids, valid.ids])
    learner = lm_learner(model, loaders, settings, place.device, place.dtype)
    found = rate_found(learner, settings, options.find_lr)
    if found and options.find_lr:
        return show_rate(found, target)
    run = Run(
        learner,
        steps_of(settings, found.suggestion if found else None),
        checkpoint_path(target),
        identity(settings, options.backwards, data, None),
        History(print),
        minutes=options.checkpoint_minutes,
        afresh=options.overwrite,
        patience=settings.patience,
        schedule=settings.schedule,
        log=options.log,
        deadline=options.deadline,
    )
    history = run.fit()
    measured = measured_lm(run.final_row())
    if measured["loss"] > _STUCK * entropy:
        print(
            f"warning: the loss {measured['loss']:.2f} sits at the unigram entropy {entropy:.2f}: "
            "nothing was learned but word frequencies; train longer, or widen --embedding-range"
        )
    metrics = {
        "valid": measured,
        "unigram_entropy": entropy,
        "train_tokens": len(train.ids),
        "valid_tokens": len(valid.ids),
    }
    result = save(
        Finished(
            kind="lm",
            model=model,
            config=config,
            processor=processor,
            settings=settings,
            size=settings.size,
            data_fingerprint=data,
            history=history,
            metrics=metrics,
            extra_config={"corpus": texts_fingerprint(texts)},
        ),
        target,
        round(place.seconds() + run.spent_before, 1),
        options,
    )
    run.log_finals(result.metrics)
    run.discard()
    print(f"perplexity {measured['perplexity']:.1f} on held-out documents; wrote {target}")
    return result


def read_corpora(paths: Sequence[Path], text_col: str) -> pd.Series:
    """The texts of files and folders, one after the other; raises as `read_corpus`."""
    return pd.concat([read_corpus(path, text_col) for path in paths], ignore_index=True)


def read_corpus(path: Path, text_col: str) -> pd.Series:
    """The texts of a file or folder, or the ids of a file of ids; empty ones are left out.

    Raises:
        UserError: if it does not exist, has no such column, or holds no text.
    """
    ids = ids_files(path)
    if not ids and not path.exists():
        raise UserError(
            f"no file or folder {path}; --corpus takes a parquet, csv, tsv or jsonl file, or a "
            "folder of .txt files"
        )
    table = read_ids(ids) if ids else read_folder(path) if path.is_dir() else read_file(path)
    if text_col not in table.columns:
        raise UserError(
            f"{path} has no column {text_col!r}; it has {listed(table.columns)}: "
            "name the one with the texts with --text-col"
        )
    column = table[text_col]
    texts = (isinstance(text, (str, TextIds)) and not is_empty(text) for text in each(column))
    filled = np.fromiter(texts, bool, len(column))
    if not filled.any():
        raise UserError(f"{path} holds no text in column {text_col!r}; give a corpus with texts")
    return column[filled]


def prepare(texts: pd.Series, settings: PretrainSettings) -> tuple[TextProcessor, Corpus, Corpus]:
    """Processor, training and validation documents, chosen by the seed."""
    if len(texts) <= settings.valid_documents:
        raise UserError(
            f"found {len(texts)} documents, expected more than the {settings.valid_documents} "
            "held out for validation; lower --valid-documents or give more text"
        )
    processor = TextProcessor(
        settings.tokenizer, settings.lang, settings.max_vocab, settings.min_freq
    )
    order = np.random.default_rng(settings.seed).permutation(len(texts))
    valid, rest = np.split(order, [settings.valid_documents])
    if settings.tokenizer == "subword":
        if pieces := pieces_of(texts):
            processor.with_pieces(pieces)
        else:
            processor.train_pieces(texts.iloc[row] for row in rest)
    tokenized = tokenize_texts(texts, processor, cache_folder())
    train = _first_tokens(rest, tokenized, settings.max_tokens)
    if settings.tokenizer == "word":
        counts = tokenized.counts(train)
        processor.with_vocab(make_vocab(counts, settings.max_vocab, settings.min_freq))
    return (
        processor,
        tokenized.numericalize(processor.vocab, train),
        tokenized.numericalize(processor.vocab, valid),
    )


def _first_tokens(rows: np.ndarray, tokenized: TokenizedTexts, tokens: int) -> np.ndarray:
    if not tokens:
        return rows
    before = np.cumsum(np.diff(tokenized.offsets)[rows]) - np.diff(tokenized.offsets)[rows]
    return rows[before < tokens]


if __name__ == "__main__":
    run_command(main)
