"""Any text and any file: hostile unicode, words of megabytes, malformed files.

Texts are tokenised, decoded and classified by tiny models with random weights, word and subword,
forward and backward. Files go through `predict --input`.
"""

import csv
import io
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from torture.common import ROOT, Ended, Row
from ulmfit import predict
from ulmfit.artifacts.config import ClassifierConfig
from ulmfit.base.errors import UserError
from ulmfit.data.formats import open_table
from ulmfit.data.formats_base import cells
from ulmfit.inference.ensemble import Classifier
from ulmfit.inference.scoring import EMPTY
from ulmfit.model.build import build_classifier
from ulmfit.model.sizes import encoder_config
from ulmfit.text.ids import is_empty
from ulmfit.text.processor import TextProcessor
from ulmfit.text.rules import apply_rules
from ulmfit.text.tokenizers import WordTokenizer
from ulmfit.training.settings import ClassifierSettings, Step
from ulmfit.training.stage import Finished, Options, save

LABELS = ("neg", "pos")
MOST_MEMORY = 2048  # MB of a `predict --input` with any number of rows, torch and spaCy included
TOLERANCE = 1e-4  # of a probability in float32, between one batch and another
WORDS = "the film was good and the other was not ; never again ! I laughed at ( 3 ) old stories ."

# Strings to repeat, each a trap of its own; then letters from which to draw texts.
PIECES = (
    *("a", "a ", "ab", "(", "()", "!?", ".", "a.", "a-", "a/", "1,", "1.5", "@", ":@a.", "a:", "#"),
    *(":)", ":) ) ", "'s", "'", '"', "\\", "\\n", "$", "€1", "km", "_", "--", "…", "°c."),
    *("no ", "no no ", "NO ", "No", "aaab ", "xxrep ", "xxrep 123456789 a ", "xxwrep 978 word "),
    *(
        "xxbos",
        "xxpad xxunk ",
        "xxmaj xxup ",
        "<unk>",
        "<br />",
        "&amp;",
        "&lt;",
        "&",
        "&#",
        f"&#{'9' * 5000};",
        "amp;",
    ),
    *(" ", "\n", " \n", "\t", "\r", "\u2028", "\u2029", "\x85", "\u00a0", "\u3000", "\x00", "\x1f"),
    *("\u200b", "\u200d", "\u200f", "\u202e", "\ufeff", "\u0301", "e\u0301", "\ud83d", "\udc00"),
    *(
        "👩\u200d👩\u200d👧",
        "😀",
        "👍🏽",
        "🇳🇿",
        "ﷺ",
        "שלום",
        "ابت",
        "हिन्दी",
        "这部电影",
        "ก",
        "İ",
        "ß",
        "ǅ",
    ),
    *("\ufffe", "\U0010ffff", "\ue000", "▁", "http://a.io/", "www.", "x@y.org "),
)


ALPHABETS = ("()[]<>:;'\"!?", "ab1.:/@-'()", ":@a./?#", "a ", "\n \t")


def rows(scale: float, seed: int) -> Iterator[Row]:
    """The rows of the table; `scale` multiplies the number of texts and their lengths."""
    with tempfile.TemporaryDirectory() as folder:
        models = write_models(Path(folder))
        processors = {kind: TextProcessor.load(models[kind][0]) for kind in models}
        yield round_trip(processors, round(800 * scale), seed)
        yield any_length(processors, round(2_000_000 * scale))
        yield linear(processors, round(40_000 * min(scale, 1)), seed)
        classifiers = {k: Classifier.load(*models[k], precision="float32") for k in models}
        for kind, classifier in classifiers.items():
            yield predictions(classifier, kind, round(200 * scale), seed)
            # Pieces are of some characters each: a long text has hundreds of times the tokens.
            longest = 10_000_000 if kind == "word" else 100_000
            yield one_long_text(classifier, kind, round(longest * scale))
        yield files(classifiers["word"], Path(folder), round(100 * scale), seed)
        yield bad_files(classifiers["word"], Path(folder), round(1000 * scale), seed)
        yield many_rows(models["word"][0], Path(folder), round(1_000_000 * scale))


