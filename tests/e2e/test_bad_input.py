"""Bad input: one line that says what is wrong and what to do, exit status 1, nothing written."""

import json
import shutil
import sys
from dataclasses import fields

import pytest
from safetensors.torch import save_file
from tiny_models import write_classifier, write_lm
from tiny_stages import reviews, write_csv, write_general, write_reviews

from ulmfit import __main__, evaluate, generate, predict, stage1_pretrain, stage2_lm, stage3_clf
from ulmfit.artifacts.directory import read_artifact
from ulmfit.base.cli import run_command
from ulmfit.base.untrusted import file_sha256
from ulmfit.data import __main__ as data
from ulmfit.text import __main__ as text
from ulmfit.training import settings

HEADER = ["text", "label", "split"]
COPY = "copy or train the model again"
LM_WRITER = "ulmfit lm writes language models"
CLF_WRITER = "ulmfit train writes classifiers"


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """Good data and a good model of each kind."""
    folder = tmp_path_factory.mktemp("good")
    write_reviews(folder / "good.csv", n=60)
    write_general(folder / "general.csv")
    for name, backwards in (("fwd", False), ("bwd", True)):
        write_lm(folder / f"lm-{name}", backwards)
        write_classifier(folder / f"clf-{name}", backwards)
    return folder


@pytest.fixture
def here(good, tmp_path, monkeypatch):
    """A folder to work in, with a copy of what is good."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ULMFIT_CACHE", str(tmp_path / "cache"))
    shutil.copytree(good, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture
def fails(here, monkeypatch, capsys):
    """Runs a command that must fail with this line and change nothing on the disk."""

    def check(main, arguments, line):
        before = listing(here)
        monkeypatch.setattr(sys, "argv", ["command", *arguments.split()])
        with pytest.raises(SystemExit) as stop:
            run_command(main)
        out, err = capsys.readouterr()
        assert err == f"error: {line}\n", out
        assert stop.value.code == 1
        assert listing(here) == before

    return check


def listing(folder):
    """Every file with its content; the cache of tokens is nobody's result."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
        if path.relative_to(folder).parts[0] != "cache"
    }


# Arguments that are good but for what a test puts wrong.
STAGE_1 = "--corpus general.csv --out new --size tiny"
STAGE_2 = "--data good.csv --pretrained lm-fwd --out new"
STAGE_3 = "--data good.csv --lm lm-fwd --out new"
DATA_COMMANDS = {
    "stage 2": (stage2_lm.main, "--pretrained lm-fwd --out new --data {}"),
    "stage 3": (stage3_clf.main, "--lm lm-fwd --out new --data {}"),
    "evaluate": (evaluate.main, "--clf clf-fwd --data {}"),
    "pre-flight": (data.main, "--data {}"),
    "all": (__main__.main, "--out new --data {}"),
}


# --- data ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", DATA_COMMANDS)
def test_missing_file(fails, command):
    main, arguments = DATA_COMMANDS[command]
    fails(
        main,
        arguments.format("gone.csv"),
        "no file or folder gone.csv, and no data set of that name; names: imdb, "
        "imdb-sample, emotion, spanish-reviews",
    )


def test_missing_file_elsewhere(fails):
    fails(
        stage1_pretrain.main,
        "--corpus gone.csv --out new",
        "no file or folder gone.csv; --corpus takes a csv, tsv, jsonl, parquet or xlsx file, or a "
        "folder of .txt files",
    )
    fails(
        predict.main,
        "--clf clf-fwd --input gone.csv --output new.csv",
        "no file gone.csv; --input takes .csv, .tsv, .jsonl, .parquet, .xlsx",
    )


@pytest.mark.parametrize("command", DATA_COMMANDS)
def test_missing_column(fails, here, command):
    write_csv(here / "other.csv", ["review", "stars"], [["a film", 1], ["a play", 2]])
    main, arguments = DATA_COMMANDS[command]
    fails(
        main,
        arguments.format("other.csv"),
        "other.csv: found the columns review, stars; expected one named 'text': name the one "
        "that holds the text with --text-col, and the one of the labels, if there is one, with "
        "--label-col",
    )


