"""Text <-> tokens <-> ids as in fastai; a processor survives being saved; damage is named."""

import itertools
import json
import re
import sys
from collections import Counter

import numpy as np
import pytest
from fastai.text.data import Numericalize
from fastai.text.data import make_vocab as fastai_make_vocab
from sample_texts import TEXTS, random_texts

from ulmfit.artifacts.config import LMConfig
from ulmfit.artifacts.manifest import FORMAT_VERSION, Manifest
from ulmfit.artifacts.writing import write_artifact
from ulmfit.base.cli import run_command
from ulmfit.base.errors import UserError
from ulmfit.model.sizes import EncoderConfig
from ulmfit.text.__main__ import main
from ulmfit.text.processor import (
    PAD_ID,
    UNK_ID,
    TextProcessor,
    id_dtype,
    make_vocab,
    read_vocab,
    vocab_hash,
    write_vocab,
)
from ulmfit.text.rules import SPECIAL_TOKENS

SPECIAL = list(SPECIAL_TOKENS)


def refuses(line):
    return pytest.raises(UserError, match=f"^{re.escape(line)}$")


@pytest.fixture(scope="module")
def processor():
    return TextProcessor(min_freq=2).fit(TEXTS)


@pytest.fixture(scope="module")
def subword():
    return TextProcessor("subword", max_vocab=500).fit(TEXTS + random_texts(200))


def same(a, b):
    return [x.tolist() for x in a] == [x.tolist() for x in b]


# Vocabulary


@pytest.mark.parametrize("max_vocab", [9, 12, 40, 41, 60_000])
@pytest.mark.parametrize("min_freq", [1, 2, 3])
def test_vocab_is_fastais_without_its_fakes(max_vocab, min_freq):
    tokens = [token for text in TextProcessor().tokenize(TEXTS) for token in text]
    counts = Counter(tokens)
    theirs = fastai_make_vocab(counts, min_freq=min_freq, max_vocab=max_vocab)
    ours = make_vocab(counts, max_vocab, min_freq)
    assert ours == [token for token in theirs if token not in ("xxfake", "\x00")]
    assert ours[: len(SPECIAL)] == SPECIAL


def test_vocab_is_fastais_on_reviews(imdb_reviews):
    counts = Counter(t for text in TextProcessor().tokenize(imdb_reviews[:300]) for t in text)
    theirs = fastai_make_vocab(counts, min_freq=3, max_vocab=2000)
    assert make_vocab(counts, 2000, 3) == [token for token in theirs if token != "xxfake"]


def test_ids_are_fastais(processor):
    tokens = processor.tokenize(TEXTS)
    numericalize = Numericalize(min_freq=2)
    numericalize.setup(tokens)
    assert numericalize.vocab[: len(processor.vocab)] == processor.vocab
    assert same(processor.encode(TEXTS), map(numericalize.encodes, tokens))


def test_special_ids():
    assert (SPECIAL[UNK_ID], SPECIAL[PAD_ID]) == ("xxunk", "xxpad")
    assert (UNK_ID, PAD_ID) == (0, 1)


@pytest.mark.parametrize(("size", "bits"), [(9, 16), (60_000, 16), (65_536, 16), (65_537, 32)])
def test_id_dtype(size, bits):
    assert np.dtype(id_dtype(size)) == np.dtype(f"uint{bits}")
    assert np.iinfo(id_dtype(size)).max >= size - 1


def test_large_vocabulary_has_wide_ids():
    processor = TextProcessor().with_vocab([*SPECIAL, *map(str, range(70_000))])
    (ids,) = processor.encode(["69421"])
    assert ids.dtype == np.uint32
    assert processor.vocab[ids[-1]] == "69421"


def test_vocab_without_the_special_tokens():
    with refuses(
        "the vocabulary begins with ['xxunk', 'xxpad', 'the'], expected fastai's special tokens "
        "xxunk xxpad xxbos xxeos xxfld xxrep xxwrep xxup xxmaj"
    ):
        TextProcessor().with_vocab(["xxunk", "xxpad", "the", *SPECIAL[2:]])


def test_vocab_with_a_token_twice():
    with refuses("the vocabulary has 'film' twice; each token needs one id"):
        TextProcessor().with_vocab([*SPECIAL, "film", "the", "film", "the"])


def test_unknown_tokenizer():
    with refuses("unknown tokenizer 'bpe'; choose one of ('word', 'subword')"):
        TextProcessor("bpe")


# Encoding and decoding


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A GREAT film, no no no!!!", "a GREAT film , no no no !!!"),
        ("The film.<br />Great", "The film . \n Great"),
        ("the unheard film", "the xxunk film"),
        ("", ""),
    ],
)
def test_encode_and_decode(text, expected):
    fitted = TextProcessor(min_freq=1).fit(["a Great film , no ! 3 the .\nThe GREAT film 3 !!!"])
    (ids,) = fitted.encode([text])
    assert ids.dtype == np.uint16
    assert fitted.vocab[ids[0]] == "xxbos"
    assert fitted.decode(ids) == expected
    np.testing.assert_array_equal(fitted.ids(fitted.tokenize([text])[0]), ids)


