"""Texts that no model fits, through the stages and the commands."""

import os
from pathlib import Path

import pytest
from tiny_models import refuses, write_classifier, write_lm
from tiny_stages import GENERAL, SETTINGS_1, SETTINGS_2, stage2, stage3, write_csv

from ulmfit import __main__, predict, stage1_pretrain, stage2_lm, tokenize
from ulmfit.artifacts.directory import read_artifact
from ulmfit.data.__main__ import main as look
from ulmfit.training import domain_lm
from ulmfit.training.settings import LMSettings, load_settings

CASES = Path(os.environ.get("ULMFIT_CASES", Path(__file__).parents[3] / "shared" / "cases"))
CASE = CASES / "c24_chinese.csv"
OPENINGS = ["这部电影", "这本书", "这家餐厅", "这个酒店"]
MOODS = {"好": ["很好看", "非常喜欢", "值得推荐"], "坏": ["太难看了", "非常失望", "浪费时间"]}
CHINESE = [
    [f"{opening}{first}，{second}。", label, split]
    for opening in OPENINGS
    for label, said in MOODS.items()
    for first, second, split in zip(
        said * 2, said[1:] + said + said[:1], ["train"] * 4 + ["valid", "test"], strict=True
    )
]
GREEK = [
    [f"Η ταινία ήταν {word} και {word} όπως πάντα.", label, split]
    for label, words in {"α": ["καλή", "ωραία"], "β": ["κακή", "βαρετή"]}.items()
    for word in words
    for split in ["train"] * 5 + ["valid", "test"]
]
CHOSEN = (
    "100.0 % of the tokens are unknown to wiki-en-small: stage 2 trains on these texts alone, in "
    "subwords (--pretrained wiki-en-small keeps that model)"
)
CHOSEN_UNSPACED = f"the texts have no spaces between words, and {CHOSEN}"
WAY_OUT = (
    "ulmfit train --recipe own-text starts from no other model and trains on these texts "
    "alone, in subwords"
)
UNSPACED = (
    "the texts are in a language without spaces between words: the tokenizer is subword "
    "(--tokenizer word takes whole sentences for words)"
)
NONE_KNOWN = "no token is known to this model; its answer means little"


def write(path, rows):
    return write_csv(path, ["text", "label", "split"], rows)


