"""A number in place of a text is one text, whoever reads it: a training or a prediction."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ulmfit.data.formats import open_table, read_file
from ulmfit.data.formats_base import cells as cells_of
from ulmfit.data.formats_base import plain_text
from ulmfit.data.load import load_data


def write(path, cells):
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps({"text": cell}) + "\n" for cell in cells))
    else:
        pq.write_table(pa.table({"text": cells}), path)
    return path


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
@pytest.mark.parametrize(
    ("cells", "texts"),
    [
        ([7, None, 8], ["7", "", "8"]),
        ([7.0, None, 1e300], ["7.0", "", "1e+300"]),
        ([True, None, False], ["True", "", "False"]),
        ([2**53 + 1, None, -(2**63)], ["9007199254740993", "", "-9223372036854775808"]),
    ],
)
def test_a_number_is_one_text(tmp_path, ending, cells, texts):
    path = write(tmp_path / f"a{ending}", cells)
    (block,) = open_table(path).blocks()
    assert [plain_text(cell) for cell in cells_of(block[0])] == texts
    assert load_data(path, labels_required=False)["text"].tolist() == texts


def test_numbers_of_a_jsonl_file_keep_their_types(tmp_path):
    path = write(tmp_path / "a.jsonl", [7, 7.0, "7", True, None, 7.5])
    texts = ["7", "7.0", "7", "True", "", "7.5"]
    assert load_data(path, labels_required=False)["text"].tolist() == texts
    assert [type(cell) for cell in read_file(path)["text"]][:3] == [int, float, str]


def test_values_of_a_parquet_file_are_those_of_its_blocks(tmp_path):
    struct = pa.array([{"a": 7}, {"a": None}])
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"n": pa.array([7, None]), "s": struct, "x": [0.5, 7.0]}), path)
    frame = read_file(path)
    assert list(frame) == ["n", "s", "x"]
    assert [repr(cell) for cell in frame["n"]] == ["7", "None"]
    assert repr(frame["s"].tolist()) == "[{'a': 7}, {'a': None}]"
    assert frame["x"].tolist() == [0.5, 7.0]
