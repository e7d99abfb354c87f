"""The server with a student in front of its models."""

import asyncio
import re
import threading
import time

import numpy as np
import pandas as pd
import pytest
from starlette.testclient import TestClient
from tiny_ensembles import write_tiny_linear
from tiny_models import refuses
from tiny_server import answer_of, ask, serving

from ulmfit import distill
from ulmfit.artifacts.config import NB_LR, TFIDF_LR
from ulmfit.base.errors import UserError
from ulmfit.inference.ensemble import Classifier
from ulmfit.inference.scoring import EMPTY
from ulmfit.inference.student import FastClassifier
from ulmfit.serve.__main__ import main
from ulmfit.serve.app import make_app
from ulmfit.serve.batching import Batcher

SURE, UNSURE = "The sea was great, film n1", "qqqq zzzz xxxx"
GOOD, BAD, REST = ["great", "best"], ["worst", "dull"], ["film", "story", "music", "sea"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folders of two teachers, and of their student beside the first."""
    folder = tmp_path_factory.mktemp("student")
    rng = np.random.default_rng(0)
    rows = [
        {
            "text": f"The {rng.choice(REST)} was {rng.choice((GOOD, BAD)[n % 2])}, film n{n}",
            "split": "train" if n < 240 else "valid",
            "label": ("pos", "neg")[n % 2],
        }
        for n in range(300)
    ]
    pd.DataFrame(rows).to_csv(folder / "data.csv", index=False)
    teachers = [
        str(write_tiny_linear(folder / name, name, recipe={"data": str(folder / "data.csv")}))
        for name in (NB_LR, TFIDF_LR)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ULMFIT_CACHE", str(folder / "cache"))
        distill.main(clf=teachers, data=str(folder / "data.csv"))
    return teachers


@pytest.fixture
def fast(made):
    teacher = Classifier.load(*made)
    found = FastClassifier.of(teacher, f"{made[0]}/../student")
    assert found.first([SURE, UNSURE]).rest == [1]
    return found


@pytest.fixture
def client(fast):
    with TestClient(make_app(fast)) as client:
        yield client


def test_both_answer_and_are_counted(client, fast):
    texts = [SURE, UNSURE, None]
    found = client.post("/predict", json={"texts": texts}).json()["predictions"]
    student = Classifier([fast.student]).answers([SURE]).mean[0]
    teacher = fast.teacher.answers([UNSURE, ""])
    expected = [student, *teacher.mean]
    for answer, probabilities in zip(found, expected, strict=True):
        assert list(answer["probabilities"].values()) == pytest.approx(probabilities.tolist())
    assert [answer.get("note") for answer in found] == [None, teacher.notes[0], EMPTY]
    model = client.get("/model").json()
    assert len(model["models"]) == 2
    assert model["student"] == {
        "name": "student",
        "threshold": fast.threshold,
        "manifest_sha256": fast.student.artifact.manifest_sha256,
        "answered": 1,
        "passed_on": 2,
    }
    assert client.post("/predict", json={"texts": []}).json() == {"predictions": []}


def test_without_a_student_none_is_described(made):
    with TestClient(make_app(Classifier.load(*made))) as client:
        model, api = (client.get(path).json() for path in ("/model", "/openapi.json"))
    described = api["components"]["schemas"]["Model"]
    assert set(described["properties"]) - set(model) == {"student"}
    assert set(described["required"]) == set(model)


def test_the_page_says_who_answered_and_explains_that_one(client, fast):
    assert "A student of theirs answers" in client.get("/").text
    found = client.post("/", data={"text": SURE}).text
    assert "The student answered." in found
    expected = f"{100 * fast.first([SURE]).probabilities.max():.1f} %"
    assert expected in found
    assert 'title="+' in found  # its words
    assert "The full model answered." in client.post("/", data={"text": UNSURE}).text


def test_a_file_gets_a_report_on_both_together(client, fast):
    rows = f'text,label\n"{SURE}",pos\n{UNSURE},neg\nA new dull story,neg\n'
    address = client.post("/files", files={"file": ("a.csv", rows)}, follow_redirects=False)
    while "/report" not in client.get(address.headers["location"]).text:
        time.sleep(0.01)
    page = client.get(f"{address.headers['location']}/report").text
    assert "student first" in page
    assert "ensemble" not in page.lower().split("<body")[-1]


def test_what_the_student_is_sure_of_does_not_wait(fast):
    go, asked = threading.Event(), fast.teacher.answers

    def slow(texts, tell=None):
        assert not texts or go.wait(60)
        return asked(texts, tell)

    fast.teacher.answers = slow

    async def run():
        batcher = Batcher(fast)
        batcher.start()
        try:
            waiting = asyncio.create_task(batcher.answers([UNSURE]))
            sure = await asyncio.wait_for(batcher.answers([SURE]), 60)
            assert not waiting.done()
            go.set()
            return sure, await waiting
        finally:
            go.set()
            await batcher.stop()

    sure, unsure = asyncio.run(run())
    assert sure.by_model.shape == unsure.by_model.shape == (1, 1, 2)
    assert (fast.asked, fast.answered) == (1, 2)


def test_the_command(made):
    with serving(made, "--fast") as (_, address):
        assert ask(address, SURE)["label"] == "pos"
        assert "note" in ask(address, UNSURE)
        model = answer_of(f"{address}/model")
    assert (model["student"]["answered"], model["student"]["passed_on"]) == (1, 1)


def test_a_missing_or_foreign_student_is_one_line(made, tmp_path):
    with refuses("found --student without --fast, which it belongs to; add --fast"):
        main(clf=made, student=str(tmp_path), port=0)
    missing = f"{tmp_path / 'none'} does not exist, and --fast needs a student; ulmfit distill"
    with pytest.raises(UserError, match=f"^{re.escape(missing)}"):
        main(clf=made, fast=True, student=str(tmp_path / "none"), port=0)
    with pytest.raises(UserError, match="is the student of another classifier: its teacher is"):
        main(clf=made[:1], fast=True, port=0)
    place = write_tiny_linear(tmp_path / "student", TFIDF_LR)
    with pytest.raises(UserError, match="holds a classifier that is no student"):
        main(clf=made, fast=True, student=str(place), port=0)
