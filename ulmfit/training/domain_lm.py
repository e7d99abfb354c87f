"""Stage 2's texts and its model over their vocabulary."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from ulmfit.artifacts.pretrained import NONE, Pretrained
from ulmfit.base.errors import UserError
from ulmfit.base.log import logger, quiet
from ulmfit.data.duplicates import normalised_digest
from ulmfit.data.fingerprints import fingerprint, texts_fingerprint
from ulmfit.data.load import load_data
from ulmfit.data.spec import DataSpec
from ulmfit.model.build import build_lm
from ulmfit.model.sizes import EMBEDDING_RANGE, EncoderConfig
from ulmfit.model.transfer import load_encoder, load_head, remap_vocabulary
from ulmfit.text.corpus import Corpus, cache_folder, tokenize_texts
from ulmfit.text.fit import unknown_or_warning
from ulmfit.text.ids import digest
from ulmfit.text.known import known_tokens
from ulmfit.text.processor import TextProcessor, make_vocab
from ulmfit.training.general_lm import learn_pieces
from ulmfit.training.settings import LMSettings, data_spec

# Which splits the language model reads, by the name that `lm_text` gives.
LM_TEXT = {"train": ("train", "unsup"), "all": ("train", "unsup", "test")}


def read_frame(settings: LMSettings) -> pd.DataFrame:
    """The texts of `settings.data`; labels are not needed."""
    frame = load_data(
        data_spec(settings),
        labels_required=False,
        texts_required=False,
    )
    return _withhold(frame, settings) if settings.withhold else frame


def _withhold(frame: pd.DataFrame, settings: LMSettings) -> pd.DataFrame:
    """`frame` with the texts of another data set's test split in a split that nobody reads."""
    with quiet():
        spec = DataSpec(settings.withhold, seed=settings.seed)
        others = load_data(spec, labels_required=False, texts_required=False)
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


def tokens_fingerprint(train: Corpus, valid: Corpus) -> str:
    """sha256 over the tokens: another version of the tokenizer makes others of the same texts."""
    return fingerprint([np.asarray(part.ids) for part in (train, valid)])


def fingerprints_of_unread(frame: pd.DataFrame, settings: LMSettings) -> list[str]:
    """Fingerprints of the sets of texts that the language model does not read."""
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
    splits = frame["split"].to_numpy()
    train = np.flatnonzero(np.isin(splits, LM_TEXT[settings.lm_text]))
    valid = np.flatnonzero(splits == "valid")
    if not len(valid):
        shuffled = np.random.default_rng(settings.seed).permutation(train)
        held_out = min(1000, max(1, len(train) // 10))
        valid, train = np.sort(shuffled[:held_out]), np.sort(shuffled[held_out:])
    if not len(train):
        raise UserError(f"found {len(frame)} texts and none to train on; give more texts")
    if settings.pretrained == NONE and settings.tokenizer == "subword":
        pretrained = TextProcessor("subword", max_vocab=settings.max_vocab)
        learn_pieces(pretrained, frame["text"], train)
    tokenized = tokenize_texts(frame["text"], pretrained, cache_folder())
    if pretrained.kind == "subword":
        processor = pretrained
    else:
        processor = TextProcessor("word", pretrained.lang, settings.max_vocab, settings.min_freq)
        vocab = make_vocab(tokenized.counts(train), settings.max_vocab, settings.min_freq)
        if settings.vocab_of == "both":
            vocab = fill_vocab(vocab, pretrained.vocab, settings.max_vocab)
        processor.with_vocab(vocab)
    known = known_tokens(tokenized, pretrained if pretrained.vocab else processor)
    name = settings.pretrained if settings.pretrained != NONE else "the vocabulary of these texts"
    logger.info(unknown_or_warning(known.unknown(train), name))
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
