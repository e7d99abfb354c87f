"""fastai as its users run it: learners with the same weights and documents."""

from typing import Any

import numpy as np
import torch
from fastai.text.all import (
    AWD_LSTM,
    Callback,
    CancelFitException,
    CrossEntropyLossFlat,
    DataLoaders,
    LMDataLoader,
    SortedDL,
    TensorCategory,
    TensorText,
    TextLearner,
    awd_lstm_clas_config,
    awd_lstm_clas_split,
    awd_lstm_lm_config,
    awd_lstm_lm_split,
    get_language_model,
    get_text_classifier,
    pad_input_chunk,
)

from ulmfit.model.sizes import EncoderConfig
from ulmfit.text.corpus import Corpus


def _config(defaults: dict[str, Any], config: EncoderConfig) -> dict[str, Any]:
    sizes = {"emb_sz": config.emb_sz, "n_hid": config.n_hid, "n_layers": config.n_layers}
    return {**defaults, **sizes}


def tensors(corpus: Corpus) -> list[torch.Tensor]:
    """The documents of a corpus, int64."""
    return [torch.from_numpy(corpus[i].astype(np.int64)) for i in range(len(corpus))]


def lm_learner(corpus: Corpus, config: EncoderConfig, rows: int, seq_len: int) -> TextLearner:
    """`language_model_learner`: in float32 on a CPU, with `to_fp16` on a GPU."""
    model = get_language_model(AWD_LSTM, config.vocab_sz, _config(awd_lstm_lm_config, config))
    loaders = [
        LMDataLoader([(t,) for t in tensors(corpus)], bs=rows, seq_len=seq_len, shuffle=shuffle)
        for shuffle in (True, False)
    ]
    learn = TextLearner(
        _on_device(loaders), model, loss_func=CrossEntropyLossFlat(), splitter=awd_lstm_lm_split
    )
    return learn.to_fp16() if torch.cuda.is_available() else learn


def classifier_learner(
    corpus: Corpus, config: EncoderConfig, classes: int, rows: int, max_len: int = 1440, **more: Any
) -> TextLearner:
    """`text_classifier_learner` over documents whose labels are all 0."""
    model = get_text_classifier(
        AWD_LSTM,
        config.vocab_sz,
        classes,
        seq_len=72,
        max_len=max_len,
        config=_config(awd_lstm_clas_config, config),
        **more,
    )
    items = [(TensorText(ids), TensorCategory(0)) for ids in tensors(corpus)]
    loaders = [
        SortedDL(
            items,
            bs=rows,
            shuffle=shuffle,
            sort_func=lambda item: len(item[0]),
            res=[len(item[0]) for item in items],
            before_batch=pad_input_chunk,
        )
        for shuffle in (True, False)
    ]
    learn = TextLearner(
        _on_device(loaders), model, loss_func=CrossEntropyLossFlat(), splitter=awd_lstm_clas_split
    )
    return learn.to_fp16() if torch.cuda.is_available() else learn


def _on_device(loaders: list[Any]) -> DataLoaders:
    return DataLoaders(*loaders, device="cuda" if torch.cuda.is_available() else "cpu")


class StopAfter(Callback):
    """Ends the training after some batches, those to warm up not counted; keeps the seconds."""

    order = 100

    def __init__(self, batches: int, warm_up: int) -> None:
        self.batches, self.warm_up, self.seconds = batches, warm_up, 0.0

    def after_batch(self) -> None:
        import time

        done = self.iter + 1
        if done == self.warm_up:
            self.began = self._now(time.perf_counter)
        elif done == self.warm_up + self.batches:
            self.seconds = self._now(time.perf_counter) - self.began
            raise CancelFitException

    def _now(self, clock: Any) -> float:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return clock()
