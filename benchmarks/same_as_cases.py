"""The commands that `benchmarks.same_as` runs in both revisions, and the texts that they read."""

import csv
import json
import random
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

TOPICS = {"acting": "actor role cast", "music": "song tune choir", "story": "plot ending script"}
MOODS = {"bad": "dull awful boring cheap lame", "good": "great lovely superb funny warm"}
PLAIN = "the old town lies by a river and its people work in mills every day"
ASKED = [
    "A great film about the sea.",
    "The worst ending, never again!",
    "Dull, dull, DULL: the actor was sooooo cheap.",
    "",
    "A lovely song<br />and a choir, שלום 电影 😀",
    "Fresh and warm; the script has a twist, the score none.",
]
CONVERSIONS = [("csv", "jsonl"), ("tsv", "csv"), ("jsonl", "tsv"), ("jsonl", "parquet")]
COMMANDS = [
    *("stage1_pretrain", "stage2_lm", "stage3_clf", "generate", "evaluate", "predict", "explain"),
    *("report", "calibrate", "compare", "serve", "export", "push", "pull", "verify", "tokenize"),
    *("text", "data"),
]


@dataclass(frozen=True)
class Case:
    """One call of a command, in a folder that is named like it."""

    name: str
    module: str
    arguments: tuple[str, ...]


def case(name: str, module: str, arguments: str = "", *more: str) -> Case:
    """A call of ``python -m ulmfit.<module>``; `more` are arguments that have spaces."""
    return Case(name, f"ulmfit.{module}".removesuffix("."), (*arguments.split(), *more))


