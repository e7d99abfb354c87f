"""A transformer fine-tuned end to end with the `Trainer` of transformers."""

import math
import shutil
from typing import Any

import numpy as np
import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
)

from ulmfit.base.precision import default_device
from ulmfit.compare.plan import rates_of
from ulmfit.compare.task import Fitted, Task, folder_size
from ulmfit.compare.transformer import BATCH, Texts, limit_of, load

_TRAIN_BATCH = 16
_STEPS = 500  # at least so many with few labels, in whole epochs
_EPOCHS = (3, 20)  # at least, at most


def finetune(task: Task) -> Fitted:
    """The best learning rate by accuracy on valid; in a tie, by the loss.

    Each learning rate counts with its best epoch by accuracy; in a tie, with the first.

    AdamW with weight decay on all weights except biases and norms (the Trainer's default). The rate
    rises during the first 10 % of the steps and then falls to 0.
    """
    name = task.settings.transformer
    tokenizer = load(AutoTokenizer, name)
    enough = math.ceil(_STEPS * _TRAIN_BATCH / len(task.rows("train")))
    epochs = task.settings.finetune_epochs or min(_EPOCHS[1], max(_EPOCHS[0], enough))
    best: tuple[tuple[float, float], float, Any] | None = None
    train = valid = None
    for rate in rates_of(task.settings.rates):
        # Seeded: the head's initial weights are drawn here.
        torch.manual_seed(task.seed)
        model = load(
            AutoModelForSequenceClassification,
            name,
            num_labels=len(task.classes),
            dtype=torch.float32,
        )
        limit = limit_of(tokenizer, model.config, task.settings.max_length)
        if train is None:
            train = _Labelled(task, tokenizer, "train", limit)
            valid = _Labelled(task, tokenizer, "valid", limit)
        trainer = Trainer(
            model,
            _arguments(task, rate, epochs),
            data_collator=DataCollatorWithPadding(tokenizer),
            train_dataset=train,
            eval_dataset=valid,
            compute_metrics=_accuracy,
        )
        trainer.train()
        now = _of_best_epoch(trainer)
        if best is None or now > best[0]:
            best = (now, rate, trainer.model)
    assert best is not None
    assert train is not None
    _, rate, model = best
    shutil.rmtree(task.folder, ignore_errors=True)  # the epochs' checkpoints
    model.save_pretrained(task.folder)
    tokenizer.save_pretrained(task.folder)
    size = folder_size(task.folder)
    shutil.rmtree(task.folder)
    model.eval().to(default_device())
    facts = {"learning rate": rate, "epochs": epochs, "texts cut": float(train.texts.cut.mean())}
    return Fitted(lambda texts: _probabilities(model, Texts(tokenizer, texts, limit)), size, facts)


class _Labelled(torch.utils.data.Dataset):
    """Texts of a split with their class numbers, as the Trainer reads them."""

    def __init__(self, task: Task, tokenizer: Any, split: str, limit: int) -> None:
        self.texts = Texts(tokenizer, task.texts(split), limit)
        self.truth = task.truth(split).tolist()

    def __len__(self) -> int:
        return len(self.truth)

    def __getitem__(self, number: int) -> dict[str, Any]:
        return {"input_ids": self.texts.ids[number], "labels": self.truth[number]}


def _arguments(task: Task, rate: float, epochs: int) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(task.folder),
        learning_rate=rate,
        num_train_epochs=epochs,
        per_device_train_batch_size=_TRAIN_BATCH,
        per_device_eval_batch_size=BATCH,
        optim="adamw_torch",
        weight_decay=0.01,
        lr_scheduler_type="linear",
        warmup_steps=0.1,  # below 1, it is a share
        train_sampling_strategy="group_by_length",
        eval_strategy="epoch",
        save_strategy="epoch",
        save_only_model=True,
        save_total_limit=1,
        load_best_model_at_end=True,
        metric_for_best_model="accuracy",
        report_to="none",
        logging_strategy="epoch",
        dataloader_pin_memory=False,
        use_cpu=default_device().type == "cpu",
        seed=task.seed,
        disable_tqdm=True,
    )


def _of_best_epoch(trainer: Any) -> tuple[float, float]:
    """Accuracy on valid, and the loss there, negative."""
    epochs = [row for row in trainer.state.log_history if "eval_accuracy" in row]
    first = max(epochs, key=lambda row: row["eval_accuracy"])
    return float(first["eval_accuracy"]), -float(first["eval_loss"])


def _accuracy(predicted: Any) -> dict[str, float]:
    return {"accuracy": float((predicted.predictions.argmax(1) == predicted.label_ids).mean())}


@torch.no_grad()
def _probabilities(model: Any, texts: Texts) -> np.ndarray:
    found = np.empty((len(texts.ids), model.config.num_labels), np.float32)
    for rows in texts.batches():
        batch = {name: part.to(model.device) for name, part in texts.batch(rows).items()}
        found[rows] = model(**batch).logits.softmax(1).cpu().numpy()
    return found