def test_missing_label_column(fails, here):
    write_csv(here / "other.csv", ["review", "stars"], [["a film", 1], ["a play", 2]])
    fails(
        stage3_clf.main,
        "--data other.csv --text-col review --lm lm-fwd --out new",
        "other.csv: found the columns review, stars; expected one named 'label': name the one "
        "that holds the label with --label-col",
    )
    fails(
        stage3_clf.main,
        "--data good.csv --label-col stars --lm lm-fwd --out new",
        "good.csv: found the columns text, label, split; expected one named 'stars': name the "
        "one that holds the label with --label-col",
    )


def test_missing_column_elsewhere(fails):
    line = "{} has no column 'body'; it has {}: name the one with the texts with --text-col"
    fails(stage1_pretrain.main, f"{STAGE_1} --text-col body", line.format("general.csv", "text"))
    fails(
        predict.main,
        "--clf clf-fwd --input good.csv --output new.csv --text-col body",
        line.format("good.csv", "text, label, split"),
    )


@pytest.mark.parametrize("main", [stage3_clf.main, __main__.main])
def test_one_class(fails, here, main):
    write_csv(here / "one.csv", HEADER, [[t, "good", s] for t, _, s in reviews(60)])
    arguments = "--data one.csv --out new" + (" --lm lm-fwd" if main is stage3_clf.main else "")
    fails(
        main,
        arguments,
        "one.csv: found one class ('good') in train, expected two classes at least; check the "
        "column that holds the label (--label-col) and the one that holds the split (--split-col)",
    )


@pytest.mark.parametrize("main", [stage3_clf.main, __main__.main])
def test_numbers_to_predict(fails, here, main):
    rows = [[text, n / 8, split] for n, (text, _, split) in enumerate(reviews(60), 1)]
    write_csv(here / "prices.csv", HEADER, rows)
    arguments = "--data prices.csv --out new" + (" --lm lm-fwd" if main is stage3_clf.main else "")
    fails(
        main,
        arguments,
        "prices.csv: found 30 different labels in 30 train rows, such as '0.125', '0.25', '0.375': "
        "these look like numbers to predict, not classes; cut them into a few ranges with a name "
        "each, such as low and high",
    )


@pytest.mark.parametrize("main", [stage3_clf.main, __main__.main])
def test_missing_labels_in_train(fails, here, main):
    rows = reviews(60)
    rows[0][1] = rows[6][1] = ""
    write_csv(here / "some.csv", HEADER, rows)
    arguments = "--data some.csv --out new" + (" --lm lm-fwd" if main is stage3_clf.main else "")
    fails(
        main,
        arguments,
        "some.csv: found 2 of 30 train rows without a label (the first is row 1), expected none; "
        "label them, or set their split to unsup",
    )


@pytest.mark.parametrize("command", DATA_COMMANDS)
def test_unreadable_encoding(fails, here, command):
    (here / "latin.csv").write_bytes("text,label\na film,1\na café,2\n".encode("latin-1"))
    main, arguments = DATA_COMMANDS[command]
    fails(
        main,
        arguments.format("latin.csv"),
        "latin.csv, line 3: found the byte 0xe9, which is not UTF-8; pass --encoding cp1252 "
        "(Windows) if é stands there, or save the file as UTF-8",
    )


def test_unreadable_encoding_elsewhere(fails, here):
    (here / "latin.csv").write_bytes("text\na caf\xe9\n".encode("latin-1"))
    line = (
        "latin.csv, line 2: found the byte 0xe9, which is not UTF-8; pass --encoding cp1252 "
        "(Windows) if é stands there, or save the file as UTF-8"
    )
    fails(stage1_pretrain.main, "--corpus latin.csv --out new", line)
    fails(predict.main, "--clf clf-fwd --input latin.csv --output new.csv", line)


@pytest.mark.parametrize("command", DATA_COMMANDS)
@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("", "found no rows"),
        ("text,label\n", "found no rows"),
        ("text,label\n,1\n  ,2\n", "found 2 rows and no text in any of them"),
    ],
)
def test_empty_data(fails, here, command, content, found):
    (here / "empty.csv").write_text(content)
    main, arguments = DATA_COMMANDS[command]
    line = f"empty.csv: {found}, expected some with a text; check the path"
    fails(main, arguments.format("empty.csv"), line)


def test_empty_corpus(fails, here):
    (here / "empty.csv").write_text("text\n\n")
    fails(
        stage1_pretrain.main,
        "--corpus empty.csv --out new",
        "empty.csv holds no text in column 'text'; give a corpus with texts",
    )