def write_models(folder: Path) -> dict[str, list[Path]]:
    """Directories of a forward and a backward classifier for each kind of tokenizer."""
    words = TextProcessor("word", min_freq=1).fit([WORDS, " ".join(PIECES)])
    subwords = TextProcessor("subword", max_vocab=150).fit([WORDS, "".join(PIECES)] * 20)
    return {
        kind: [
            write_model(folder / f"{kind}-{backwards}", processor, backwards)
            for backwards in (False, True)
        ]
        for kind, processor in (("word", words), ("subword", subwords))
    }


def write_model(out: Path, processor: TextProcessor, backwards: bool) -> Path:
    """A classifier with random weights that distinguishes texts."""
    encoder = encoder_config("tiny", len(processor.vocab))
    torch.manual_seed(int(backwards))
    model = build_classifier(encoder, len(LABELS), drop_mult=0, max_len=100, hidden=10)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "layers.0" not in name and "layers.4" not in name:  # batch norm
                weight.uniform_(-1, 1)
    finished = Finished(
        model=model,
        config=ClassifierConfig(encoder, max_len=100, hidden=10),
        processor=processor,
        settings=ClassifierSettings(steps=[Step(1, 0.01)]),
        size="tiny",
        history=[{"step": 1, "epoch": 1, "train_loss": 1.0, "valid_loss": 1.0, "accuracy": 0.5}],
        metrics={},
        data_fingerprint="torture",
        labels=list(LABELS),
    )
    return save(finished, out, 0.1, Options(backwards=backwards)).path


# --- texts --------------------------------------------------------------------------------------

any_text = st.one_of(
    st.text(st.characters(codec=None), max_size=200),  # every code point, surrogates too
    st.lists(st.sampled_from(PIECES), max_size=60).map("".join),
    st.tuples(st.sampled_from(PIECES), st.integers(1, 300)).map(lambda pair: pair[0] * pair[1]),
    st.text(st.sampled_from("()[]<>:;.@/-'\"!? a1A"), max_size=200),
)


