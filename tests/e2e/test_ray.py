"""`predict` and `tokenize` with --engine ray, BatchPredictor in Ray Data: a worker is killed.

What starts Ray is slow: beside other tests on two cores, it may miss Ray's own limit of 15 seconds.
"""

import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tiny_models import refuses, write_classifier
from tiny_tables import assert_same, predicted, rows, shards_of, write_parts

from ulmfit import predict, tokenize
from ulmfit.bulk import on_ray

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed")
needs_proc = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="finds the worker in /proc"
)
PROJECT = Path(__file__).parents[2]
LONGEST = 500  # seconds that a busy machine may take


@pytest.fixture(scope="module")
def clf(tmp_path_factory):
    return str(write_classifier(tmp_path_factory.mktemp("models") / "fwd"))


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return write_parts(tmp_path_factory.mktemp("data") / "in", [40, 40, 40])


def _start(*command, **environment):
    return subprocess.Popen(
        [sys.executable, *map(str, command)],
        cwd=PROJECT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _workers(ancestor):
    """Processes below `ancestor` that Ray's actors of ours are, and that are at work."""
    parents, found = {}, []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            stat, line = (entry / "stat").read_text(), (entry / "cmdline").read_text()
        except OSError:  # it has ended meanwhile
            continue
        parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
        if line.startswith("ray::_Worker.run"):
            found.append(int(entry.name))
    return [pid for pid in found if _is_below(pid, ancestor, parents)]


def _is_below(pid, ancestor, parents):
    while pid in parents and pid != ancestor:
        pid = parents[pid]
    return pid == ancestor


@needs_ray
@pytest.mark.slow
@needs_proc
def test_a_killed_worker_loses_and_doubles_nothing(clf, source, tmp_path):
    out = tmp_path / "out"
    flags = ["--precision", "float32", "--engine", "ray", "--workers", 2, "--shard-rows", 10]
    run = _start(
        *["-m", "ulmfit.predict", "--clf", clf, "--input", source, "--output", out, *flags]
    )
    assert "a worker has died; another one takes rows " in _said(run)
    assert_same(shards_of(out), predicted(clf, source, tmp_path / "expected"), 1e-4)
    assert len(list(out.iterdir())) == 13  # 12 shards and the manifest


def _said(run):
    """What a command prints, one of whose workers is killed."""
    ends = time.monotonic() + LONGEST
    while run.poll() is None and not (found := _workers(run.pid)) and time.monotonic() < ends:
        time.sleep(0.05)
    if run.poll() is None:
        os.kill(found[0], signal.SIGKILL)
    said = run.communicate(timeout=LONGEST)[0]
    assert run.returncode == 0, said
    return said


@needs_ray
@pytest.mark.slow
@needs_proc
def test_tokens_with_a_killed_worker(tmp_path, monkeypatch):
    data, ours, alone = (tmp_path / name for name in ("t.parquet", "ray.parquet", "one.parquet"))
    pq.write_table(rows(20_000), data)
    flags = ["--engine", "ray", "--workers", 2]
    command = ["-m", "ulmfit.tokenize", "--data", data, "--out", ours, *flags]
    run = _start(*command, ULMFIT_CACHE=str(tmp_path / "cache-ray"))
    assert "a worker has died; another one takes texts " in _said(run)
    monkeypatch.setenv("ULMFIT_CACHE", str(tmp_path / "cache"))
    tokenize.main(data=str(data), out=str(alone))
    assert ours.read_bytes() == alone.read_bytes()


@needs_ray
@pytest.mark.slow
def test_map_batches(clf, source, tmp_path):
    """The example of docs/scale.md, on small files."""
    script = tmp_path / "example.py"
    script.write_text(_example("ray.data").replace('"imdb-small"', repr(clf)))
    (tmp_path / "reviews").symlink_to(source)
    done = subprocess.run(
        [sys.executable, script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=LONGEST,
        env={**os.environ, "PYTHONPATH": str(PROJECT), "ULMFIT_PRECISION": "float32"},
    )
    assert done.returncode == 0, done.stderr
    found = pq.read_table(tmp_path / "scored").sort_by("id")
    expected = predicted(clf, source, tmp_path / "expected")
    assert_same(found.select(expected.column_names), expected, 1e-4)


def _example(word):
    """The block of Python in docs/scale.md that has `word`."""
    page = (PROJECT / "docs" / "scale.md").read_text()
    blocks = [block.partition("```")[0] for block in page.split("```python\n")[1:]]
    (found,) = [block for block in blocks if word in block]
    return found


def test_without_ray(monkeypatch, clf, source, tmp_path):
    monkeypatch.setattr(on_ray, "find_spec", lambda name: None)
    with refuses(
        "--engine ray needs ray, which was not found; pip install 'ulmfit[ray]' installs it"
    ):
        predict.main(clf=clf, input=str(source), output=str(tmp_path / "out"), engine="ray")


@needs_ray
@pytest.mark.parametrize(
    ("address", "line"),
    [
        (
            "127.0.0.1:9",
            "no Ray cluster answers at --address 127.0.0.1:9 (Connection refused); start one with "
            "ray start --head, or leave --address out to compute on this machine",
        ),
        (
            "ray://nonsense",
            "--address is ray://nonsense, expected auto, HOST:PORT or ray://HOST:PORT of a cluster",
        ),
    ],
)
def test_addresses(clf, source, tmp_path, address, line):
    out = tmp_path / "out"
    with refuses(line):
        predict.main(clf=clf, input=str(source), output=str(out), engine="ray", address=address)
    assert not out.exists()
