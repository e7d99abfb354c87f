"""The server: the JSON API, the page, uploads, limits, batches, and the command."""

import asyncio
import csv
import errno
import gzip
import io
import json
import os
import re
import signal
import socket
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from starlette.testclient import TestClient
from tiny_models import TEXTS, refuses, write_classifier
from tiny_server import answer_of, ask, classifiers, serving

from ulmfit.inference.ensemble import Classifier
from ulmfit.inference.mixture import Mixture
from ulmfit.inference.scoring import EMPTY, Answers
from ulmfit.serve import app as app_module
from ulmfit.serve.__main__ import main
from ulmfit.serve.app import make_app
from ulmfit.serve.batching import Batcher
from ulmfit.serve.limits import Limits

LIMITS = Limits(body_bytes=100_000, texts=20, characters=5_000, explained=200)
SCRIPT = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return classifiers(tmp_path_factory.mktemp("serve"))


@pytest.fixture(scope="module")
def classifier(folders):
    return Classifier.load(*folders, precision="float32")


@pytest.fixture(scope="module")
def client(classifier):
    with TestClient(make_app(classifier, LIMITS), raise_server_exceptions=False) as client:
        yield client


def error_of(response):
    """The one line of an error."""
    assert response.headers["content-type"] == "application/json"
    assert set(response.json()) == {"error"}
    return response.json()["error"]


# The API


def test_one_text(client, classifier):
    expected = classifier.predict(["A great film"]).iloc[0]
    found = client.post("/predict", json={"text": "A great film"})
    assert found.status_code == 200
    answer = found.json()
    assert answer["label"] == expected["label"]
    assert answer["probability"] == pytest.approx(expected["probability"], abs=1e-6)
    assert answer["probabilities"] == pytest.approx(dict(expected[["neg", "pos"]]), abs=1e-6)
    assert set(answer) == {"label", "probability", "probabilities"}


def test_several_texts_come_back_in_order(client, classifier):
    expected = classifier.predict([*TEXTS, None])
    answer = client.post("/predict", json={"texts": [*TEXTS, None]}).json()
    assert set(answer) == {"predictions"}
    found = pd.DataFrame(answer["predictions"])
    assert found["label"].tolist() == expected["label"].tolist()
    np.testing.assert_allclose(found["probability"], expected["probability"], atol=1e-6)
    assert [p.get("note") for p in answer["predictions"]] == [
        None if text and text.strip() else EMPTY for text in [*TEXTS, None]
    ]
    assert client.post("/predict", json={"texts": []}).json() == {"predictions": []}


NOTHING_KNOWN = "no token is known to this model; its answer means little"


def test_a_note_says_that_nothing_is_known(client):
    asked = ["这部电影很好看", "a great film", "\u200b", "Ήταν μια καλή ταινία great"]
    found = client.post("/predict", json={"texts": asked}).json()["predictions"]
    assert [one.get("note") for one in found] == [
        NOTHING_KNOWN,
        None,
        EMPTY,
        None,
    ]
    page = client.post("/", data={"text": asked[0]}).text
    assert NOTHING_KNOWN.capitalize() in page
    assert "means little" not in client.post("/", data={"text": asked[1]}).text


def test_odd_texts(client):
    texts = ["\ud800", "\x00", "א" * 3000, "😀" * 500, SCRIPT, "a\r\nb", "\u200b"]
    body = json.dumps({"texts": texts})
    found = client.post("/predict", content=body, headers={"content-type": "application/json"})
    assert found.status_code == 200
    assert len(found.json()["predictions"]) == len(texts)


