"""`predict` from and to an object store: a fake S3 of the package moto, whose server is a process.

moto needs other versions of libraries than the project, so it is not installed beside it:
`pip install 'moto[server]'` in an environment of its own, and its `bin` on the PATH.
"""

import json
import shutil
import socket
import subprocess
import time

import pyarrow.parquet as pq
import pytest
from tiny_models import write_classifier
from tiny_tables import assert_same, predicted, shards_of, write_parts

from ulmfit import predict

SERVER = shutil.which("moto_server")
pytestmark = pytest.mark.skipif(SERVER is None, reason="moto_server is not on the PATH")


@pytest.fixture
def store(monkeypatch):
    """Arrow's file system of the server, and the options of its URL.

    Opened late, a small object is sent in one request: this server fails at those in parts.
    """
    from pyarrow import fs

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"127.0.0.1:{port}"
    server = subprocess.Popen(
        [SERVER, "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        ends = time.monotonic() + 120
        while time.monotonic() < ends:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.1)
        options = (
            f"?endpoint_override={address}&scheme=http&region=us-east-1&allow_delayed_open=true"
        )
        found, _ = fs.FileSystem.from_uri(f"s3://bucket{options}&allow_bucket_creation=true")
        found.create_dir("bucket")
        yield found, options
    finally:
        server.terminate()
        server.wait(30)


def _names(store, folder):
    from pyarrow import fs

    return sorted(info.base_name for info in store.get_file_info(fs.FileSelector(folder)))


def test_from_and_to_s3(store, tmp_path):
    files, options = store
    clf, source = str(write_classifier(tmp_path / "fwd")), write_parts(tmp_path / "in", [23, 30])
    for file in source.iterdir():
        with files.open_output_stream(f"bucket/in/{file.name}") as out:
            out.write(file.read_bytes())
    more = {"clf": clf, "precision": "float32", "shard_rows": 10, "text_col": "text"}
    urls = {name: f"s3://bucket/{name}{options}" for name in ("in", "out")}
    predict.main(input=urls["in"], output=urls["out"], **more)
    names = [f"part-{i:06d}.parquet" for i in range(6)]
    assert _names(files, "bucket/out") == ["_manifest.json", *names]
    files.delete_file("bucket/out/part-000003.parquet")  # as if the run had been interrupted
    predict.main(input=urls["in"], output=urls["out"], **more)
    for name in names:
        pq.write_table(pq.read_table(f"bucket/out/{name}", filesystem=files), tmp_path / name)
    assert_same(shards_of(tmp_path), predicted(clf, source, tmp_path / "expected"), 1e-4)
    manifest = json.loads(files.open_input_stream("bucket/out/_manifest.json").read())
    assert manifest["finished"]
    assert "127.0.0.1" not in json.dumps(manifest)  # of the URL, its options may be secret
