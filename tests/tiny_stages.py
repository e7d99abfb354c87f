"""Texts written for the tests and settings that carry them through the stages in seconds."""

import csv
import random

from ulmfit import stage1_pretrain, stage2_lm, stage3_clf

GENERAL = [
    "the",
    "old",
    "town",
    "lies",
    "by",
    "a",
    "river",
    "and",
    "its",
    "people",
    "work",
    "in",
    "the",
    "mills",
    "every",
    "day",
]
PLOT = [
    "film",
    "story",
    "actor",
    "scene",
    "music",
    "ending",
    "plot",
    "camera",
    "director",
    "script",
]
MOODS = {
    "good": ["great", "lovely", "superb", "funny", "warm", "moving", "brilliant", "fresh"],
    "bad": ["dull", "awful", "boring", "cheap", "lame", "weak", "stale", "dreadful"],
}
STEPS_1 = [{"epochs": 3, "lr": 0.02}]
STEPS_2 = [
    {"epochs": 1, "lr": 0.02, "groups": 1, "share": 0.5},
    {"epochs": 4, "lr": [0.01, 0.03]},
]
STEPS_3 = [
    {"epochs": 4, "lr": 0.05, "groups": 1},
    {"epochs": 1, "lr": [0.005, 0.02], "groups": 2},
    {"epochs": 4, "lr": [0.005, 0.02]},
]
SETTINGS_1 = {
    "size": "tiny",
    "min_freq": 1,
    "batch_size": 8,
    "seq_len": 16,
    "valid_documents": 8,
    "drop_mult": 0.1,
    "steps": STEPS_1,
}
SETTINGS_2 = {
    "min_freq": 1,
    "batch_size": 8,
    "seq_len": 16,
    "drop_mult": 0.1,
    "samples": 2,
    "steps": STEPS_2,
}
SETTINGS_3 = {"batch_size": 8, "drop_mult": 0.1, "hidden": 8, "bptt": 16, "steps": STEPS_3}


def general(n=80, seed=0):
    rng = random.Random(seed)
    return [" ".join(rng.choices(GENERAL, k=rng.randint(20, 40))) + "." for _ in range(n)]


def review(mood, rng):
    words = [rng.choice(PLOT if rng.random() < 0.5 else MOODS[mood]) for _ in range(16)]
    return f"The {' '.join(words)} was {rng.choice(MOODS[mood])}."


def reviews(n=120, seed=0, splits=("train", "train", "train", "valid", "test", "unsup")):
    """Rows of text, label, split."""
    rng = random.Random(seed)
    rows = []
    for i in range(n):
        mood = rng.choice(list(MOODS))
        split = splits[i % len(splits)]
        rows.append([review(mood, rng), "" if split == "unsup" else mood, split])
    return rows


def write_csv(path, header, rows):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return str(path)


def write_reviews(path, **more):
    return write_csv(path, ["text", "label", "split"], reviews(**more))


def write_general(path):
    return write_csv(path, ["text"], [[text] for text in general()])


def stage1(corpus, out, **more):
    return stage1_pretrain.main(corpus=corpus, out=str(out), **{**SETTINGS_1, **more})


def stage2(data, pretrained, out, **more):
    given = {"data": data, "pretrained": str(pretrained), "out": str(out)}
    return stage2_lm.main(**{**SETTINGS_2, **given, **more})


def stage3(data, lm, out, **more):
    return stage3_clf.main(**{**SETTINGS_3, "data": data, "lm": str(lm), "out": str(out), **more})