@pytest.fixture
def chinese(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write(tmp_path / "chinese.csv", CHINESE)


@pytest.fixture
def greek(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write(tmp_path / "greek.csv", GREEK)


TINY = {**SETTINGS_2, "size": "tiny", "samples": 0}


def test_stage_2_takes_own_text_where_nothing_is_named(chinese, told, tmp_path):
    made = stage2_lm.main(data=chinese, out=str(tmp_path / "lm"), **TINY)
    assert CHOSEN_UNSPACED in told
    assert "0.0 % of the tokens are unknown to the vocabulary of these texts" in told
    manifest = read_artifact(made.path).manifest
    assert manifest.recipe["pretrained"] == "none"
    assert manifest.recipe["tokenizer"] == manifest.tokenizer["kind"] == "subword"
    assert manifest.parent is None
    assert manifest.recipe["max_vocab"] == load_settings(LMSettings, "own-text", {}).max_vocab


def test_a_language_with_spaces_is_chosen_by_its_unknown_words(greek, told, tmp_path):
    stage2_lm.main(data=greek, out=str(tmp_path / "lm"), **TINY)
    assert CHOSEN in told


@pytest.mark.parametrize("named", [{"recipe": "demo"}, {"pretrained": "wiki-en-small"}])
def test_what_is_named_is_kept_with_a_warning(chinese, told, monkeypatch, named):
    def until_it_would_train(stage, options, target):
        stage.read()
        domain_lm.prepare(stage.frame, stage.pretrained.processor, stage.settings)

    monkeypatch.setattr("ulmfit.training.stage.run_stage", until_it_would_train)
    stage2_lm.main(data=chinese, **named)
    assert f"warning: 100.0 % of the tokens are unknown to wiki-en-small; {WAY_OUT}" in told
    assert CHOSEN_UNSPACED not in told


def test_texts_that_no_model_fits_go_through_all_stages(chinese, told, tmp_path, monkeypatch):
    monkeypatch.setattr("ulmfit.model.sizes.SIZES", {"small": (24, 24, 2), "base": (24, 24, 2)})
    named = __main__.main(data=chinese, recipe="own-text", out=str(tmp_path / "named"))
    assert CHOSEN_UNSPACED not in told
    alone = __main__.main(data=chinese, out=str(tmp_path / "alone"))
    assert told.count(CHOSEN_UNSPACED) == 1
    assert (alone["recipe"], named["recipe"]) == ("auto", "own-text")
    for name in ("lm-fwd", "lm-bwd"):
        ours, theirs = (read_artifact(tmp_path / out / name).manifest for out in ("named", "alone"))
        assert ours.recipe["pretrained"] == theirs.recipe["pretrained"] == "none"
        assert ours.tokenizer["kind"] == theirs.tokenizer["kind"] == "subword"
    __main__.main(data=chinese, out=str(tmp_path / "alone"))
    assert sum("finished already and kept" in line for line in told) == 10


def test_stage_3_says_what_the_language_model_does_not_know(chinese, told, tmp_path):
    lm = write_lm(tmp_path / "lm")
    stage3(chinese, lm, tmp_path / "clf", steps=[{"epochs": 1, "lr": 0.01}])
    assert (
        f"warning: 100.0 % of the tokens are unknown to {lm}; stage 2 knows more words with "
        f"--min-freq 1 or --vocab-of both; {WAY_OUT}"
    ) in told


def test_known_texts_are_told_of_without_a_warning(told, tmp_path):
    rows = [["a great film", "g", s] for s in ["train"] * 9 + ["valid", "test"]]
    rows += [["the worst story", "b", s] for s in ["train"] * 9 + ["valid", "test"]]
    data = write(tmp_path / "a.csv", rows)
    lm = stage2(data, write_lm(tmp_path / "wiki"), tmp_path / "lm", samples=0)
    stage3(data, lm.path, tmp_path / "clf")
    assert f"0.0 % of the tokens are unknown to {tmp_path / 'wiki'}" in told
    assert f"0.0 % of the tokens are unknown to {tmp_path / 'lm'}" in told
    assert not any(line.startswith("warning") for line in told)


def test_stage_1_cuts_sentences_without_spaces(chinese, told, tmp_path):
    made = stage1_pretrain.main(corpus=chinese, out=str(tmp_path / "lm"), **SETTINGS_1)
    assert UNSPACED in told
    manifest = read_artifact(made.path).manifest
    assert manifest.recipe["tokenizer"] == manifest.tokenizer["kind"] == "subword"


def test_stage_1_keeps_the_tokenizer_that_is_named(chinese, told, tmp_path):
    given = {**SETTINGS_1, "tokenizer": "word", "out": str(tmp_path / "lm")}
    stage1_pretrain.main(corpus=chinese, find_lr=True, **{**given, "batch_size": 2, "seq_len": 4})
    assert sum("--tokenizer subword cuts them" in line for line in told) == 1


def test_stage_1_keeps_words_for_other_texts(told, tmp_path):
    corpus = write_csv(tmp_path / "a.csv", ["text"], [[" ".join(GENERAL)]] * 40)
    made = stage1_pretrain.main(corpus=corpus, out=str(tmp_path / "lm"), **SETTINGS_1)
    assert read_artifact(made.path).manifest.recipe["tokenizer"] == "word"
    assert UNSPACED not in told


def test_a_model_has_its_own_tokenizer():
    with refuses(
        "found --tokenizer subword with the model wiki-en-small, which has one of its own; leave "
        "it out, or give --pretrained none"
    ):
        stage2_lm.main(data="imdb-sample", tokenizer="subword", out="x")


def test_ids_are_pieces_where_words_have_no_spaces(chinese, told, tmp_path):
    tokenize.main(data=chinese, out=str(tmp_path / "a.parquet"))
    assert UNSPACED in told
    stage2(str(tmp_path / "a.parquet"), "none", tmp_path / "lm", size="tiny", tokenizer="subword")
    assert read_artifact(tmp_path / "lm").manifest.tokenizer["kind"] == "subword"


def test_ids_of_words_are_no_ground_for_pieces(greek, tmp_path):
    ids = tmp_path / "a.parquet"
    tokenize.main(data=greek, out=str(ids))
    with refuses(
        f"{ids} holds ids of another tokenizer: found tokenizer word, expected subword; make it "
        "again with ulmfit tokenize --tokenizer-of a model or a file of ids"
    ):
        stage2(str(ids), "none", tmp_path / "lm", size="tiny", tokenizer="subword")


# The file of a bug report


@pytest.fixture
def case():
    if not CASE.is_file():
        pytest.skip(f"{CASE} is not here")
    return str(CASE)


def test_the_case_is_warned_of_before_training(case):
    warned = [line for line in look(data=case, rows=0)["warnings"] if "unknown" in line]
    assert warned == [
        "the texts have no spaces between words, and 100.0 % of the tokens are unknown to "
        "wiki-en-small: ulmfit train and ulmfit lm train on these texts alone, in subwords"
    ]


def test_the_case_is_noted_row_by_row(case, told, tmp_path):
    clf = write_classifier(tmp_path / "clf")
    out = predict.main(clf=[str(clf)], input=case, output=str(tmp_path / "out.csv"))
    assert told[-1] == (
        "notes on 200 of 200 rows: 200 with fewer than a fifth of the tokens known to the model, "
        "whose answers to them mean little"
    )
    assert out.read_text(encoding="utf-8").count(NONE_KNOWN) == 200


def test_the_case_is_learned_in_subwords(case, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lm = stage2_lm.main(data=case, out=str(tmp_path / "lm"), **TINY)
    assert CHOSEN_UNSPACED in told
    clf = stage3(case, lm.path, tmp_path / "clf")
    assert clf.metrics["valid"]["accuracy"] > 0.8
    predict.main(clf=[str(clf.path)], text="这部电影很好看")
    assert "note" not in told[-1]
