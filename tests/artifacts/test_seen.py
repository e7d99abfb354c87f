"""seen.bin: hashes of the texts of the training, found again whatever file the texts come from."""

import json

import numpy as np
import pandas as pd
import pytest
from tiny_models import refuses, write_classifier

from ulmfit import tokenize
from ulmfit.artifacts.directory import read_artifact
from ulmfit.artifacts.seen import parse_seen, seen_file, union, which_seen
from ulmfit.artifacts.weights import largest
from ulmfit.base.untrusted import file_sha256
from ulmfit.data.load import load_data
from ulmfit.verify import main as verify

TRAIN = ["A great film.", "dull", "", "The worst story"]
VALID = ["I laughed.", "DULL ", "  "]
FRAME = pd.DataFrame(
    {
        "text": [*TRAIN, *VALID, "never seen", "nor labelled"],
        "split": ["train"] * 4 + ["valid"] * 3 + ["test", "unsup"],
    }
)


@pytest.fixture
def folder(tmp_path):
    return write_classifier(tmp_path / "clf", seen=seen_file(FRAME))


def test_a_text_is_found_whatever_its_case_and_white_space(tmp_path):
    seen = parse_seen(seen_file(FRAME), tmp_path)
    asked = ["a  GREAT\nfilm.", "dull", "i laughed.", "never seen", "nor labelled", "", "great"]
    trained, validated = which_seen(asked, seen)
    assert trained.tolist() == [True, True, False, False, False, False, False]
    assert validated.tolist() == [False, False, True, False, False, False, False]


def test_the_file_is_sorted_and_has_each_text_once(tmp_path):
    content = seen_file(FRAME)
    assert len(content) == 8 * 4  # "dull" is one text, and an empty one is none
    found = np.frombuffer(content, "<u8")
    assert (np.diff(found >> 1) > 0).all()
    assert sorted((found & 1).tolist()) == [0, 1, 1, 1]
    assert seen_file(FRAME.iloc[::-1]) == content


def test_models_together_have_seen_what_each_has(tmp_path):
    other = FRAME.replace({"train": "valid", "valid": "train"})
    one, two = (parse_seen(seen_file(frame), tmp_path) for frame in (FRAME, other))
    both = union([one, two])
    trained, validated = which_seen(["dull", "I laughed.", "A great film.", "new"], both)
    assert trained.tolist() == [True, True, True, False]
    assert not validated.any()
    np.testing.assert_array_equal(parse_seen(both.tobytes(), tmp_path), both)


def test_no_text_at_all(tmp_path):
    assert seen_file(FRAME.iloc[2:3]) == b""
    empty = parse_seen(b"", tmp_path)
    for found in which_seen(["a", ""], empty):
        assert found.tolist() == [False, False]
    assert [part.tolist() for part in which_seen([], empty)] == [[], []]


def test_ids_are_found_as_the_texts_that_they_were_made_of(tmp_path):
    FRAME[FRAME["split"] != "unsup"].assign(label=["a", "b"] * 4).to_csv(
        tmp_path / "a.csv", index=False
    )
    tokenize.main(data=str(tmp_path / "a.csv"), out=str(tmp_path / "ids.parquet"))
    ids = load_data(tmp_path / "ids.parquet", texts_required=False, labels_required=False)
    assert not isinstance(ids["text"][0], str)
    assert seen_file(ids) == seen_file(FRAME)
    seen = parse_seen(seen_file(FRAME), tmp_path)
    trained, validated = which_seen(ids["text"].tolist(), seen)
    assert trained.sum() == 4  # "DULL " of valid is one of them
    assert validated.sum() == 1


# In a model directory


def test_the_manifest_has_its_hash(folder):
    artifact = read_artifact(folder)
    assert artifact.manifest.files["seen.bin"] == file_sha256(folder / "seen.bin")
    assert artifact.seen().tolist() == np.frombuffer(seen_file(FRAME), "<u8").tolist()


def test_a_model_without_it_is_whole(folder, tmp_path, capsys):
    (folder / "seen.bin").unlink()
    artifact = read_artifact(folder)
    assert artifact.seen() is None
    assert "seen.bin" in artifact.manifest.files
    assert verify(str(folder)) == [folder]
    assert f"{len(artifact.manifest.files) - 1} files" in capsys.readouterr().out
    assert read_artifact(write_classifier(tmp_path / "old")).seen() is None


def test_it_must_not_lie_elsewhere(folder, tmp_path):
    (folder / "seen.bin").unlink()
    (folder / "seen.bin").symlink_to(tmp_path / "nowhere")
    with refuses(f"{folder / 'seen.bin'} is a link that leads out of the model directory"):
        read_artifact(folder)


def put(folder, content):
    """Another seen.bin, and its hash in the manifest, as somebody with no good in mind would."""
    (folder / "seen.bin").write_bytes(content)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["seen.bin"] = file_sha256(folder / "seen.bin")
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("numbers", "found"),
    [
        ([4, 2], "its numbers are not sorted, or one stands there twice"),
        ([2, 2], "its numbers are not sorted, or one stands there twice"),
        ([2, 3], "its numbers are not sorted, or one stands there twice"),
        (b"1234567", "it has 7 bytes, expected 8 a text"),
    ],
)
def test_what_is_no_such_file(folder, numbers, found):
    put(folder, numbers if isinstance(numbers, bytes) else np.array(numbers, "<u8").tobytes())
    with refuses(f"{folder / 'seen.bin'} is damaged: {found}; copy or train the model again"):
        read_artifact(folder).seen()


def test_altered_or_too_large(folder):
    (folder / "seen.bin").write_bytes(bytes(8))
    with refuses(
        f"{folder / 'seen.bin'} was altered: its sha256 is not the one in manifest.json; copy or "
        "train the model again"
    ):
        read_artifact(folder)
    most = largest("seen.bin")
    with open(folder / "seen.bin", "wb") as file:
        file.truncate(most + 8)
    with refuses(
        f"{folder / 'seen.bin'} has {most + 8:,} bytes, expected {most:,} at most; copy or train "
        "the model again"
    ):
        read_artifact(folder)
