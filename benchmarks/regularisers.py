"""Three ways to regularise stage 3 with few labels, each beside the plain training.

- average: the weights at the end are a moving average of those of all updates.
- consistency: the class probabilities of a text without a label stay the same after words are
  replaced at random (UDA: Xie et al. 2019, arXiv:1904.12848; the replacement: arXiv:2010.11966).
- language: the encoder goes on to predict words, of texts with and without a label (SiATL:
  Chronopoulou et al. 2019, arXiv:1902.10547).

Forward models, from the language model that `benchmarks.auto` made of the same texts. They are
measured on texts of train whose labels nothing else read; test is not read. An interrupted run
continues.

    python -m benchmarks.regularisers --data emotion --labels 100 500
"""

import argparse
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain, repeat
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import pandas as pd
import torch
from fastai.callback.core import Callback
from torch import Tensor
from torch.nn.functional import kl_div, log_softmax, softmax

from benchmarks.auto import STARTS, place
from benchmarks.common import FIGURES, WORK
from benchmarks.trials import Figures, Trials
from ulmfit.artifacts.trained import load_network
from ulmfit.base.atomic import atomic_file
from ulmfit.base.precision import autocast
from ulmfit.data.load import load_data
from ulmfit.data.spec import DataSpec
from ulmfit.inference.loaded import predict_probabilities
from ulmfit.inference.metrics import classification_metrics
from ulmfit.model.build import encoder_of
from ulmfit.model.lm_loss import LMLoss, Projection
from ulmfit.stage3_clf import ClassifierTraining
from ulmfit.text.batches import ClassifierLoader, DocumentBatch, LMLoader
from ulmfit.text.corpus import Corpus, tokenize_texts
from ulmfit.training.auto import choose
from ulmfit.training.facts import facts_of
from ulmfit.training.options import options_and_settings
from ulmfit.training.run import Run
from ulmfit.training.settings import ClassifierSettings
from ulmfit.training.stage import Built, Workplace, run_stage

RESULTS = FIGURES / "regularisers.json"
MEASURED, VALID = 2000, 50  # texts of train to measure on at the end, and after each epoch
RESERVED = 9  # ids of the tokens that are no words


class Extra(Callback):
    """Adds something to a training; `stage` has the texts, `place` the device and the format."""

    order = 10  # after the regularisers that read the batch's outputs

    def __init__(self, stage: "Regularised", place: Workplace) -> None:
        self.place = place
        frame = stage.frame
        self.texts = stage.corpus(frame["text"][frame["split"].isin(["train", "unsup"])])
        self.words = len(stage.start.processor.vocab)

    def in_format(self) -> torch.autocast:
        """Products in the format of the training."""
        return autocast(self.place.device, self.place.dtype)


class Average(Extra):
    """A moving average of the weights and of batch norm's statistics; used at the end."""

    def __init__(self, stage: "Regularised", place: Workplace, decay: float) -> None:
        super().__init__(stage, place)
        self.decay = decay
        self.average: dict[str, Tensor] = {}

    def after_batch(self) -> None:
        if not self.training:
            return
        for name, tensor in self.learn.model.state_dict().items():
            if name not in self.average or not tensor.is_floating_point():
                self.average[name] = tensor.clone()
            else:
                self.average[name].lerp_(tensor, 1 - self.decay)

    def after_fit(self) -> None:
        self.learn.model.load_state_dict(self.average)


class Consistency(Extra):
    """Cross-entropy between the answers to a text and to the text with replaced words."""

    def __init__(
        self, stage: "Regularised", place: Workplace, weight: float, replaced: float
    ) -> None:
        super().__init__(stage, place)
        self.weight, self.replaced = weight, replaced
        self.batches = self._endless()
        counts = np.bincount(self.texts.ids, minlength=self.words).astype(np.float64)
        counts[:RESERVED] = 0
        self.frequency = torch.tensor(counts / counts.sum())

    def after_loss(self) -> None:
        if not self.training:
            return
        batch = next(self.batches)
        ids = batch.ids
        drawn = torch.multinomial(self.frequency, ids.numel(), replacement=True).view_as(ids)
        swapped = (torch.rand(ids.shape) < self.replaced) & (ids >= RESERVED)
        noisy = DocumentBatch(torch.where(swapped, drawn, ids), batch.lengths)
        model, device = self.learn.model, self.place.device
        with self.in_format():
            with torch.no_grad():
                answer = model(batch.to(device))[0].float()
            heard = model(noisy.to(device))[0].float()
        sharpened = softmax(answer / 0.4, 1)  # the temperature of UDA
        sure = (softmax(answer, 1).amax(1) > 0.8).float()
        each = kl_div(log_softmax(heard, 1), sharpened, reduction="none").sum(1)
        self.learn.loss_grad = self.learn.loss_grad + self.weight * (each * sure).mean()

    def _endless(self) -> Iterator[DocumentBatch]:
        loader = ClassifierLoader(self.texts, np.zeros(len(self.texts)), 64, True)
        for epoch in chain.from_iterable(repeat(range(1000))):
            loader.epoch = epoch
            yield from (batch for batch, _ in loader)