def test_too_little_text(fails, here):
    fails(
        stage1_pretrain.main,
        STAGE_1,
        "found 80 documents, expected more than the 200 held out for validation; lower "
        "--valid-documents or give more text",
    )
    fails(
        stage1_pretrain.main,
        f"{STAGE_1} --valid-documents 79",
        "found 42 tokens to train on, expected more than the batch size of 64; give more text or "
        "a smaller --batch-size",
    )
    write_csv(here / "one.csv", ["text"], [["a film"]])
    fails(
        stage2_lm.main,
        "--data one.csv --pretrained lm-fwd --out new",
        "found 1 texts and none to train on; give more texts",
    )


# --- models -------------------------------------------------------------------------------------


def rewrite(folder, **changes):
    """Change the manifest as another program would: it is not hashed itself."""
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | changes))


def rehash(folder, name):
    """Make a changed file look as if it had always been so."""
    manifest = json.loads((folder / "manifest.json").read_text())
    rewrite(folder, files=manifest["files"] | {name: file_sha256(folder / name)})


LM_COMMANDS = {
    "stage 2": (stage2_lm.main, "--data good.csv --out new --pretrained {}"),
    "stage 3": (stage3_clf.main, "--data good.csv --out new --lm {}"),
    "generate": (generate.main, "--prompt A --lm {}"),
    "text": (text.main, "A --lm {}"),
}
CLF_COMMANDS = {
    "evaluate": (evaluate.main, "--data good.csv --clf {}"),
    "predict": (predict.main, "--text A --clf {}"),
    "predict a file": (predict.main, "--input good.csv --output new.csv --clf {}"),
}
MODEL_COMMANDS = {
    **{name: (*command, "lm-fwd") for name, command in LM_COMMANDS.items()},
    **{name: (*command, "clf-fwd") for name, command in CLF_COMMANDS.items()},
}


@pytest.mark.parametrize(
    ("command", "line"),
    [
        (
            "stage 2",
            "no language model gone: found neither a folder gone nor gone-fwd, and bundled are "
            "wiki; give --pretrained DIR, one of these names, wt103 or none",
        ),
        (
            "stage 3",
            "no language model in gone; write one with ulmfit lm, or name another with --lm DIR",
        ),
        ("generate", f"gone does not exist; {LM_WRITER}"),
        ("text", f"gone does not exist; {LM_WRITER}; {CLF_WRITER}"),
        ("evaluate", f"gone does not exist; {CLF_WRITER}"),
        ("predict", f"gone does not exist; {CLF_WRITER}"),
        ("predict a file", f"gone does not exist; {CLF_WRITER}"),
    ],
)
def test_missing_model(fails, monkeypatch, command, line):
    monkeypatch.setattr("ulmfit.artifacts.bundled.names", lambda kind: ["wiki"])
    main, arguments, _ = MODEL_COMMANDS[command]
    fails(main, arguments.format("gone"), line)


def test_missing_bundled_model_of_all_stages(fails, monkeypatch):
    monkeypatch.setattr("ulmfit.artifacts.bundled.names", lambda kind: [])
    fails(
        __main__.main,
        "--data good.csv --pretrained gone --out new",
        "no language model gone: found neither a folder gone nor gone-fwd, and bundled are none; "
        "give --pretrained DIR, one of these names, wt103 or none",
    )


def test_missing_model_named_by_default(fails):
    fails(
        stage3_clf.main,
        "--data good.csv --out new --backwards",
        "no language model in models/auto/lm-bwd; write one with ulmfit lm "
        "--backwards, or name another with --lm DIR",
    )


@pytest.mark.parametrize("name", ["manifest.json", "encoder.safetensors", "vocab.txt"])
@pytest.mark.parametrize("command", MODEL_COMMANDS)
def test_incomplete_model(fails, here, command, name):
    main, arguments, model = MODEL_COMMANDS[command]
    (here / model / name).unlink()
    line = f"{model} is incomplete: {name} is missing; {COPY}"
    fails(main, arguments.format(model), line)


@pytest.mark.parametrize("name", ["encoder.safetensors", "vocab.txt"])
@pytest.mark.parametrize("command", MODEL_COMMANDS)
def test_altered_model(fails, here, command, name):
    main, arguments, model = MODEL_COMMANDS[command]
    file = here / model / name
    file.write_bytes(file.read_bytes()[:-2] + b"x\n")
    fails(
        main,
        arguments.format(model),
        f"{model}/{name} was altered: its sha256 is not the one in manifest.json; {COPY}",
    )


