"""Hours and money past one machine, from the rates that were measured on one.

    python -m benchmarks.scale              the tables of docs/scale.md
    python -m benchmarks.scale --inputs MY.toml

Rates come from ``benchmarks/results``; prices, networks and jitter from ``benchmarks/scale.toml``,
where they are assumptions. A training step of W ranks takes as long as the slowest rank, and then
the ring all-reduce of the gradients: 2(W-1) rounds, in each of which every rank sends 1/W of the
bytes to the next one. Both are drawn with jitter, round by round. Nothing overlaps.
"""

import argparse
import json
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import FIGURES
from ulmfit.base.atomic import atomic_write
from ulmfit.model.sizes import encoder_config

INPUTS = Path(__file__).with_name("scale.toml")
RESULTS = FIGURES / "scale.json"
RANKS = (8, 16, 32, 64, 128, 256, 512)
TOKENS, DOCUMENTS = 1e9, 1e8
STEPS = 30  # simulated; their mean is used
_GRADIENT = 4  # bytes a parameter: gradients are summed in float32


def parameters(size: str, vocab: int) -> int:
    """Weights of a language model; the decoder shares the embedding's, and has a bias."""
    config = encoder_config(size, vocab)
    widths = [config.emb_sz, *[config.n_hid] * (config.n_layers - 1), config.emb_sz]
    layers = sum(4 * out * (inputs + out + 2) for inputs, out in pairwise(widths))
    return config.emb_sz * vocab + vocab + layers


@dataclass(frozen=True)
class Speed:
    """Seconds of a step: `fixed`, and `lane` for each lane of a rank."""

    fixed: float
    lane: float
    seq_len: int

    def seconds(self, lanes: float) -> float:
        """Of one step of one rank."""
        return self.fixed + self.lane * lanes

    @classmethod
    def through(cls, lanes: Sequence[int], rates: Sequence[float], seq_len: int) -> "Speed":
        """From tokens a second at one or two numbers of lanes."""
        times = [n * seq_len / rate for n, rate in zip(lanes, rates, strict=True)]
        if len(times) == 1:
            return cls(0.0, times[0] / lanes[0], seq_len)
        lane = (times[1] - times[0]) / (lanes[1] - lanes[0])
        return cls(times[0] - lane * lanes[0], lane, seq_len)


@dataclass(frozen=True)
class Step:
    """Mean seconds of a simulated step, and those of them that the all-reduce adds."""

    seconds: float
    all_reduce: float


def simulate(
    compute: float, size: float, ranks: int, link: dict[str, float], jitter: dict[str, float]
) -> Step:
    """Steps of `ranks` ranks that need `compute` seconds each and sum `size` bytes."""
    rng = np.random.default_rng(0)
    ends, slowest = [], []
    for _ in range(STEPS):
        # A log-normal draw with mean 1.
        busy = compute * rng.lognormal(-(jitter["compute"] ** 2) / 2, jitter["compute"], ranks)
        slowest.append(busy.max())
        speed = link["bandwidth"] * rng.lognormal(0, jitter["link"], ranks)
        hop = size / ranks / speed + link["latency"]
        for _ in range(2 * (ranks - 1)):
            # A rank sends its next part when it is free and has the part of the one before it.
            busy = np.maximum(busy, np.roll(busy, 1)) + hop
        ends.append(busy.max())
    mean = float(np.mean(ends))
    return Step(mean, mean - float(np.mean(slowest)))


@dataclass(frozen=True)
class Training:
    """10^9 tokens of stage 1 on so many ranks."""

    hardware: str
    size: str
    ranks: int
    lanes: int
    step_ms: float
    all_reduce_share: float
    hours: float
    money: float
    efficiency: float


def trainings(
    inputs: dict[str, Any], hardware: str, size: str, speed: Speed, lanes: int, network: str
) -> Iterator[Training]:
    """One rank, then 8 to 512; `lanes` is the number of all ranks together."""
    price = _price(inputs, hardware)
    section = inputs[hardware]
    size_bytes = parameters(size, section["vocab"]) * _GRADIENT
    alone = speed.seconds(lanes) if lanes else 0.0
    for ranks in (1, *RANKS):
        if lanes % ranks:
            continue
        compute = speed.seconds(lanes / ranks)
        link = inputs["network"]["nvlink" if ranks == 8 and hardware == "gpu" else network]
        step = (
            simulate(compute, size_bytes, ranks, link, inputs["jitter"])
            if ranks > 1
            else Step(compute, 0.0)
        )
        hours = TOKENS / (lanes * speed.seq_len) * step.seconds / 3600
        yield Training(
            section["name"],
            size,
            ranks,
            lanes,
            1000 * step.seconds,
            step.all_reduce / step.seconds,
            hours,
            hours * ranks * price,
            alone / ranks / step.seconds,
        )


def _price(inputs: dict[str, Any], hardware: str) -> float:
    """Of one rank, an hour."""
    money = inputs["money"]
    if hardware == "gpu":
        return float(money["gpu_hour"])
    return float(money["core_hour"] * inputs["cpu"]["cores"])


def measured(row: str, hardware: str) -> dict[str, Any]:
    """A row of results.json."""
    rows = json.loads((FIGURES / "results.json").read_text())
    found = [each for each in rows if each["row"] == row and each["hardware"] == hardware]
    if len(found) != 1:
        raise SystemExit(f"results.json has {len(found)} rows {row!r} of {hardware}, expected one")
    return dict(found[0])