FORM = 'expected {"text": "..."} or {"texts": ["...", ...]}'


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("{", f"the request is not valid JSON; {FORM}"),
        ("", f"the request is not valid JSON; {FORM}"),
        (b"\xff\xfe{", f"the request is not valid JSON; {FORM}"),
        ("[" * 50_000, f"the request is not valid JSON; {FORM}"),
        ("[]", f"found a list; {FORM}"),
        ("{}", f"found an empty object; {FORM}"),
        ('"text"', f"found a string; {FORM}"),
        ("null", f"found null; {FORM}"),
        ('{"body": "a"}', f'found an object with "body"; {FORM}'),
        ('{"text": "a", "texts": []}', f'found an object with "text", "texts"; {FORM}'),
        ('{"text": 1}', f'"text" is a number, expected a string; {FORM}'),
        ('{"texts": "a"}', f'"texts" is a string; {FORM}'),
        ('{"texts": ["a", true]}', f"text 2 is true or false, expected a string; {FORM}"),
        ('{"texts": [["a"]]}', f"text 1 is a list, expected a string; {FORM}"),
    ],
)
def test_bad_requests_get_one_line(client, body, line):
    found = client.post("/predict", content=body, headers={"content-type": "application/json"})
    assert (found.status_code, error_of(found)) == (400, line)


def test_requests_have_limits(client):
    found = client.post("/predict", json={"texts": ["a"] * 21})
    assert found.status_code == 413
    assert error_of(found) == "found 21 texts, expected at most 20; send several requests"
    found = client.post("/predict", json={"texts": ["a", "b" * 5_001]})
    assert found.status_code == 400
    assert error_of(found) == (
        "text 2 has 5,001 characters, expected at most 5,000; cut it, or start the server with a "
        "higher --max-chars"
    )
    found = client.post("/predict", json={"text": "b" * 100_001})
    assert found.status_code == 413
    assert error_of(found) == (
        "found a request of more than 100,000 bytes, the most that is taken here"
    )


def test_other_content_types_are_refused(client):
    found = client.post("/predict", content='{"text": "a"}', headers={"content-type": "text/plain"})
    assert found.status_code == 415
    assert error_of(found) == "found the content type 'text/plain', expected application/json"


def test_other_paths_and_methods_are_refused(client):
    assert client.get("/nothing").status_code == 404
    assert error_of(client.get("/nothing")).startswith("nothing here; this server has GET /")
    found = client.get("/predict")
    assert found.status_code == 405
    assert found.headers["allow"] == "POST"
    assert error_of(found).startswith("not with this method; this server has")


def test_health_and_model(client, folders):
    assert client.get("/health").json() == {"status": "ok", "waiting": 0}
    found = client.get("/model").json()
    assert found["labels"] == ["neg", "pos"]
    assert [m["direction"] for m in found["models"]] == ["forward", "backward"]
    assert [m["name"] for m in found["models"]] == ["clf-fwd", "clf-bwd"]
    limits = {"body_bytes": 100_000, "texts": 20, "characters": 5_000, "rows": 100_000}
    assert found["limits"] == limits
    assert folders[0] not in json.dumps(found)  # where models lie is nobody's business


A_FILE = {"file": ("a.csv", "text,label\nA great film.,pos\ndull,neg\n")}


def test_the_description_describes_what_is_there(client):
    found = client.get("/openapi.json").json()
    assert {"/predict", "/score", "/files", "/files/{key}"} < set(found["paths"])
    for path, methods in found["paths"].items():
        for method in {*methods} - {"parameters"}:
            answers, address = methods[method]["responses"], path
            if "{key}" in path:
                sent = client.post("/files", files=A_FILE, follow_redirects=False)
                address = path.replace("/files/{key}", sent.headers["location"])
                client.get(sent.headers["location"])  # until it is scored
            given = {"json": {"text": "a"}} if path == "/predict" else {"files": A_FILE}
            given = {"data": {"delete": "yes"}} if "{key}" in path else given
            given = {} if method == "get" else given
            answer = client.request(method, address, **given, follow_redirects=False)
            good = answers.get(str(answer.status_code), {})
            assert answer.status_code in (200, 303), (method, path, answer.text)
            kind = answer.headers.get("content-type", "").partition(";")[0]
            assert {kind} - {""} == set(good.get("content", {})), (method, path)
            assert "Location" in good.get("headers", {"Location": ""})
    names = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(found)))
    assert names == set(found["components"]["schemas"])


