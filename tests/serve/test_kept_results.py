"""Files sent by the page: their progress, their result, its report, and its end."""

import csv
import html
import io
import re
import time

import pytest
from starlette.testclient import TestClient
from tiny_ensembles import write_tiny_ensemble
from tiny_models import TEXTS, write_classifier

from ulmfit.inference.ensemble import Classifier
from ulmfit.serve.app import make_app
from ulmfit.serve.limits import Limits

SCRIPT = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    made = write_classifier(folder / "fwd"), write_classifier(folder / "bwd", True, 1)
    return Classifier.load(*made, precision="float32")


@pytest.fixture
def client(classifier):
    with TestClient(make_app(classifier, Limits())) as client:
        yield client


def sent(client, content, name="notes.csv", **columns):
    """The page of a file at its end, and its address."""
    answer = client.post(
        "/files", files={"file": (name, content)}, data=columns, follow_redirects=False
    )
    assert answer.status_code == 303
    address = answer.headers["location"]
    assert re.fullmatch(r"/files/[\w-]{22}", address)
    return client.get(address).text, address


def table(rows):
    written = io.StringIO()
    csv.writer(written).writerows(rows)
    return written.getvalue()


def test_a_file_without_labels(client, classifier):
    page, address = sent(client, table([["text"], *([text] for text in TEXTS * 20)]))
    assert f"{len(TEXTS) * 20} texts are classified" in page
    scored = client.get(f"{address}/scored.csv")
    assert 'filename="notes-scored.csv"' in scored.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(scored.text)))
    assert [row["label"] for row in rows] == classifier.predict(TEXTS * 20)["label"].tolist()
    report = client.get(f"{address}/report")
    assert "default-src 'none'" in report.headers["content-security-policy"]
    assert "Predictions on notes.csv" in report.text
    assert "The file has no column 'label' with labels" in html.unescape(report.text)
    counts = re.findall(r'<th scope="row">(neg|pos)</th><td>(\d+)</td>', report.text)
    found = {label: int(count) for label, count in counts}
    assert found == {label: [row["label"] for row in rows].count(label) for label in ("neg", "pos")}
    assert report.text.count('class="card"') == 20


def test_a_file_with_labels_has_accuracy(client, classifier):
    truth = ["neg", "pos"] * 30
    texts = (TEXTS * 60)[:60]
    rows = [["text", "said"], *zip(texts, truth, strict=True), ["more", ""]]
    page, address = sent(client, table(rows), label_col="said")
    assert "61 texts are classified" in page
    report = client.get(f"{address}/report").text
    predicted = classifier.predict(texts)["label"].tolist()
    accuracy = sum(map(str.__eq__, predicted, truth)) / 60
    assert "60 labelled texts of notes.csv; 2 classes: neg, pos." in report
    assert f"<b>{accuracy:.3f}</b>" in report
    assert "The models do not say what texts they were trained on." in report


def test_labels_that_the_classifier_lacks_are_named(client):
    _, address = sent(client, table([["text", "label"], ["a great film", SCRIPT]]))
    report = client.get(f"{address}/report").text
    assert "There is no accuracy: the file has the label" in report
    assert "<script" not in report


def test_a_wrong_column_is_told(client):
    page, address = sent(client, "text\nx\n", label_col="said")
    assert re.search(r'role="alert">notes.csv has no column .*said', page)
    assert client.get(f"{address}/report").status_code == 404
    page, _ = sent(client, "body\nx\n")
    assert "notes.csv has no column" in page
    assert "no file chosen" in client.post("/files", data={"text_col": "a"}).text


def test_markup_in_a_name_is_text(client):
    page, _ = sent(client, "text\nx\n", name=f"{SCRIPT}.csv")
    assert "<script" not in page


def test_a_result_is_deleted_on_request_and_at_the_end(classifier, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with TestClient(make_app(classifier, Limits())) as client:
        _, address = sent(client, "text\nx\n")
        assert len(list(tmp_path.iterdir())) == 1
        assert client.post(address, data={"delete": "yes"}).status_code == 200
        assert list(tmp_path.iterdir()) == []
        for path in ("", "/report", "/scored.csv"):
            gone = client.get(f"{address}{path}")
            assert gone.status_code == 404
            assert "there is no such result" in gone.text
        sent(client, "text\nx\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("limits", [Limits(kept=2), Limits(kept_bytes=1)], ids=["count", "size"])
def test_the_oldest_results_go(classifier, limits):
    with TestClient(make_app(classifier, limits)) as client:
        addresses = [sent(client, "text\nx\n")[1] for _ in range(3)]
        found = [client.get(f"{address}/scored.csv").status_code for address in addresses]
    assert found == ([404, 200, 200] if limits.kept == 2 else [404, 404, 200])


def test_a_large_file_has_no_report(classifier):
    with TestClient(make_app(classifier, Limits(report_characters=5))) as client:
        page, address = sent(client, "text\na longer text\n")
        assert "The file is too large: there is no report." in page
        assert client.get(f"{address}/scored.csv").status_code == 200
        assert client.get(f"{address}/report").status_code == 404


def test_a_file_that_nobody_watches_is_given_up(classifier, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    rows = table([["text"], *([text * 20] for text in TEXTS * 400)])
    with TestClient(make_app(classifier, Limits(seconds=0.5))) as client:
        client.post("/files", files={"file": ("a.csv", rows)}, follow_redirects=False)
        deadline = time.monotonic() + 120
        while list(tmp_path.iterdir()):
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_colours_of_the_page_of_a_file(client):
    _, address = sent(client, "text\nx\n")
    found = client.post(address, data={"theme": "dark"})
    assert found.url.path == address
    assert 'data-theme="dark"' in found.text


def test_an_ensemble_directory_serves_all_of_it(tmp_path):
    path = write_tiny_ensemble(tmp_path / "ensemble")
    classifier = Classifier.load(path, precision="float32")
    assert {type(model).__name__ for model in classifier.models} == {"LoadedModel", "LoadedLinear"}
    expected = classifier.predict([TEXTS[0]]).iloc[0]
    with TestClient(make_app(classifier, Limits())) as client:
        found = client.post("/predict", json={"text": TEXTS[0]}).json()
        assert found["probability"] == pytest.approx(expected["probability"], abs=1e-6)
        page = client.post("/", data={"text": TEXTS[0]}).text
        assert page.count("<h3>") == len(classifier.models) + 1
        assert "Words that moved it" in page
        assert all("weight" in model for model in client.get("/model").json()["models"])
        rows = [["text", "label"], [TEXTS[0], "pos"], [TEXTS[1], "neg"]]
        _, address = sent(client, table(rows))
        report = client.get(f"{address}/report").text
    assert "2 labelled texts of notes.csv" in report
    assert "ensemble" in report