def rates(inputs: dict[str, Any]) -> dict[str, float]:
    """What one machine does in a second: tokens, or documents where the name says so."""
    hardware = inputs["cpu"]["hardware"]
    tokenize = measured("tokenize", hardware)
    length = tokenize["details"]["tokens"]["ours"] / 20_000
    of = {name: float(measured(name, hardware)["ours"]) for name in _ROWS}
    return {
        "tokens of a review": length,
        "tokenising": tokenize["ours"] * length,
        "stages 1 and 2, small": of["lm_train_small"],
        "stages 1 and 2, base": of["lm_train_base"],
        "stage 3, small": of["clf_train"] * length,
        "stage 3, small, encoder frozen": of["clf_train_frozen"] * length,
        "predict, small": of["clf_infer"] * length,
        "predict, base": of["clf_infer_base"] * length,
    }


_ROWS = (
    "lm_train_small",
    "lm_train_base",
    "clf_train",
    "clf_train_frozen",
    "clf_infer",
    "clf_infer_base",
)


@dataclass(frozen=True)
class Prediction:
    """10^8 documents on so many cores. megabytes: a second of reading and writing, together."""

    size: str
    tokens: float
    cores: int
    hours: float
    money: float
    megabytes: float


def predictions(inputs: dict[str, Any], found: dict[str, float]) -> Iterator[Prediction]:
    """Reviews and short texts, small and base, on 2 to 4,096 cores; shards do not wait."""
    cores_there = inputs["cpu"]["cores"]
    for size in ("small", "base"):
        for tokens in (20.0, found["tokens of a review"]):
            for cores in (2, 64, 1024, 4096):
                a_second = found[f"predict, {size}"] / tokens / cores_there * cores
                hours = DOCUMENTS / a_second / 3600
                money = hours * cores * inputs["money"]["core_hour"]
                megabytes = 2 * a_second * tokens * 4.5 / 1e6  # 4.5 bytes a token of English
                yield Prediction(size, tokens, cores, hours, money, megabytes)


def tables(inputs: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The page's tables in Markdown, and the figures in them."""
    found, gpu, cpu = rates(inputs), inputs["gpu"], inputs["cpu"]
    of_gpu = Speed.through(gpu["lanes"], gpu["tokens_a_second"], gpu["seq_len"])
    of_cpu = Speed.through([cpu["lanes"]], [found["stages 1 and 2, small"]], cpu["seq_len"])
    trained = [
        *trainings(inputs, "cpu", "small", of_cpu, 512, "ethernet"),
        *trainings(inputs, "gpu", "base", of_gpu, 512, "infiniband"),
        *trainings(inputs, "gpu", "base", of_gpu, 4096, "infiniband"),
    ]
    predicted = list(predictions(inputs, found))
    sizes = {
        f"{size}, {vocab:,} words": parameters(size, vocab)
        for size, vocab in (("small", 20_000), ("base", 60_000))
    }
    parts = [
        _rate_table(inputs, found),
        _bytes_table(inputs, sizes),
        _training_table(inputs, trained),
        _prediction_table(inputs, predicted),
    ]
    figures = {
        "rates": found,
        "parameters": sizes,
        "training": [asdict(each) for each in trained],
        "prediction": [asdict(each) for each in predicted],
        "inputs": inputs,
    }
    return "\n\n".join(parts), figures


def _rate_table(inputs: dict[str, Any], found: dict[str, float]) -> str:
    cpu, price = inputs["cpu"], inputs["money"]["core_hour"] * inputs["cpu"]["cores"]
    head = f"| {cpu['name']} | tokens/s | hours for 10^9 tokens | {inputs['money']['currency']} |"
    lines = [head, "|---|---:|---:|---:|"]
    for name, rate in found.items():
        if name != "tokens of a review":
            hours = TOKENS / rate / 3600
            lines.append(f"| {name} | {rate:,.0f} | {_short(hours)} | {_short(hours * price)} |")
    return "\n".join(lines)


def _bytes_table(inputs: dict[str, Any], sizes: dict[str, int]) -> str:
    names = list(inputs["network"])
    lines = [
        f"| gradients | parameters | MB a step | {' | '.join(f'{n}, ms' for n in names)} |",
        "|---|---:|---:|" + "---:|" * len(names),
    ]
    for name, count in sizes.items():
        # With many ranks, each sends twice the bytes.
        times = [2e3 * count * _GRADIENT / inputs["network"][n]["bandwidth"] for n in names]
        cells = " | ".join(_short(time) for time in times)
        lines.append(f"| {name} | {count:,} | {count * _GRADIENT / 1e6:.0f} | {cells} |")
    return "\n".join(lines)


def _training_table(inputs: dict[str, Any], trained: Sequence[Training]) -> str:
    lines = [
        "| 10^9 tokens of stage 1 | lanes | ranks | ms a step | all-reduce | efficiency | hours | "
        f"{inputs['money']['currency']} |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for each in trained:
        lines.append(
            f"| {each.size}, {each.hardware} | {each.lanes:,} | {each.ranks} | "
            f"{_short(each.step_ms)} | {each.all_reduce_share:.0%} | {each.efficiency:.0%} | "
            f"{_short(each.hours)} | {_short(each.money)} |"
        )
    return "\n".join(lines)


def _prediction_table(inputs: dict[str, Any], predicted: Sequence[Prediction]) -> str:
    lines = [
        "| 10^8 documents | tokens each | cores | hours | MB/s of files | "
        f"{inputs['money']['currency']} |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for each in predicted:
        lines.append(
            f"| {each.size} | {each.tokens:.0f} | {each.cores:,} | {_short(each.hours)} | "
            f"{_short(each.megabytes)} | {_short(each.money)} |"
        )
    return "\n".join(lines)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def main() -> None:
    """Print the tables; with the default inputs, keep the figures, too."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=Path, default=INPUTS)
    given = parser.parse_args()
    text, figures = tables(tomllib.loads(given.inputs.read_text()))
    print(text)
    if given.inputs == INPUTS:
        atomic_write(RESULTS, json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