def test_encoding_and_decoding_again_changes_nothing(processor, subword):
    for fitted in (processor, subword):
        decoded = [fitted.decode(ids) for ids in fitted.encode(["The QUIET film, very good :)"])]
        assert [fitted.decode(ids) for ids in fitted.encode(decoded)] == decoded


def test_decode_takes_any_integers(processor):
    ids = processor.encode(["The film."])[0]
    assert processor.decode(ids.tolist()) == processor.decode(iter(ids)) == "The film ."


def test_iterators_of_texts():
    fitted = TextProcessor(min_freq=1).fit(iter(["a b", "a c"]))
    assert fitted.vocab == [*SPECIAL, "a", "b", "c"]
    assert len(fitted.encode(iter(["a", "b"]))) == 2


def test_not_yet_fitted():
    with refuses("the text processor has no vocabulary yet; call fit(texts) first"):
        TextProcessor().encode(["a"])
    with refuses("the subword tokenizer is not trained yet; call fit(texts) first"):
        TextProcessor("subword").tokenize(["a"])


# Saving and loading


def test_word_processor_is_saved_and_loaded(processor, tmp_path):
    processor.save(tmp_path / "new" / "folder")
    names = sorted(path.name for path in (tmp_path / "new" / "folder").iterdir())
    assert names == ["processor.json", "vocab.txt"]
    loaded = TextProcessor.load(str(tmp_path / "new" / "folder"))
    assert same(loaded.encode(TEXTS), processor.encode(TEXTS))
    assert loaded.files() == processor.files()
    assert loaded.description() == processor.description()
    assert loaded.tokenizer_key() == processor.tokenizer_key()
    assert (loaded.max_vocab, loaded.min_freq) == (processor.max_vocab, processor.min_freq)


def test_subword_processor_is_saved_and_loaded(subword, tmp_path):
    subword.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["processor.json", "spm.model"]
    loaded = TextProcessor.load(tmp_path)
    assert same(loaded.encode(TEXTS), subword.encode(TEXTS))
    assert loaded.files() == subword.files()
    assert loaded.description() == subword.description()
    assert loaded.tokenizer_key() == subword.tokenizer_key() != TextProcessor().tokenizer_key()


def test_language_is_kept(tmp_path):
    TextProcessor(lang="es", min_freq=1).fit(["¡Qué película!"]).save(tmp_path)
    assert TextProcessor.load(tmp_path).lang == "es"


STRANGE = ["\n", "\n▁\n", "\\", "\\n", "\\\\n", "\r", "\r\n", "a\\", "é", "e\u0301", "😀", "👍🏽"]
STRANGE += ["\u2028", "\x85", "\x0b", "\x1c", "▁", "\t", "\udc80", "שלום", "\ufeff", ""]


def test_strange_tokens_survive(tmp_path):
    vocab = [*SPECIAL, *STRANGE]
    assert read_vocab(write_vocab(vocab)) == vocab
    assert write_vocab(vocab).count(b"\n") == len(vocab)
    TextProcessor().with_vocab(vocab).save(tmp_path)
    assert TextProcessor.load(tmp_path).vocab == vocab


@pytest.mark.parametrize("token", ["\x00", "\x1b[2J", "a\x08", "\x7f"])
def test_tokens_with_control_characters(token):
    with pytest.raises(UserError) as caught:
        TextProcessor().with_vocab([*SPECIAL, "a", token])
    assert str(caught.value) == (
        f"the vocabulary has the token {token!r}, expected none with control characters"
    )
    assert make_vocab(Counter(["a", token]), min_freq=1) == [*SPECIAL, "a"]


def test_every_string_of_backslashes_and_newlines_survives():
    strings = ["".join(four) for four in itertools.product("\\n\n\r", repeat=4)]
    assert read_vocab(write_vocab(strings)) == strings


def test_vocab_hash():
    assert vocab_hash(["a", "b"]) == vocab_hash(("a", "b"))
    assert len({vocab_hash(v) for v in (["a", "b"], ["b", "a"], ["a\nb"], ["ab"], ["a\\nb"])}) == 5


def test_no_processor_there(tmp_path):
    with refuses(f"no text processor in {tmp_path}: processor.json is missing there"):
        TextProcessor.load(tmp_path)