def test_a_fault_of_the_server_is_no_page_of_python(client, monkeypatch):
    monkeypatch.setattr(app_module.api, "predictions_of", lambda *args: 1 / 0)
    found = client.post("/predict", json={"text": "a"})
    assert found.status_code == 500
    assert error_of(found) == "the server failed on this request; its log says why"


# The page


def test_the_page(client):
    found = client.get("/")
    assert found.status_code == 200
    assert "Classes: neg, pos. 2 models, averaged, trained on imdb-sample." in found.text
    assert "http" not in found.text.replace('http-equiv="', "")  # nothing from elsewhere
    assert "default-src 'none'" in found.headers["content-security-policy"]


def test_a_text_on_the_page(client, classifier):
    expected = classifier.predict(["A great\nfilm"]).iloc[0]
    found = client.post("/", data={"text": "A great\r\nfilm"})
    assert found.status_code == 200
    assert f'<p class="label">{expected["label"]}</p>' in found.text
    assert f"{100 * expected['probability']:.1f} %" in found.text
    assert "Forward (clf-fwd)" in found.text
    assert "Backward (clf-bwd)" in found.text
    assert re.search(r'<span style="[^"]*" title="[+-]0\.\d+">\w+</span>', found.text)
    assert "\nA great\nfilm</textarea>" in found.text


def test_html_in_a_text_is_text(client):
    for text in (SCRIPT, f"</textarea>{SCRIPT}", f'" onclick="x{SCRIPT}'):
        found = client.post("/", data={"text": text})
        assert found.status_code == 200
        assert "<script" not in found.text
        assert "&lt;" in found.text


def test_odd_texts_on_the_page(client):
    assert EMPTY.capitalize() in client.post("/", data={"text": " \n"}).text
    assert client.post("/", data={}).status_code == 200
    long = client.post("/", data={"text": "good " * 100})
    assert "Words are highlighted in texts of up to 200 characters." in long.text
    found = client.post(
        "/",
        content=b"text=%FF%ED%A0%80%00",
        headers={"content-type": "application/x-www-form-urlencoded"},
    )
    assert found.status_code == 200
    found = client.post("/", data={"text": "a" * 5_001})
    assert found.status_code == 400
    assert '<p class="error" role="alert">the text has 5,001 characters' in found.text


def test_one_model_has_no_parts(folders):
    app = make_app(Classifier.load(folders[0], precision="float32"))
    with TestClient(app) as client:
        found = client.post("/", data={"text": "A great film"}).text
    assert "Forward (" not in found
    assert "One model, trained on imdb-sample." in found


# Files


def upload(client, content, name="some reviews.csv", **data):
    return client.post("/score", files={"file": (name, content)}, data=data)


def test_a_file_comes_back_scored(client, classifier):
    rows = [{"n": str(i), "text": text} for i, text in enumerate(TEXTS * 30)]
    written = io.StringIO()
    writer = csv.DictWriter(written, ["n", "text"])
    writer.writeheader()
    writer.writerows(rows)
    found = upload(client, written.getvalue())
    assert found.status_code == 200
    assert found.headers["content-type"] == "text/csv; charset=utf-8"
    assert 'filename="some_reviews-scored.csv"' in found.headers["content-disposition"]
    scored = list(csv.DictReader(io.StringIO(found.text)))
    assert [row["text"] for row in scored] == [row["text"] for row in rows]
    assert [row["n"] for row in scored] == [row["n"] for row in rows]
    expected = classifier.predict([row["text"] for row in rows])
    assert [row["label"] for row in scored] == expected["label"].tolist()
    np.testing.assert_allclose([float(row["pos"]) for row in scored], expected["pos"], atol=1e-4)


def test_how_a_file_was_read_is_said_in_its_first_row(client, told):
    found = upload(client, "id;text\n1;good, very good\n2;bad\n", "a.csv")
    rows = list(csv.DictReader(io.StringIO(found.text)))
    assert [row["text"] for row in rows] == ["good, very good", "bad"]
    assert rows[0]["note"] == (
        "a.csv: the fields are separated by ';', as the header 'id;text' says; --sep names another"
    )
    assert rows[1]["note"] == ""
    assert not any("id;text" in line for line in told)  # the log keeps nothing of a user's file


