"""The pages beyond the prediction: examples, colours, the next word of a language model."""

import re

import pytest
from starlette.testclient import TestClient
from tiny_models import write_classifier, write_lm

from ulmfit.inference.ensemble import Classifier
from ulmfit.inference.language_model import LanguageModel
from ulmfit.inference.next_words import next_words
from ulmfit.serve.app import make_app
from ulmfit.serve.limits import Limits

LIMITS = Limits(explained=200)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("pages")


@pytest.fixture(scope="module")
def classifier(folder):
    return Classifier.load(write_classifier(folder / "clf"), precision="float32")


@pytest.fixture(scope="module")
def lm(folder):
    return LanguageModel.load(write_lm(folder / "lm"), "float32")


@pytest.fixture
def client(classifier, lm):
    with TestClient(make_app(classifier, LIMITS, lm=lm)) as client:
        yield client


def test_an_example_is_classified_by_one_click(client):
    page = client.get("/").text
    form = re.search(r'<form[^>]*class="examples".*?</form>', page, re.DOTALL)[0]
    texts = re.findall(r'value="([^"]+)"', form)
    assert len(texts) == 3
    found = client.post("/", data={"text": texts[0]}).text
    assert f"\n{texts[0]}</textarea>" in found
    assert '<p class="label">' in found


def test_colours_are_chosen_and_kept(client):
    assert "data-theme" not in client.get("/").text.split("</head>")[1].split("<body")[0]
    found = client.post("/", data={"text": "A great film", "theme": "dark"})
    assert 'data-theme="dark"' in found.text
    assert "\nA great film</textarea>" in found.text
    assert 'class="label"' not in found.text  # nobody asked for a prediction
    cookie = found.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert 'data-theme="dark"' in client.get("/next").text
    shown = client.post("/", data={"text": "A great film"}).text
    assert '<input type="hidden" name="again" value="yes">' in shown
    again = client.post("/", data={"text": "A great film", "again": "yes", "theme": "light"})
    assert 'data-theme="light"' in again.text
    assert 'class="label"' in again.text
    odd = client.post("/", data={"text": "a", "theme": '"><script>'})
    assert "<script" not in odd.text
    assert "set-cookie" not in odd.headers


def test_the_next_word_is_shown(client, lm):
    found = client.post("/next", data={"text": "A great"})
    assert found.status_code == 200
    expected = next_words(lm, "A great")
    shown = re.findall(r"<span>([\d.]+) %</span>", found.text)
    assert [float(share) for share in shown[:-1]] == pytest.approx(
        [100 * word.probability for word in expected], abs=0.051
    )
    assert sum(map(float, shown)) == pytest.approx(100, abs=1)
    assert "What is the next word?" in client.get("/next").text


def test_probabilities_of_all_next_words_sum_to_at_most_one(lm):
    words = next_words(lm, "This is a", top=10_000)
    assert sum(word.probability for word in words) < 1
    likely = [word.probability for word in words]
    assert likely == sorted(likely, reverse=True)
    assert {"a", "A"} <= {word.word for word in words}
    assert all(word.text.startswith("This is a") for word in words)
    assert not any("xx" in word.word for word in words)


def test_a_long_text_has_no_next_word(client):
    found = client.post("/next", data={"text": "good " * 50})
    assert found.status_code == 400
    assert "the text has 250 characters, expected at most 200 for the next word" in found.text


def test_a_backward_model_shows_the_word_before(classifier, folder):
    lm = LanguageModel.load(write_lm(folder / "lm-bwd", backwards=True), "float32")
    with TestClient(make_app(classifier, LIMITS, lm=lm)) as client:
        page = client.post("/next", data={"text": "great film"}).text
    assert "What is the word before?" in page
    word = next(word for word in next_words(lm, "great film") if word.word)
    assert word.text == f"{word.word} great film"


def test_without_a_language_model_there_is_no_second_page(classifier):
    with TestClient(make_app(classifier, LIMITS)) as client:
        assert "Next word" not in client.get("/").text
        assert client.get("/next").status_code == 404
        assert client.post("/next", data={"text": "a"}).json()["error"].startswith("nothing here")


def test_the_page_of_the_next_word_is_described_where_it_is(client, classifier):
    described = client.get("/openapi.json").json()["paths"]["/next"]
    assert set(described) == {"get", "post"}
    fields = described["post"]["requestBody"]["content"]["application/x-www-form-urlencoded"]
    given = {"text": "The", "theme": "dark", "again": "yes"}
    assert set(fields["schema"]["properties"]) == set(given)
    assert fields["schema"]["properties"]["text"]["maxLength"] == LIMITS.explained
    assert client.post("/next", data=given).status_code == 200
    with TestClient(make_app(classifier, LIMITS)) as without:
        assert "/next" not in without.get("/openapi.json").json()["paths"]


def test_a_wrong_method_is_told_the_right_ones(client):
    for path in ("/", "/next", "/files/abc"):
        refused = client.put(path)
        assert refused.status_code == 405
        assert {*refused.headers["allow"].split(", ")} == {"GET", "HEAD", "POST"}
