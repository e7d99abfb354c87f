"""From results of trials to one row a method and number of labels; markdown and csv."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import mean
from typing import Any

from ulmfit.compare.plan import METHODS, Job, Result, Settings


@dataclass(frozen=True)
class Row:
    """A method with a number of labels, over its seeds.

    labels: number of training texts; size: the number in the settings, 0 for all.
    results: of finished trials, by seed; failures: the reasons of failed trials, each once.
    """

    method: str
    labels: int
    size: int
    results: Mapping[int, Result]
    failures: Sequence[str]

    def values(self, figure: str) -> list[float]:
        """A figure of the test part by seed."""
        return [result["figures"][figure] for result in self.results.values()]

    def mean(self, name: str) -> float:
        """The mean over seeds of a value of the results."""
        return mean(result[name] for result in self.results.values())

    def peak_mb(self) -> float:
        """The highest value of the seeds, in 10^6 bytes."""
        return max(result["peak_bytes"] for result in self.results.values()) / 1e6

    def facts(self, name: str) -> list[Any]:
        """A fact of the trials, for trials that have it."""
        every = (result["facts"] for result in self.results.values())
        return [facts[name] for facts in every if name in facts]


def summarize(found: Mapping[Job, Result], available: int) -> list[Row]:
    """Rows in the order of labels, then of methods; `available` is the number of all labels."""
    rows = []
    sizes = {job.labels for job in found if job.labels is not None}
    for size in sorted(sizes, key=lambda size: size or available + 1):
        for method in METHODS:
            trials = {
                job.seed: result
                for job, result in sorted(found.items(), key=lambda item: item[0].seed or 0)
                if (job.method, job.labels) == (method, size) and job.seed is not None
            }
            done = {seed: r for seed, r in trials.items() if r["status"] == "done"}
            failures = [r["why"] for r in trials.values() if r["status"] == "failed"]
            if trials:
                labels = size or available
                rows.append(Row(method, labels, size, done, list(dict.fromkeys(failures))))
    return rows


def reads_unlabelled(method: str, settings: Settings) -> bool:
    """Whether a method needs unlabelled texts; with given word vectors it does not."""
    if method == "vectors-gru" and settings.vectors:
        return False
    return METHODS[method].unlabelled


_COLUMNS = (
    *("method", "labels", "accuracy, %", "weighted F1, %", "macro F1, %", "training, s"),
    *("documents/s", "model, MB", "peak memory, MB", "unlabelled text", "texts cut", "seeds"),
)
_LEFT = ("method", "unlabelled text")  # aligned to the left, the others to the right
_FIGURES = {"accuracy": "accuracy", "f1_weighted": "weighted_f1", "f1": "macro_f1"}


def markdown(rows: Sequence[Row], texts: int, settings: Settings) -> str:
    """The table, for `texts` texts of test, with the worst and the best seed in brackets."""
    rule = "|".join("---" if name in _LEFT else "---:" for name in _COLUMNS)
    lines = [f"| {' | '.join(_COLUMNS)} |", f"|{rule}|"]
    for row in rows:
        if row.results:
            lines.append(f"| {' | '.join(_cells(row, texts, settings))} |")
        for why in row.failures:
            told = why.replace("|", "\\|")
            empty = " | " * (len(_COLUMNS) - 3)
            lines.append(f"| {row.method} | {row.labels:,} | failed: {told}{empty} |")
    return "\n".join(lines) + "\n"


def _cells(row: Row, texts: int, settings: Settings) -> list[str]:
    cut = row.facts("texts cut")
    return [
        row.method,
        f"{row.labels:,}",
        *(spread(row.values(figure)) for figure in _FIGURES),
        rounded(row.mean("total_seconds")),
        rounded(texts / max(row.mean("predict_seconds"), 1e-9)),
        rounded(row.mean("bytes") / 1e6),
        f"{row.peak_mb():,.0f}",
        "yes" if reads_unlabelled(row.method, settings) else "no",
        f"{mean(cut):.1%}" if cut else "",
        str(len(row.results)),
    ]


def spread(shares: Sequence[float]) -> str:
    """The mean in percent; of several values, the lowest and the highest in brackets."""
    shown = f"{100 * mean(shares):.1f}"
    if len(shares) > 1:
        shown += f" ({100 * min(shares):.1f} to {100 * max(shares):.1f})"
    return shown


def rounded(value: float) -> str:
    """Two digits, or a whole number if it has more."""
    if value >= 10:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 0.95 else f"{value:.2g}"


def table_csv(rows: Sequence[Row], texts: int, settings: Settings) -> str:
    """One line a method and number of labels, with unrounded figures, for other programs."""
    import pandas as pd  # takes a while; --help does without

    names = [f"{name}{part}" for name in _FIGURES.values() for part in ("", "_min", "_max")]
    header = [
        *("method", "labels", "seeds", *names, "training_seconds", "documents_per_second"),
        *("model_mb", "peak_memory_mb", "unlabelled_text", "texts_cut", "failed"),
    ]
    records = []
    for row in rows:
        cells: list[Any] = [""] * (len(header) - 4)
        if row.results:
            values = (row.values(figure) for figure in _FIGURES)
            cut = row.facts("texts cut")
            cells = [
                *(part for found in values for part in (mean(found), min(found), max(found))),
                row.mean("total_seconds"),
                texts / max(row.mean("predict_seconds"), 1e-9),
                row.mean("bytes") / 1e6,
                row.peak_mb(),
                "yes" if reads_unlabelled(row.method, settings) else "no",
                mean(cut) if cut else "",
            ]
        failed = "; ".join(row.failures)
        records.append([row.method, row.labels, len(row.results), *cells, failed])
    return pd.DataFrame(records, columns=header).to_csv(index=False, lineterminator="\n")


def pareto(points: Sequence[tuple[float, float]]) -> list[int]:
    """The Pareto front of points (seconds, accuracy), in the order of their seconds."""
    order = sorted(range(len(points)), key=lambda n: (points[n][0], -points[n][1]))
    highest = accumulate((points[n][1] for n in order), max, initial=float("-inf"))
    return [n for n, before in zip(order, highest, strict=False) if points[n][1] > before]