def test_other_kinds_of_files(client):
    found = upload(client, '{"body": "A great film"}\n', "a.JSONL", text_col="body")
    assert found.text.splitlines()[0] == "body,label,probability,neg,pos,note"
    assert len(found.text.splitlines()) == 2


def test_packed_files(client):
    found = upload(client, gzip.compress(b"text\nA great film\n", mtime=0), "a.csv.gz")
    assert found.text.splitlines()[0] == "text,label,probability,neg,pos,note"
    assert 'filename="a-scored.csv"' in found.headers["content-disposition"]
    found = upload(client, gzip.compress(b"n;text\n1;A great film\n", mtime=0), "a.csv.gz")
    (row,) = csv.DictReader(io.StringIO(found.text))
    assert row["text"] == "A great film"
    assert row["note"].startswith("a.csv.gz: the fields are separated by ';', as the header")
    found = upload(
        client, gzip.compress(b'{"body": "A great film"}\n', mtime=0), "a.jsonl.gz", text_col="body"
    )
    assert found.text.splitlines()[0] == "body,label,probability,neg,pos,note"


def test_a_sheet(client, tmp_path):
    pd.DataFrame({"text": ["A great film", "dull"], "n": [7, 8]}).to_excel(
        tmp_path / "a.xlsx", index=False
    )
    found = upload(client, (tmp_path / "a.xlsx").read_bytes(), "a.xlsx")
    assert [line.split(",")[:2] for line in found.text.splitlines()] == [
        ["text", "n"],
        ["A great film", "7"],
        ["dull", "8"],
    ]


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("a.csv.gz", "text\nx\n", "a.csv.gz: found a damaged .gz file (Not a gzipped file"),
        ("a.csv.gz", gzip.compress(b"body\nx\n", mtime=0), "has no column 'text'; it has body"),
        ("a.xls", "", "a.xls: found the extension '.xls' (a sheet of an old Excel), expected one"),
        ("a.csv", "body\nx\n", "a.csv has no column 'text'; it has body"),
        ("a.exe", "text\nx\n", "a.exe: found the extension '.exe', expected one of"),
        ("../../a.csv", "body\nx\n", "a.csv has no column"),
        ("..\\b.csv", "body\nx\n", "b.csv has no column"),
        (f"{SCRIPT}.csv", "body\nx\n", "script&gt;.csv has no column"),
        ("a.csv", "text\n" + "b" * 5_001, "the text of row 1 has 5,001 characters, expected"),
        ("a.csv", b"text\n\xff\n", "a.csv"),
        ("a.parquet", b"PAR1", "a.parquet"),
    ],
)
def test_bad_files_get_one_line(client, name, content, line):
    found = upload(client, content, name)
    assert found.status_code == 400
    error = re.search(r'<p class="error" role="alert">(.*?)</p>', found.text, re.DOTALL)[1]
    assert line in error
    assert "/" not in error.replace("&lt;/script", "")
    assert "<script" not in found.text


def test_a_parquet_file_comes_back_scored(client, classifier):
    content = io.BytesIO()
    pd.DataFrame({"text": TEXTS}).to_parquet(content)
    found = upload(client, content.getvalue(), "a.parquet")
    assert found.status_code == 200
    scored = pd.read_csv(io.BytesIO(found.content))
    assert scored["label"].tolist() == classifier.predict(TEXTS)["label"].tolist()


@pytest.mark.parametrize(("cell", "found"), [(["a", "b"], "list"), (b"a", "bytes")])
def test_cells_that_are_no_text(client, cell, found):
    content = io.BytesIO()
    pd.DataFrame({"text": [None, cell]}).to_parquet(content)
    answer = upload(client, content.getvalue(), "a.parquet")
    assert answer.status_code == 400
    error = re.search(r'<p class="error" role="alert">(.*?)</p>', answer.text, re.DOTALL)[1]
    assert f"a.parquet, row 2: found a {found} in the column" in error


