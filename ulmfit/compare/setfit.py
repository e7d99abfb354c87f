"""SetFit: a transformer tuned on pairs of texts, then logistic regression on its vectors.

Tunstall et al. 2022, "Efficient Few-Shot Learning Without Prompts" (arXiv:2209.11055), by their
library. The head differs from its default: the settings of the regression are chosen on valid.
"""

import pickle
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from setfit import SetFitModel, Trainer, TrainingArguments
from transformers import AutoTokenizer

from ulmfit.base.precision import default_device, set_seed
from ulmfit.compare.gru import parameter_bytes
from ulmfit.compare.heads import Head, best_head
from ulmfit.compare.plan import rates_of
from ulmfit.compare.task import Fitted, Task
from ulmfit.compare.transformer import BATCH, Texts, limit_of, load, locate

_PAIRS = 16  # in a batch: the paper's number
_A_TEXT = 40  # pairs of each text, half of them of one class: R = 20 in the paper
_MOST = 4_800  # pairs: 300 steps, about as many texts as `finetune` reads at one rate


def setfit(task: Task) -> Fitted:
    """The best learning rate by accuracy on valid; in a tie, by the loss.

    The transformer learns the cosine of two texts: 1 in one class, 0 in two. Half of the pairs are
    of one class, drawn once each while there are new ones. AdamW for one pass over the pairs.
    """
    name = task.settings.transformer
    tokenizer = load(AutoTokenizer, name)
    texts, truth = task.texts("train"), task.truth("train")
    pairs = task.settings.setfit_pairs or min(_MOST, _A_TEXT * len(texts))
    best: tuple[Head, float, Any] | None = None
    for rate in rates_of(task.settings.setfit_rates):
        body = SentenceTransformer(locate(name), device=str(default_device()))
        body.max_seq_length = limit_of(
            tokenizer, body[0].auto_model.config, task.settings.max_length
        )
        _tune(body, texts, truth, _arguments(task, rate, pairs))
        valid = _vectors(body, task.texts("valid"))
        now = best_head(_vectors(body, texts), truth, valid, task.truth("valid"))
        if best is None or now.score > best[0].score:
            best = now, rate, body
    assert best is not None
    head, rate, body = best
    cut = Texts(tokenizer, texts, body.max_seq_length).cut
    return Fitted(
        lambda unseen: head.model.predict_proba(_vectors(body, unseen)),
        parameter_bytes(body) + len(pickle.dumps(head.model)),
        {"learning rate": rate, "pairs": pairs, **head.facts, "texts cut": float(cut.mean())},
    )


def _arguments(task: Task, rate: float, pairs: int) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(task.folder),
        batch_size=_PAIRS,
        max_steps=max(1, pairs // _PAIRS),
        body_learning_rate=rate,
        report_to="none",
        logging_strategy="no",
        save_strategy="no",
        show_progress_bar=False,
        seed=task.seed,
    )


def _tune(body: Any, texts: list[str], truth: np.ndarray, arguments: TrainingArguments) -> None:
    """The first phase of SetFit; `body` is changed in place."""
    set_seed(arguments.seed)
    trainer = Trainer(model=SetFitModel(model_body=body), args=arguments)
    trainer.st_trainer.args.dataloader_pin_memory = False  # it warns where there is no GPU
    trainer.train_embeddings(texts, truth.tolist())
    body.eval()


@torch.no_grad()
def _vectors(body: Any, texts: list[str]) -> np.ndarray:
    """Vectors of texts, float32, shape (texts, width)."""
    return np.asarray(body.encode(texts, batch_size=BATCH, show_progress_bar=False), np.float32)
