"""The example for Dask in docs/scale.md, in one process."""

from importlib.util import find_spec
from pathlib import Path

import pytest
from tiny_models import write_classifier
from tiny_tables import assert_same, predicted, shards_of, write_parts

PAGE = Path(__file__).parents[2] / "docs" / "scale.md"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Dask's use of pandas
@pytest.mark.skipif(find_spec("dask") is None, reason="dask is not installed")
def test_map_partitions(tmp_path, monkeypatch):
    clf = str(write_classifier(tmp_path / "fwd"))
    source = write_parts(tmp_path / "reviews", [12, 9])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ULMFIT_PRECISION", "float32")
    blocks = [block.partition("```")[0] for block in PAGE.read_text().split("```python\n")[1:]]
    (example,) = [block for block in blocks if "dask.dataframe" in block]
    here = example.replace('scheduler="processes", num_workers=2', 'scheduler="synchronous"')
    assert here != example
    exec(here.replace('"imdb-small"', repr(clf)), {"__name__": "__main__"})
    for file in (tmp_path / "scored").glob("part.*.parquet"):  # by the number of the partition
        file.rename(file.with_name(f"part-{file.name.split('.')[1]}.parquet"))
    expected = predicted(clf, source, tmp_path / "expected")
    assert_same(shards_of(tmp_path / "scored").cast(expected.schema), expected, 1e-4)