@pytest.mark.parametrize("command", MODEL_COMMANDS)
def test_model_of_another_format_version(fails, here, command):
    main, arguments, model = MODEL_COMMANDS[command]
    line = f"{model}/manifest.json: format version {{}}, this program reads version 1; {{}}"
    rewrite(here / model, format_version=2)
    fails(main, arguments.format(model), line.format(2, "update ulmfit"))
    rewrite(here / model, format_version=0)
    fails(main, arguments.format(model), line.format(0, "train the model again"))


@pytest.mark.parametrize("command", ["stage 2", "generate"])
def test_classifier_where_an_lm_is_expected(fails, command):
    main, arguments = LM_COMMANDS[command]
    line = f"clf-fwd holds a classifier, a language model was expected; {LM_WRITER}"
    fails(main, arguments.format("clf-fwd"), line)


def test_stage_3_from_a_classifier_of_other_labels(fails):
    main, arguments = LM_COMMANDS["stage 3"]
    line = (
        "clf-fwd is a classifier of neg, pos with 10 hidden units, expected bad, good and 50; "
        "start from a language model, or give the same data and flags"
    )
    fails(main, arguments.format("clf-fwd"), line)


@pytest.mark.parametrize("command", CLF_COMMANDS)
def test_lm_where_a_classifier_is_expected(fails, command):
    main, arguments = CLF_COMMANDS[command]
    line = f"lm-fwd holds a language model, a classifier was expected; {CLF_WRITER}"
    fails(main, arguments.format("lm-fwd"), line)


@pytest.mark.parametrize("command", MODEL_COMMANDS)
def test_vocabulary_that_does_not_fit(fails, here, command):
    """Two words have changed places, and somebody has mended the hash."""
    main, arguments, model = MODEL_COMMANDS[command]
    expected = read_artifact(here / model).manifest.tokenizer["vocab_sha256"]
    file = here / model / "vocab.txt"
    lines = file.read_text().splitlines()
    lines[-1], lines[-2] = lines[-2], lines[-1]
    file.write_text("".join(f"{line}\n" for line in lines))
    rehash(here / model, "vocab.txt")
    fails(
        main,
        arguments.format(model),
        f"{model}: the text processor is not the one that the encoder was trained with: found "
        f"vocab_sha256 {file_sha256(file)}, manifest.json has {expected}; {COPY}",
    )


@pytest.mark.parametrize("command", MODEL_COMMANDS)
def test_tokenizer_that_does_not_fit(fails, here, command):
    main, arguments, model = MODEL_COMMANDS[command]
    file = here / model / "processor.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"lang": "es"}))
    rehash(here / model, "processor.json")
    fails(
        main,
        arguments.format(model),
        f"{model}: the text processor is not the one that the encoder was trained with: found "
        f"lang es, manifest.json has en; {COPY}",
    )


@pytest.mark.parametrize("command", MODEL_COMMANDS)
def test_damaged_text_processor(fails, here, command):
    main, arguments, model = MODEL_COMMANDS[command]
    (here / model / "processor.json").write_text('{"tokenizer": ')
    rehash(here / model, "processor.json")
    fails(
        main,
        arguments.format(model),
        f"{model}: processor.json is not valid JSON: Expecting value: line 1 column 15 (char 14)",
    )


SIZE_COMMANDS = [name for name in MODEL_COMMANDS if name != "text"]


@pytest.mark.parametrize("command", SIZE_COMMANDS)
def test_size_that_does_not_fit(fails, here, command):
    """The manifest says 16 hidden units, the weights have 32."""
    main, arguments, model = MODEL_COMMANDS[command]
    config = read_artifact(here / model).manifest.config.as_dict()
    rewrite(here / model, config=config | {"n_hid": 16})
    fails(
        main,
        arguments.format(model),
        f"{model}: weight rnn.0.weight_ih_l0 has shape (128, 24), expected (64, 24): size or "
        f"vocabulary differ; {COPY}",
    )