def test_no_file(client):
    for found in (client.post("/score", data={"text_col": "a"}), upload(client, b"", name="")):
        assert found.status_code == 400
        assert "no file chosen; choose a csv" in found.text


def test_nothing_of_a_file_is_kept(client, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert upload(client, "text\ngood\n").status_code == 200
    assert upload(client, "body\ngood\n").status_code == 400
    assert list(tmp_path.iterdir()) == []


# Batches


class Slow:
    """A classifier of text lengths that notes its batches, and ends one when `go` is set."""

    labels = ("a", "b")
    mixture = Mixture()

    def __init__(self):
        self.models, self.batches, self.threads = [None], [], set()
        self.go = threading.Event()
        self.go.set()

    def answers(self, texts, tell):
        if "bad" in texts:
            raise ValueError("bad")
        self.batches.append(len(texts))
        self.threads.add(threading.current_thread().name)
        self.go.wait(60)
        found = np.array([[[len(text), 0] for text in texts]], np.float32)
        return Answers(found, [f"note {text}" for text in texts])


def batched(classifier, work, **sizes):
    async def run():
        batcher = Batcher(classifier, **sizes)
        batcher.start()
        try:
            return await work(batcher)
        finally:
            await batcher.stop()

    return asyncio.run(run())


def test_what_arrives_meanwhile_is_one_batch():
    slow = Slow()

    async def work(batcher):
        requests = [asyncio.create_task(batcher.answers(["x" * n])) for n in range(30)]
        return await asyncio.gather(*requests)

    found = batched(slow, work, most_texts=10)
    assert [one.by_model[0, 0, 0] for one in found] == list(range(30))
    assert [one.notes for one in found] == [["note " + "x" * n] for n in range(30)]
    assert slow.batches == [10, 10, 10]
    assert len(slow.threads) == 1


def test_batches_have_a_size():
    slow = Slow()
    texts = ["x" * n for n in (5, 5, 50, 3, 3, 3, 3)]
    found = batched(slow, lambda b: b.answers(texts), most_characters=10)
    assert found.by_model.shape == (1, 7, 2)
    assert found.by_model[0, :, 0].tolist() == [len(text) for text in texts]
    assert slow.batches == [2, 1, 3, 1]


def test_an_error_reaches_those_who_wait_and_work_goes_on():
    async def work(batcher):
        with pytest.raises(ValueError, match="bad"):
            await batcher.answers(["bad"])
        return await batcher.answers(["good"])

    assert batched(Slow(), work).by_model[0, 0, 0] == 4


def test_texts_of_a_request_that_was_given_up_are_not_read():
    slow = Slow()
    slow.go.clear()

    async def work(batcher):
        first = asyncio.create_task(batcher.answers(["first"]))
        while not slow.batches:
            await asyncio.sleep(0.001)
        second = asyncio.create_task(batcher.answers(["second"] * 5))
        await asyncio.sleep(0)
        second.cancel()
        third = asyncio.create_task(batcher.answers(["third"]))
        await asyncio.sleep(0)
        slow.go.set()
        return await asyncio.gather(first, third)

    found = batched(slow, work)
    assert [one.by_model[0, 0, 0] for one in found] == [5, 5]
    assert slow.batches == [1, 1]


def test_too_many_waiting_texts_are_refused(folders):
    limits = Limits(waiting=5)
    with TestClient(make_app(Classifier.load(folders[0]), limits)) as client:
        found = client.post("/predict", json={"texts": ["a"] * 6})
        assert found.status_code == 503
        assert found.headers["retry-after"] == "1"
        assert error_of(found) == "0 texts are waiting already; try again in a moment"
        assert client.post("/predict", json={"texts": ["a"] * 5}).status_code == 200


# The command


@pytest.fixture
def server(folders):
    with serving(folders) as started:
        yield started


def test_many_clients_at_once_and_an_orderly_end(server, classifier):
    process, address = server
    texts = [f"{text} {i}" for i, text in enumerate(TEXTS * 20)]
    with ThreadPoolExecutor(16) as clients:
        found = list(clients.map(lambda text: ask(address, text), texts))
    expected = classifier.predict(texts)
    np.testing.assert_allclose(
        [answer["probabilities"]["pos"] for answer in found], expected["pos"], atol=1e-5
    )
    with ThreadPoolExecutor(1) as clients:  # a request under way is still answered
        late = clients.submit(ask, address, ["a great film " * 7_000] * 3)
        # Two fit into a batch: the third waits as long as they are computed.
        while not answer_of(f"{address}/health")["waiting"]:
            assert not late.done()
        process.send_signal(signal.SIGTERM)
        assert len(late.result()["predictions"]) == 3
    process.wait(timeout=120)
    with pytest.raises(urllib.error.URLError):
        ask(address, "a")


def test_ctrl_c_ends_it_without_a_traceback(server):
    process, _ = server
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode in (0, 130)
    assert "Traceback" not in stderr


def test_names_of_other_machines_are_refused(server):
    _, address = server
    request = urllib.request.Request(address, headers={"Host": "reviews.example"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=120)
    with refused.value as answer:
        assert (answer.code, json.load(answer)["error"]) == (
            400,
            "found the host name 'reviews.example', expected localhost or 127.0.0.1 or [::1]; call "
            "the server by one of these, or start it with another --host",
        )


def test_a_request_that_never_ends_is_ended(folders):
    limits = Limits(seconds=0.3)
    with TestClient(make_app(Classifier.load(folders[0]), limits)) as client:
        messages = iter([{"type": "http.request", "body": b'{"te', "more_body": True}])
        sent = []

        async def receive():
            for message in messages:
                return message
            await asyncio.sleep(3600)

        async def send(message):
            sent.append(message)

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/predict",
            "query_string": b"",
            "headers": [(b"content-type", b"application/json"), (b"host", b"localhost")],
        }
        client.portal.call(client.app, scope, receive, send)
    assert sent[0]["status"] == 408
    assert json.loads(sent[1]["body"])["error"] == (
        "the request took more than 0 seconds to arrive"
    )


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"port": 70_000}, "--port is 70000, expected a number from 0 to 65535"),
        ({"max_mb": 0.0}, "--max-mb is 0, expected more than 0"),
        ({"max_texts": -1}, "--max-texts is -1, expected more than 0"),
        ({"max_chars": 0}, "--max-chars is 0, expected more than 0"),
        ({"max_rows": 0}, "--max-rows is 0, expected more than 0"),
        ({"max_seconds": -1.0}, "--max-seconds is -1, expected more than 0"),
    ],
)
def test_bad_settings_are_refused(settings, line):
    with refuses(line):
        main(clf=["none"], **settings)


def test_a_port_in_use_is_refused():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with refuses(
            f"cannot listen on 127.0.0.1, port {port}: {os.strerror(errno.EADDRINUSE)}; choose "
            "another --port or --host"
        ):
            main(clf=["none"], port=port)


# Several labels


def test_a_classifier_of_several_labels(tmp_path):
    folder = write_classifier(tmp_path / "clf", labels=("a", "b", "c"), multi_label=True)
    classifier = Classifier.load(folder, precision="float32")
    expected = classifier.predict(TEXTS)
    with TestClient(make_app(classifier)) as client:
        assert client.get("/model").json()["multi_label"] is True
        found = client.post("/predict", json={"texts": TEXTS}).json()["predictions"]
        assert [answer["label"] for answer in found] == expected["label"].tolist()
        assert ";" in "".join(expected["label"])
        page = client.post("/", data={"text": TEXTS[0]})
        assert f'<p class="label">{expected["label"][0] or "none of the labels"}</p>' in page.text
        scored = upload(client, f"text\n{TEXTS[0]}\n")
        assert scored.text.splitlines()[1].startswith(f"{TEXTS[0]},{expected['label'][0]},")