def write_texts(folder: Path) -> None:
    """The same texts for both revisions."""
    draw = random.Random(7)
    folder.mkdir(parents=True)
    words = " ".join([PLAIN, *MOODS.values(), *TOPICS.values()]).split()
    general = (" ".join(draw.choices(words, k=draw.randint(20, 40))) + "." for _ in range(80))
    _csv(folder / "general.csv", ["text"], ([text] for text in general))
    splits = ("train", "train", "train", "valid", "test", "unsup")
    reviews, topics = [], []
    for i in range(120):
        split, mood = splits[i % 6], draw.choice(sorted(MOODS))
        about = sorted(draw.sample(sorted(TOPICS), draw.randint(0, 2)))
        told = draw.choices([*PLAIN.split(), *MOODS[mood].split() * 3], k=16)
        named = [word for topic in about for word in draw.choices(TOPICS[topic].split(), k=5)]
        if draw.random() < 0.2:  # labels that are wrong: there is something to calibrate
            mood, about = draw.choice(sorted(MOODS)), about[1:]
        label, labels = (mood, ";".join(about)) if split != "unsup" else ("", "")
        reviews.append([f"The {' '.join(told)}.", label, split])
        topics.append([f"The {' '.join([*named, *told[:5]])}.", labels, split])
    _csv(folder / "reviews.csv", ["text", "label", "split"], reviews)
    _csv(folder / "topics.csv", ["text", "label", "split"], topics)
    asked = [[str(i), text, f"note {i}, with a comma"] for i, text in enumerate(ASKED)]
    for ending, delimiter in ((".csv", ","), (".tsv", "\t")):
        _csv(folder / f"asked{ending}", ["id", "text", "note"], asked, delimiter)
    objects = [{"text": text, "at": i, "of": [i, None]} for i, text in enumerate(ASKED)]
    (folder / "asked.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in objects))


def _csv(path: Path, header: list[str], rows: Iterable[list[str]], delimiter: str = ",") -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows([header, *rows])


def help_cases() -> list[Case]:
    """``--help`` of every command."""
    named = [case(f"help-{name}", name, "--help") for name in COMMANDS]
    return [case("help", "", "--help"), *named]


def stage_cases() -> list[Case]:
    """Each stage in small: word and subword, one label and several, both directions."""
    small = "--batch-size 8 --drop-mult 0.1 --lr 0.02"
    first = f"--corpus ../texts/general.csv --out model {small} --epochs 2 --size tiny --seq-len 16"
    first += " --min-freq 1 --valid-documents 8"
    second = f"--out model {small} --epochs 2 --min-freq 1 --seq-len 16 --samples 2"
    third = f"--out model {small} --epochs 8 --hidden 8 --bptt 16"
    reviews, topics = "--data ../texts/reviews.csv", "--data ../texts/topics.csv --multi-label"
    cases = []
    for way, flag in (("fwd", ""), ("bwd", " --backwards")):
        for kind, more in (("", ""), ("sub-", " --tokenizer subword --max-vocab 60")):
            wiki, lm = f"{kind}wiki-{way}", f"{kind}lm-{way}"
            cases += [
                case(wiki, "stage1_pretrain", first + flag + more),
                case(lm, "stage2_lm", f"{reviews} --pretrained ../{wiki}/model {second}{flag}"),
                case(
                    f"{kind}clf-{way}",
                    "stage3_clf",
                    f"{reviews} --lm ../{lm}/model {third}{flag}",
                ),
            ]
        multi = f"{topics} --lm ../lm-{way}/model {third}{flag} --class-weights balanced"
        cases.append(case(f"multi-{way}", "stage3_clf", multi))
    return cases


def command_cases() -> list[Case]:
    """What is done with the models of `stage_cases`, and errors."""
    pair, multi, sub = (
        f"--clf ../{kind}-fwd/model ../{kind}-bwd/model" for kind in ("clf", "multi", "sub-clf")
    )
    wanted = "--text-col note --label-col mood"
    all_stages = "--data ../texts/reviews.csv --pretrained wiki-en-small --out models"
    classical = "--methods majority tfidf-lr nb-lr --train-sizes 40 --seeds 1 --out out"
    return [
        case("evaluate-multi", "evaluate", multi),
        case("evaluate-subword", "evaluate", sub),
        case("evaluate-pair", "evaluate", f"{pair} --output all.json"),
        case("calibrate-pair", "calibrate", pair),
        case("calibrate-multi", "calibrate", multi),
        case("evaluate-calibrated", "evaluate", f"{pair} --split valid"),
        *(
            case(f"predict-text-{i}", "predict", f"{clf} --text", ASKED[2])
            for i, clf in enumerate((pair, multi, sub))
        ),
        *(
            case(
                f"predict-{old}-{new}",
                "predict",
                f"{pair} --input ../texts/asked.{old} --output out.{new}",
            )
            for old, new in CONVERSIONS
        ),
        case("predict-multi", "predict", f"{multi} --input ../texts/asked.csv --output out.csv"),
        case("report-pair", "report", pair),
        case("report-multi", "report", multi),
        case("explain-pair", "explain", f"{pair} --text", ASKED[2]),
        case("explain-multi", "explain", f"{multi} --label music --text", ASKED[4]),
        case("explain-colour", "explain", f"{sub} --colour --method gradient --text", ASKED[5]),
        case("verify", "verify", "../clf-fwd/model --among ../lm-fwd/model ../wiki-fwd/model"),
        case("generate", "generate", "--lm ../lm-fwd/model --prompt film --top-k 5"),
        case("generate-bwd", "generate", "--lm ../sub-lm-bwd/model --n 1 --temperature 0"),
        case("text", "text", "", *ASKED),
        case("text-lm", "text", "--lm ../sub-lm-fwd/model", *ASKED),
        case("data", "data", "--data ../texts/reviews.csv"),
        case("data-multi", "data", "--data ../texts/topics.csv --multi-label"),
        case("data-sample", "data", "--data imdb-sample"),
        case("tokenize", "tokenize", "--data ../texts/reviews.csv --out reviews.ids.parquet"),
        case("export", "export", "--clf ../clf-fwd/model"),
        case("pipeline", "", f"{all_stages} --recipe rehearsal"),
        case("compare", "compare", f"--data ../texts/reviews.csv {classical}"),
        case("error-column", "data", f"--data ../texts/reviews.csv {wanted}"),
        case("error-recipe", "stage2_lm", "--recipe none"),
        case("error-settings", "stage3_clf", "--batch-size 0 --drop-mult -1 --rates odd"),
        case("error-file", "predict", "--input none.csv --output out.csv"),
        case("error-ending", "predict", "--input ../texts/asked.csv --output out.xls"),
        case("error-kind", "predict", "--clf ../lm-fwd/model --text a"),
        case("error-flag", "predict", "--colour"),
    ]


def model_cases(models: Iterable[tuple[str, Path]]) -> list[Case]:
    """What each model directory says to fixed texts."""
    cases = []
    for name, path in models:
        kind = json.loads((path / "manifest.json").read_text())["kind"]
        if kind == "lm":
            cases.append(case(name, "generate", "--n 1 --temperature 0 --lm", str(path)))
        else:
            given = "--input ../texts/asked.csv --output out.jsonl --precision float32 --clf"
            cases.append(case(name, "predict", given, str(path)))
    return cases


def demo_cases() -> list[Case]:
    """``make demo``."""
    return [case("demo", "", "--recipe films --data imdb-sample --out models")]