@pytest.mark.parametrize("command", SIZE_COMMANDS)
def test_size_that_is_none(fails, here, command):
    main, arguments, model = MODEL_COMMANDS[command]
    config = read_artifact(here / model).manifest.config.as_dict()
    rewrite(here / model, config={k: v for k, v in config.items() if k != "n_layers"})
    fails(
        main,
        arguments.format(model),
        f"{model}: found n_layers None in the manifest's config, expected a whole number above 0; "
        f"{COPY}",
    )


def test_weights_of_something_else(fails, here):
    file = here / "lm-fwd" / "encoder.safetensors"
    save_file({"embedding.weight": read_artifact(here / "lm-fwd").head()["decoder.bias"]}, file)
    rehash(here / "lm-fwd", "encoder.safetensors")
    names = [
        f"rnn.{i}.{name}"
        for i in (0, 1)
        for name in ("bias_hh_l0", "bias_ih_l0", "weight_hh_l0", "weight_ih_l0")
    ]
    fails(
        generate.main,
        "--lm lm-fwd",
        f"lm-fwd: the weights are not this model's: missing {names}, unknown []; {COPY}",
    )


@pytest.mark.parametrize(
    ("command", "model", "backwards", "line"),
    [
        (
            "stage 2",
            "lm-bwd",
            "",
            "lm-bwd is a backward language model, expected a forward one; add --backwards or "
            "give the other model",
        ),
        (
            "stage 2",
            "lm-fwd",
            " --backwards",
            "lm-fwd is a forward language model, expected a backward one; leave out --backwards "
            "or give the other model",
        ),
        (
            "stage 3",
            "lm-bwd",
            "",
            "lm-bwd is a backward language model, expected a forward one; add --backwards or "
            "name the other model with --lm",
        ),
        (
            "stage 3",
            "lm-fwd",
            " --backwards",
            "lm-fwd is a forward language model, expected a backward one; leave out --backwards "
            "or name the other model with --lm",
        ),
    ],
)
def test_direction_that_does_not_fit(fails, command, model, backwards, line):
    main, arguments = LM_COMMANDS[command]
    fails(main, arguments.format(model) + backwards, line)


@pytest.mark.parametrize("command", CLF_COMMANDS)
def test_models_that_do_not_belong_together(fails, here, command):
    main, arguments = CLF_COMMANDS[command]
    write_classifier(here / "stars", True, labels=("1", "5"))
    write_classifier(here / "elsewhere", True, data_fingerprint="d2")
    shutil.copytree(here / "clf-fwd", here / "copy")
    for other, found in (
        ("stars", "labels neg, pos against 1, 5"),
        ("elsewhere", "data d1 against d2"),
        ("copy", "they are the same model twice"),
    ):
        line = f"clf-fwd and {other} make no ensemble: {found}"
        fails(main, arguments.format(f"clf-fwd {other}"), line)


def test_labels_that_the_classifier_does_not_know(fails):
    fails(
        evaluate.main,
        "--clf clf-fwd --data good.csv",
        "good.csv has the label 'bad' in split test; the classifier knows neg, pos",
    )


def test_no_model_and_no_text(fails):
    line = "no model given; --clf DIR [DIR ...] names classifiers, as ulmfit train writes"
    fails(evaluate.main, "", line)
    line = "no model given; --lm DIR names a language model, as ulmfit lm writes it"
    fails(generate.main, "", line)
    line = "both --corpus PATH and --out DIR are needed; --help explains them"
    fails(stage1_pretrain.main, "", line)
    line = "give either --text TEXT or --input FILE with --output FILE"
    fails(predict.main, "--clf clf-fwd", line)
    fails(text.main, "", "no text given; put one or more texts in quotes after the command")


def test_damaged_metrics(fails, here):
    write_classifier(here / "clf", labels=("bad", "good"))
    (here / "clf" / "metrics.json").write_text("{")
    fails(
        evaluate.main,
        "--clf clf --data good.csv",
        f"clf/metrics.json is missing or damaged; {COPY}",
    )


# --- recipes and settings -----------------------------------------------------------------------

STAGES = {
    "stage 1": (stage1_pretrain.main, STAGE_1, "stage1_pretrain.toml"),
    "stage 2": (stage2_lm.main, STAGE_2, "stage2_lm.toml"),
    "stage 3": (stage3_clf.main, STAGE_3, "stage3_clf.toml"),
    "all": (__main__.main, "--data good.csv --out new", "stage2_lm.toml"),
}