class Language(Extra):
    """The loss of the language model on its own texts, beside the classifier's."""

    def __init__(self, stage: "Regularised", place: Workplace, weight: float) -> None:
        super().__init__(stage, place)
        self.weight = weight
        assert stage.start.parent
        lm: Any = load_network(stage.start.parent)
        self.bias = lm[1].bias.detach().to(place.device)
        self.loss, self.batches = LMLoss(), self._endless()

    def after_loss(self) -> None:
        if not self.training:
            return
        inputs, targets = (part.to(self.place.device) for part in next(self.batches))
        encoder = encoder_of(self.learn.model)
        encoder.reset()
        with self.in_format():
            features = encoder(inputs)
        encoder.reset()
        predicted = Projection(features, encoder.encoder.weight, self.bias)
        with self.in_format():
            loss = self.loss(predicted, targets)
        self.learn.loss_grad = self.learn.loss_grad + self.weight * loss

    def _endless(self) -> Iterator[tuple[Tensor, Tensor]]:
        loader = LMLoader(self.texts, 16, 36, shuffle=True)
        for epoch in chain.from_iterable(repeat(range(1000))):
            loader.epoch = epoch
            yield from loader


VARIANTS: dict[str, Any] = {
    "plain": None,
    "average, decay 0.98": partial(Average, decay=0.98),
    "consistency, weight 1, 20 % replaced": partial(Consistency, weight=1.0, replaced=0.2),
    "language, weight 0.2": partial(Language, weight=0.2),
}


class Regularised(ClassifierTraining):
    """Stage 3 with something extra."""

    extra: Any = None
    measured: pd.DataFrame

    def corpus(self, texts: pd.Series) -> Corpus:
        """Ids of the model's vocabulary."""
        processor = self.start.processor
        tokens = tokenize_texts(texts, processor, workers=1)
        return Corpus(processor.ids(tokens.tokens)[tokens.ids], tokens.offsets)

    def train(self, run: Run, place: Workplace) -> tuple[dict[str, Any], str]:
        """As stage 3; `of_measured` are the metrics of the texts that nothing else read."""
        metrics, line = super().train(run, place)
        texts, model = self.corpus(self.measured["text"]), run.learn.model
        found = predict_probabilities(model, texts, place.device, place.dtype, labels=self.labels)
        truth = self.labels.encode(self.measured["label"])
        return {**metrics, "of_measured": classification_metrics(found, truth, self.labels)}, line

    def build(self, place: Workplace) -> tuple[Any, Built]:
        """As stage 3."""
        learner, built = super().build(place)
        if self.extra:
            learner.add_cb(self.extra(self, place))
        return learner, built


def part(data: str, labels: int, seed: int) -> tuple[Path, pd.DataFrame]:
    """A file with texts of train, `labels` of them with a label; and other texts to measure on."""
    file = WORK / "regularisers" / f"{data}-{labels}-{seed}.parquet"
    frame = load_data(DataSpec(place(data)))
    frame = frame[frame["split"] == "train"].reset_index(drop=True)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(frame))
    by_class = [order[frame["label"].to_numpy()[order] == name] for name in set(frame["label"])]
    rank = np.concatenate([np.arange(len(rows)) / len(rows) for rows in by_class])
    order = np.concatenate(by_class)[np.argsort(rank, kind="stable")]  # stratified
    split = np.full(len(frame), "unsup", dtype=object)
    split[order[:labels]] = "train"
    others = rng.permutation(order[labels:])
    split[others[:MEASURED]], split[others[MEASURED:][:VALID]] = "measured", "valid"
    label = frame["label"].where(pd.Series(split).ne("unsup"))
    made = pd.DataFrame({"text": frame["text"], "label": label, "split": split})
    apart = made["split"] == "measured"
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(file) as written:
        made[~apart].to_parquet(written, index=False)
    return file, made[apart]


def measure(data: str, labels: int, seed: int, variant: str) -> Figures:
    """One classifier, measured on the texts of train that have no other use."""
    file, measured = part(data, labels, seed)
    spec = DataSpec(str(file))
    facts = facts_of(load_data(spec), spec)
    chosen = choose(facts, "").classifier
    lm = WORK / "auto" / f"{data}-lm-1" / "lm-fwd"
    given = {"recipe": "auto", "data": str(file), "seed": seed, "overwrite": True, **chosen}
    options, settings = options_and_settings(ClassifierSettings, given)
    stage = Regularised(str(lm), settings, options)
    stage.extra, stage.measured = VARIANTS[variant], measured
    result = run_stage(stage, options, WORK / "regularisers" / "model")
    of_measured = result.metrics["of_measured"]
    return {name: of_measured[name] for name in ("accuracy", "f1", "log_loss")}


def name_of(data: str, labels: int, seed: int, variant: str) -> str:
    """Of a trial in the JSON file."""
    return f"{data}, {labels}, {seed}, {variant}"


def table(found: dict[str, Figures], seeds: Sequence[int]) -> str:
    """Markdown: accuracy in %, mean and standard deviation over the seeds."""
    columns = list(dict.fromkeys(tuple(name.split(", ")[:2]) for name in found))
    heads = " | ".join(f"{data}, {labels}" for data, labels in columns)
    lines = [f"| stage 3 | {heads} |", f"|---|{'---:|' * len(columns)}"]
    for variant in VARIANTS:
        cells = []
        for data, labels in columns:
            names = [name_of(data, int(labels), seed, variant) for seed in seeds]
            values = [100 * found[name]["accuracy"] for name in names if name in found]
            spread = f" ± {stdev(values):.1f}" if len(values) > 1 else ""
            cells.append(f"{mean(values):.1f}{spread}" if values else "")
        lines.append(f"| {variant} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure what is missing and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.regularisers")
    parser.add_argument("--data", choices=list(STARTS), default="emotion")
    parser.add_argument("--labels", type=int, nargs="+", default=[100, 500])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args()
    trials = Trials(given.results)
    for labels in given.labels:
        for seed in given.seeds:
            for variant in VARIANTS:
                name = name_of(given.data, labels, seed, variant)
                trials.get(name, partial(measure, given.data, labels, seed, variant))
    print(table(trials.found, given.seeds))


if __name__ == "__main__":
    main()