def hold(
    row: Row, examples: int, number: int, strategy: st.SearchStrategy, check: Callable
) -> None:
    """Try `check` on `examples` values drawn from `number`; it returns the problem, or None."""

    @seed(number)
    @settings(
        max_examples=max(1, examples),
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def tries(value: object) -> None:
        row.tried += 1
        guarded(row, f"seed {number}: {value!r:.200}", lambda: check(value))

    tries()


def guarded(row: Row, what: str, check: Callable[[], str | None]) -> None:
    """Count the loss that `check` returns, or its crash."""
    try:
        wrong = check()
    except Exception as error:
        row.fail("crashed", f"{what}: {type(error).__name__}: {error}"[:400])
        return
    if wrong:
        row.fail("lost", f"{what}: {wrong}")


def round_trip(processors: dict[str, TextProcessor], examples: int, number: int) -> Row:
    """Texts to tokens, ids and back: no failure, equal results, known words survive."""
    row = Row("any text: tokens, ids and back")
    anew = WordTokenizer()

    def check(text: str) -> str | None:
        for kind, processor in processors.items():
            tokens, again = processor.tokenize([text, text])
            ids = processor.encode([text])[0]
            decoded = processor.decode(ids)
            if tokens != again or tokens[0] != "xxbos" or len(ids) != len(tokens):
                return f"{kind}: tokens differ"
            if len(decoded) > 2_000_000 + 1000 * len(text):
                return f"{kind}: {len(decoded):,} characters come back"
            if kind == "word" and anew.tokenize(apply_rules(text)) != tokens:
                return "tokens depend on the texts before"
            processor.decode(np.random.default_rng(len(text)).permutation(ids))
        return None

    hold(row, examples, number, any_text, check)
    return row


def any_length(processors: dict[str, TextProcessor], length: int) -> Row:
    """Each trap, repeated for `length` characters, to tokens and back: bounded time and memory."""
    row = Row("a trap repeated, to tokens and back")
    for piece in PIECES:
        text = piece * (length // 10 // len(piece) + 1)

        def check(text: str = text) -> str | None:
            for kind, processor in processors.items():
                ids = processor.encode([text])[0]
                if len(processor.decode(ids)) > 2_000_000 + 10 * len(text):
                    return f"{kind}: more comes back than went in"
            return None

        row.tried += 1
        guarded(row, f"{piece!r:.40} for {len(text):,} characters", check)
    return row


def linear(
    processors: dict[str, TextProcessor],
    length: int,
    number: int,
    pieces: Sequence[str] = PIECES,
    alphabets: Sequence[str] = ALPHABETS,
) -> Row:
    """Four times the text takes four, not sixteen times as long: processor time, best of three."""
    row = Row("time of 4 times the text")
    rng = random.Random(number)
    makers = [lambda n, piece=piece: piece * (n // len(piece)) for piece in pieces]
    for letters in alphabets:
        makers.append(lambda n, letters=letters: "".join(rng.choices(letters, k=n)))
    for make in makers:
        for kind, processor in processors.items():
            row.tried += 1
            short, long = make(length), make(4 * length)
            taken = [seconds(processor, text) for text in (short, long)]
            # A twentieth of a second is too short to compare.
            if taken[1] > 9 * taken[0] + 0.05:
                line = f"{kind}, {short[:20]!r}...: {len(short):,} characters {taken[0]:.2f} s, "
                row.fail("lost", line + f"{len(long):,} characters {taken[1]:.2f} s")
    return row


def seconds(processor: TextProcessor, text: str) -> float:
    """Processor time of the way to tokens and back where nothing is remembered; best of three."""
    taken = []
    for _ in range(3):
        tokenizer = processor.tokenizer
        if isinstance(tokenizer, WordTokenizer):
            tokenizer._tokens.clear()
            tokenizer._older.clear()
            for spacy in (tokenizer._spacy, tokenizer._affixes):
                spacy._flush_cache()
        began = time.process_time()
        processor.decode(processor.encode([text])[0])
        taken.append(time.process_time() - began)
        if taken[-1] < 0.05:
            break
    return min(taken)


# --- predictions --------------------------------------------------------------------------------


def predictions(classifier: Classifier, kind: str, examples: int, number: int) -> Row:
    """A row for each text, in order, the same alone, twice and in another batch."""
    row = Row(f"predictions, {kind}, both directions")

    def check(texts: list[str]) -> str | None:
        return wrong_predictions(classifier, texts, random.Random(number))

    hold(row, examples, number, st.lists(any_text, min_size=2, max_size=12), check)
    return row


def wrong_predictions(classifier: Classifier, texts: list[str], rng: random.Random) -> str | None:
    """What is wrong with the predictions for `texts`, or None."""
    found = classifier.probabilities(texts)
    if found.shape != (len(texts), len(LABELS)):
        return f"{len(found)} rows for {len(texts)} texts"
    if not np.isfinite(found).all() or np.abs(found.sum(1) - 1).max() > TOLERANCE:
        return "probabilities are none"
    if not np.array_equal(classifier.probabilities(texts), found):
        return "equal inputs, other outputs"
    order = rng.sample(range(len(texts)), len(texts))
    again = classifier.probabilities([texts[i] for i in order] + ["filler " * 50, texts[0]])
    if np.abs(again[: len(texts)] - found[order]).max() > TOLERANCE:
        return "another order, other outputs"
    if np.abs(again[-1] - found[0]).max() > TOLERANCE:
        return "one text twice in a batch, two outputs"
    one = rng.randrange(len(texts))
    if np.abs(classifier.probabilities([texts[one]])[0] - found[one]).max() > TOLERANCE:
        return "alone, another output"
    return None


def one_long_text(classifier: Classifier, kind: str, length: int) -> Row:
    """A text without a space beside short ones: a prediction comes back, the others stay."""
    row = Row(f"a text of {length:,} characters, {kind}")
    short = ["a good film", "", "never again"]
    alone = classifier.probabilities(short)
    for piece in ("x", "xy", "漢字", "e\u0301"):

        def check(piece: str = piece) -> str | None:
            found = classifier.probabilities([*short, piece * (length // len(piece))])
            moved = np.abs(found[:3] - alone).max() > TOLERANCE
            return "other rows moved" if moved or not np.isfinite(found).all() else None

        row.tried += 1
        guarded(row, repr(piece), check)
    return row


# --- files --------------------------------------------------------------------------------------

ENDINGS = (".csv", ".tsv", ".jsonl", ".parquet")
a_cell = any_text.map(lambda text: text.encode("utf-8", "replace").decode())
# Of csv no cell is anything but a text, and of one column no row may be blank: two columns.
a_table = st.lists(st.tuples(a_cell, a_cell), min_size=1, max_size=12)
names_of = st.sampled_from(["n", "label", "probability", "note", "neg", "predicted_label", "é 😀"])


def write_table(path: Path, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """The rows as a program of somebody else's writes them."""
    if path.suffix == ".parquet":
        arrays = [pa.array([row[i] for row in rows], pa.string()) for i in range(len(columns))]
        pq.write_table(pa.table(arrays, names=list(columns)), path)
        return
    text = io.StringIO(newline="")
    if path.suffix == ".jsonl":
        for row in rows:
            text.write(json.dumps(dict(zip(columns, row, strict=True))) + "\n")
    else:
        ends = ("\r\n", "\n", "\r")[len(rows) % 3]
        separator = {".csv": ",", ".tsv": "\t"}[path.suffix]
        writer = csv.writer(text, lineterminator=ends, delimiter=separator, quoting=csv.QUOTE_ALL)
        writer.writerows([columns, *rows])
    mark = "\ufeff" if len(rows) % 2 else ""
    path.write_bytes((mark + text.getvalue()).encode())


def read_table(path: Path) -> tuple[list[str], list[tuple]]:
    """Columns and rows of a file."""
    table = open_table(path)
    blocks = [[cells(column) for column in block] for block in table.blocks()]
    return table.columns, [row for block in blocks for row in zip(*block, strict=True)]


def predict_file(classifier: Classifier, source: Path, target: Path) -> None:
    """`predict --input`, its classifier not loaded for every file."""
    with patch.object(predict, "load_answering", lambda *_: classifier):
        predict.main(input=source, output=target, overwrite=True)


def files(classifier: Classifier, folder: Path, examples: int, number: int) -> Row:
    """Tables of hostile cells through `predict --input`: every row and column is kept."""
    row = Row("tables through predict --input")
    kinds = [*pairwise(ENDINGS), (ENDINGS[-1], ENDINGS[0])]

    def check(drawn: tuple[list[tuple[str, str]], str]) -> str | None:
        rows, name = drawn
        for given_as, written_as in kinds:
            source, target = folder / f"in{given_as}", folder / f"out{written_as}"
            write_table(source, [name, "text"], rows)
            predict_file(classifier, source, target)
            columns, found = read_table(target)
            if columns[:2] != [name, "text"] or len(set(columns)) != 7:
                return f"{given_as} to {written_as}: columns {columns}"
            if [line[:2] for line in found] != rows:
                return f"{given_as} to {written_as}: cells or rows differ"
            if [line[-1] == EMPTY for line in found] != [is_empty(text) for _, text in rows]:
                return f"{given_as} to {written_as}: notes differ"
        return None

    hold(row, examples, number, st.tuples(a_table, names_of), check)
    return row


BAD = {
    "latin.csv": b"id,text\n1,a\n2,caf\xe9\n",
    "utf16.csv": "id,text\n1,a\n".encode("utf-16"),
    "utf16.tsv": "id\ttext\n1\ta\n".encode("utf-16-le"),
    "nul.csv": bytes(1000),
    "many.csv": b"id,text\n1,a,b\n",
    "few.csv": b"id,text\n1\n",
    "twice.csv": b"text,text\na,b\n",
    "empty.csv": b"",
    "mark.csv": b"\xef\xbb\xbf",
    "open.csv": b'id,text\n1,"a, a"\n2,"a\n3,b\n',
    "behind.csv": b'id,text\n1,"a, a"\n2,"a"b\n',
    "merged.csv": b'id,text\n1,"a\n2,b"\n',
    "other.tsv": b"id,text\n1,a,b\n",
    "broken.jsonl": b'{"text": "a"}\n{"text": \n',
    "list.jsonl": b'[{"text": "a"}]\n',
    "pretty.jsonl": b'{\n "text": "a"\n}\n',
    "deep.jsonl": b'{"text": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n",
    "digits.jsonl": b'{"text": "a", "n": ' + b"9" * 5000 + b"}\n",
    "keys.jsonl": b"".join(b'{"text": "a", "k%d": 1}\n' % i for i in range(10_001)),
    "latin.jsonl": b'{"text": "caf\xe9"}\n',
    "empty.parquet": b"",
    "csv.parquet": b"text\na\n",
    "huge.parquet": b"PAR1" + bytes(100) + b"\xff\xff\xff\x7fPAR1",
}


def bad_files(classifier: Classifier, folder: Path, damaged: int, number: int) -> Row:
    """Files that are wrong, then good ones that were damaged: refused in one line, or read."""
    row = Row("bad files refused in one line")
    for name, content in BAD.items():
        (folder / name).write_bytes(content)
        row.tried += 1
        refused(row, classifier, folder / name, must=True)
    rng = random.Random(number)
    rows = [(str(i), f"text {i}") for i in range(50)]
    for i in range(damaged):
        path = folder / f"damaged{ENDINGS[i % 4]}"
        write_table(path, ["id", "text"], rows)
        path.write_bytes(damage(path.read_bytes(), rng))
        row.tried += 1
        refused(row, classifier, path, must=False, what=f"{path.name} {i} of seed {number}")
    return row


def damage(content: bytes, rng: random.Random) -> bytes:
    """Cut, overwritten or doubled somewhere."""
    start, length = rng.randrange(len(content)), rng.randrange(1, 40)
    return content[:start] + rng.choice(
        [
            b"",
            rng.randbytes(length) + content[start + length :],
            bytes([content[start] ^ 1 << rng.randrange(8)]) + content[start + 1 :],
            content[max(0, start - length) :],
            content[start + length :],
        ]
    )


def refused(row: Row, classifier: Classifier, path: Path, must: bool, what: str = "") -> None:
    """Count a crash, an error of several lines or of a page, and with `must` none at all."""
    target = path.with_name("refused.csv")
    try:
        predict_file(classifier, path, target)
    except UserError as error:
        if len(str(error).splitlines()) != 1 or len(str(error)) > 700 or target.exists():
            row.fail("crashed", f"{what or path.name}: {str(error)[:200]!r}")
        return
    except Exception as error:
        row.fail("crashed", f"{what or path.name}: {type(error).__name__}: {error}"[:400])
        return
    target.unlink()
    if must:
        row.fail("let_in", f"{path.name} was read")


def many_rows(model: Path, folder: Path, count: int) -> Row:
    """A csv of `count` rows through one classifier: as many come out, in order, in flat memory."""
    row = Row("csv of many rows", tried=count)
    source, target = folder / "many.csv", folder / "scored.csv"
    with source.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text"])
        writer.writerows((i, "" if i % 1000 == 0 else f"film\n{i % 97}") for i in range(count))

    def check() -> str | None:
        command = ["-m", "ulmfit.predict", "--clf", str(model), "--precision", "float32"]
        ended, used = _run_measured(
            [*command, "--input", str(source), "--output", str(target)], 600
        )
        if ended.status != 0:
            return f"status {ended.status}: {ended.errors[-300:]}"
        if used > MOST_MEMORY:
            return f"{used:,} MB were used"
        return differing_row(target, count)

    guarded(row, f"{count:,} rows", check)
    return row


def _run_measured(arguments: list[str], seconds: float) -> tuple[Ended, int]:
    """`run`, and the MB that the process used at most.

    Asked of the process itself: what the system counts for children is the largest one so far, and
    begins with the size of their parent.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    until, most = time.monotonic() + seconds, 0
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            [sys.executable, *arguments], env=environment, stdout=subprocess.DEVNULL, stderr=errors
        )
        while process.poll() is None and time.monotonic() < until:
            status = Path(f"/proc/{process.pid}/status").read_text()
            if found := re.search(r"VmHWM:\s*(\d+) kB", status):
                most = max(most, int(found[1]) >> 10)
            time.sleep(0.05)
        process.kill()
        process.wait()
        errors.seek(0)
        late = time.monotonic() >= until
        return Ended(None if late else process.returncode, "", errors.read()), most


def differing_row(scored: Path, count: int) -> str | None:
    """The first row that is out of order, or unlike another of the same text, or None."""
    known: dict[str, str] = {}
    with scored.open(newline="") as file:
        lines = csv.DictReader(file)
        for i in range(count):
            line = next(lines, None)
            if line is None or line["id"] != str(i):
                return f"row {i}: {line}"
            usual = float(known.setdefault(line["text"], line["pos"]))
            if abs(usual - float(line["pos"])) > TOLERANCE:
                return f"row {i}: an equal text had another prediction"
        return "more rows than went in" if next(lines, None) else None