@pytest.mark.parametrize(("kind", "name"), [("word", "vocab.txt"), ("subword", "spm.model")])
def test_missing_file(processor, subword, tmp_path, kind, name):
    {"word": processor, "subword": subword}[kind].save(tmp_path)
    (tmp_path / name).unlink()
    with refuses(f"the text processor lacks '{name}'; copy the model again"):
        TextProcessor.load(tmp_path)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (b"", "processor.json is not valid JSON: Expecting value: line 1 column 1 (char 0)"),
        (b"\xff\xfe\xfa", "processor.json is not valid JSON: "),
        (b"null", "the text processor's files are damaged: "),
        (b"[]", "the text processor's files are damaged: "),
        (b'"text"', "the text processor's files are damaged: "),
        (b"5", "the text processor's files are damaged: "),
    ],
)
def test_damaged_settings(processor, settings, reason):
    with pytest.raises(UserError) as caught:
        TextProcessor.from_files(processor.files() | {"processor.json": settings})
    assert str(caught.value).startswith(reason)


def changed_settings(processor, **changes):
    settings = json.loads(processor.files()["processor.json"]) | changes
    return processor.files() | {"processor.json": json.dumps(settings).encode()}


def test_settings_of_another_version(processor):
    with refuses(
        "processor.json was written by another version of the text rules; train the model again"
    ):
        TextProcessor.from_files(changed_settings(processor, text_format=0))


def test_settings_with_unknown_names(processor):
    with pytest.raises(UserError, match=r"^the text processor's files are damaged: .*'colour'"):
        TextProcessor.from_files(changed_settings(processor, colour="red"))


@pytest.mark.parametrize(
    ("vocab", "line"),
    [
        (
            b"",
            "the vocabulary begins with [], expected fastai's special tokens "
            "xxunk xxpad xxbos xxeos xxfld xxrep xxwrep xxup xxmaj",
        ),
        (
            write_vocab([*SPECIAL, "film", "the"])[:-2],
            "the text processor's files are damaged: the vocabulary's last line is cut off",
        ),
        (
            write_vocab([*SPECIAL, "film", "film"]),
            "the vocabulary has 'film' twice; each token needs one id",
        ),
        (
            write_vocab(SPECIAL) + b"\xff\n",
            "the text processor's files are damaged: 'utf-8' codec can't decode byte 0xff in "
            "position 54: invalid start byte",
        ),
    ],
)
def test_damaged_vocab(processor, vocab, line):
    with refuses(line):
        TextProcessor.from_files(processor.files() | {"vocab.txt": vocab})


def test_damaged_pieces(subword):
    line = "spm.model is no SentencePiece model; train or copy it again"
    with refuses(line):
        TextProcessor.from_files(subword.files() | {"spm.model": b"damaged"})
    cut = subword.files()["spm.model"][:1000]
    with refuses(line):
        TextProcessor.from_files(subword.files() | {"spm.model": cut})


# The command


def test_command_prints_tokens(capsys):
    assert main("The END.<br />so no no no") == [
        ["xxbos", "xxmaj", "the", "xxup", "end", ".", "\n", "so", "xxwrep", "3", "no"]
    ]
    assert capsys.readouterr().out == "xxbos xxmaj the xxup end . \\n so xxwrep 3 no\n"


def test_command_prints_a_line_a_text(capsys):
    main("a", "b c")
    assert capsys.readouterr().out == "xxbos a\nxxbos b c\n"


def test_command_trains_pieces_on_the_text_itself(capsys):
    main("a film about films", tokenizer="subword")
    first, tokens = capsys.readouterr().out.splitlines()
    assert first == "(pieces trained on the text itself; --lm DIR shows those of a model)"
    assert "".join(tokens.split()) == "xxbos▁a▁film▁about▁films"


def test_command_shows_what_a_model_does_not_know(processor, tmp_path, capsys):
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        kind="lm",
        direction="forward",
        size="small",
        config=LMConfig(EncoderConfig(len(processor.vocab), 4, 6)),
        tokenizer=processor.description(),
        labels=[],
        recipe={},
        seed=1,
        metrics={},
        versions={},
        data_fingerprint="d",
        parent=None,
        files={},
    )
    write_artifact(
        tmp_path / "lm",
        manifest=manifest,
        encoder={},
        head={},
        processor_files=processor.files(),
        history=[],
        card="",
    )
    main("A quiet zyzzyva film", lm=str(tmp_path / "lm"))
    assert capsys.readouterr().out == "xxbos a quiet[xxunk] zyzzyva[xxunk] film\n"


def test_command_without_a_text():
    with refuses("no text given; put one or more texts in quotes after the command"):
        main()


def test_command_line(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["text", "¡Hola AMIGOS!", "--lang", "es"])
    run_command(main)
    assert capsys.readouterr().out == "xxbos ¡ hola xxup amigos !\n"
    monkeypatch.setattr(sys, "argv", ["text", "a", "--tokenizer", "bpe"])
    with pytest.raises(SystemExit, match="1"):
        run_command(main)
    assert capsys.readouterr().err == (
        "error: unknown tokenizer 'bpe'; choose one of ('word', 'subword')\n"
    )