@pytest.mark.parametrize("stage", STAGES)
def test_unknown_recipe(fails, monkeypatch, stage):
    main, arguments, file = STAGES[stage]
    monkeypatch.setattr(settings, "recipes", lambda kind: {"demo": {}, "imdb": {}})
    line = f"no recipe 'dmeo' in {file}; it has demo, imdb"
    fails(main, f"{arguments} --recipe dmeo", line)


@pytest.mark.parametrize("stage", STAGES)
def test_unknown_recipe_key(fails, monkeypatch, stage):
    main, arguments, file = STAGES[stage]
    table = {"batchsize": 3, "steps": [{"epochs": 1, "lr": 0.1}]}
    monkeypatch.setattr(settings, "recipes", lambda kind: {"demo": table})
    kind = next(k for k, name in settings.STAGE_FILES.items() if name == file)
    known = ", ".join(f.name for f in fields(kind))
    line = f"recipe [demo] of {file}: unknown key 'batchsize'; known are {known}"
    fails(main, f"{arguments} --recipe demo", line)


def test_recipe_that_stage_3_lacks_is_found_before_stage_2_trains(fails, monkeypatch):
    steps = {"steps": [{"epochs": 1, "lr": 0.1}]}
    tables = {settings.LMSettings: {"mine": steps}, settings.ClassifierSettings: {"demo": steps}}
    monkeypatch.setattr(settings, "recipes", tables.__getitem__)
    fails(
        __main__.main,
        "--recipe mine --data good.csv --out new",
        "no recipe 'mine' in stage3_clf.toml; it has demo",
    )


@pytest.mark.parametrize(
    ("stage", "flag", "line"),
    [
        ("stage 1", "--size huge", "size is 'huge', expected one of tiny, small, base"),
        ("stage 1", "--tokenizer bpe", "tokenizer is 'bpe', expected one of word, subword"),
        ("stage 2", "--batch-size 0", "batch_size is 0, expected 1 or more"),
        ("stage 2", "--lm-text test", "lm_text is 'test', expected one of train, all"),
        (
            "stage 3",
            "--precision half",
            "precision is 'half', expected one of auto, bfloat16, float32",
        ),
        ("all", "--seed -1", "seed is -1, expected 0 or more"),
    ],
)
def test_flag_out_of_range(fails, stage, flag, line):
    main, arguments, _ = STAGES[stage]
    fails(main, f"{arguments} {flag}", f"settings given: {line}")


@pytest.mark.parametrize("main", [evaluate.main, predict.main])
def test_unknown_precision(fails, main):
    rest = "--data good.csv" if main is evaluate.main else "--text A"
    fails(
        main,
        f"--clf clf-fwd --precision half {rest}",
        "precision is 'half', expected one of auto, bfloat16, float32",
    )


# --- output -------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["stage 1", "stage 2", "stage 3"])
def test_output_that_already_holds_a_model(fails, here, stage):
    main, arguments, _ = STAGES[stage]
    write_lm(here / "new")
    line = "new already holds a model; choose another --out or pass --overwrite"
    fails(main, arguments, line)


@pytest.mark.parametrize("stage", ["stage 1", "stage 2", "stage 3"])
@pytest.mark.parametrize("overwrite", ["", " --overwrite"])
def test_output_that_holds_something_else(fails, here, stage, overwrite):
    main, arguments, _ = STAGES[stage]
    (here / "new").mkdir()
    (here / "new" / "thesis.txt").write_text("mine")
    line = "new contains files that are not part of a model (thesis.txt); choose another --out"
    fails(main, arguments + overwrite, line)


def test_output_file_that_exists(fails):
    line = "good.csv is there already; choose another --output or pass --overwrite"
    fails(predict.main, "--clf clf-fwd --input good.csv --output good.csv", line)


def test_output_of_unknown_form(fails):
    line = "--output is new.xls, expected a file that ends in .csv, .tsv, .jsonl, .parquet"
    fails(predict.main, "--clf clf-fwd --input good.csv --output new.xls", line)


@pytest.mark.parametrize("stage", ["stage 1", "stage 2", "stage 3"])
def test_output_within_a_file(fails, here, stage):
    main, arguments, _ = STAGES[stage]
    arguments = arguments.replace("--out new", "--out good.csv/new")
    fails(main, arguments, f"cannot write good.csv/new: {here / 'good.csv'} is no directory")
