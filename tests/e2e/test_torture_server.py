"""The torture of the server in a short form, and that its checks can fail."""

import asyncio
import json

import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.testclient import TestClient
from tiny_models import refuses, write_classifier

from torture.common import Row
from torture.serving import target as targets  # first: it lets the others import the tests' models

from torture.serving import files, forms, jobs, load, protocol  # isort: skip
from torture.serving.bodies import bodies
from ulmfit.base.errors import UserError
from ulmfit.inference.ensemble import Classifier
from ulmfit.serve import uploads
from ulmfit.serve.app import make_app
from ulmfit.serve.batching import Batcher, while_there
from ulmfit.serve.limits import Limits
from ulmfit.serve.tables import open_limited


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    with targets.started(tmp_path_factory.mktemp("torture"), seconds=1) as started:
        yield started


@pytest.mark.parametrize(
    "attack",
    [
        lambda target: bodies(target, 20, 0, large=False),
        forms.markup,
        files.names,
        lambda target: jobs.keys(target, 5, 0),
        jobs.pages,
        lambda target: jobs.many(target, 18),
        lambda target: jobs.next_words(target, 8),
        lambda target: protocol.protocol(target, 10, 0),
        protocol.origins,
        lambda target: load.slow(target, 2),
        lambda target: load.crowd(target, 40, 40),
        lambda target: load.leaving(target, 10, 0),
    ],
    ids=[
        *("bodies", "markup", "names", "keys", "pages", "many", "next", "protocol", "origins"),
        *("slow", "crowd", "leaving"),
    ],
)
def test_attacks(target, attack):
    row = attack(target)
    assert row.tried > 5
    assert row.clean, row.told


def test_the_judge_can_condemn():
    def answer(status, body=b'{"error": "found a, expected b"}'):
        return targets.Answer(status, {"content-type": "application/json"}, body)

    row = Row("x")
    targets.judge(row, "fine", answer(400), (400,))
    assert row.clean
    targets.judge(row, "let in", answer(200), (400,))
    targets.judge(row, "fell", answer(500), (400,))
    targets.judge(row, "no answer", None, (400,))
    targets.judge(row, "no line", answer(400, b'{"error": "a\\nb"}'), (400,))
    assert (row.tried, row.let_in, row.crashed, row.lost) == (5, 1, 2, 1)


def test_another_answer_afterwards_is_noticed(target):
    row = Row("x")
    expected, target.expected = target.expected, []
    target.settle(row)
    target.expected = expected
    assert row.lost == 1


def test_answers_may_differ_by_rounding_and_by_nothing_else(target):
    def answers(**changed):
        return [*target.expected[:-1], {**target.expected[-1], **changed}]

    probability = target.expected[-1]["probability"]
    assert target.as_before(answers())
    assert target.as_before(answers(probability=probability + 9e-8))
    assert not target.as_before(answers(probability=probability + 2e-5))
    assert not target.as_before(answers(label="another"))
    assert not target.as_before(answers(note="another"))
    first, *others = target.expected[-1]["probabilities"].items()
    moved = {first[0]: first[1] + 2e-5, **dict(others)}
    assert not target.as_before(answers(probabilities=moved))
    assert not target.as_before(target.expected[:-1])
    assert not target.as_before(None)


def test_memory_that_grows_is_noticed(target, monkeypatch):
    monkeypatch.setattr(load, "FLAT_MB", -1_000)
    row = load.flat_memory(target, 40, 0)
    assert (row.let_in, row.lost, row.crashed) == (1, 0, 0)


def test_markup_that_is_not_escaped_is_noticed():
    row = Row("x")
    headers = {"content-type": "text/html", "content-security-policy": "default-src 'none'"}
    page = targets.Answer(200, headers, b"<p>a <script>alert(1)</script></p>")
    forms.same_elements(row, "a text", page, {("p",)})
    assert row.let_in == 1


# What the attacks found, each in the smallest form


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    return Classifier.load(write_classifier(tmp_path_factory.mktemp("clf") / "clf"))


def test_files_at_once_are_bounded(classifier):
    with TestClient(make_app(classifier, Limits(files=1))) as client:
        client.app.state.uploads._room.acquire()
        found = client.post("/score", files={"file": ("a.csv", "text\na\n")})
    assert found.status_code == 503
    assert found.headers["retry-after"] == "1"
    assert "1 files are being scored already; try again in a moment" in found.text


def test_bodies_of_all_requests_are_bounded(classifier):
    limits = Limits(body_bytes=100, all_bytes=0)
    app = make_app(classifier, limits)
    with TestClient(app) as client:
        assert client.post("/predict", json={"text": "a"}).status_code == 200
        found = client.post("/predict", json={"text": "a" * 200})
        assert found.status_code == 413
        assert client.post("/predict", json={"text": "a"}).status_code == 200  # nothing is kept


def test_explanations_are_left_out_when_many_ask(classifier):
    with TestClient(make_app(classifier, Limits(explanations=0))) as client:
        found = client.post("/", data={"text": "a great film"})
    assert found.status_code == 200
    assert "No words are highlighted while many people ask; try again in a moment." in found.text


def test_characters_that_wait_are_bounded(classifier):
    with TestClient(make_app(classifier, Limits(body_bytes=50, characters=100))) as client:
        client.app.state.batcher._characters = 50
        found = client.post("/predict", json={"text": "a"})
    assert found.status_code == 503
    assert found.json() == {"error": "0 texts are waiting already; try again in a moment"}


def test_who_goes_away_is_not_computed_for():
    cancelled = []

    async def work():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    async def receive():
        await asyncio.sleep(0.01)
        return {"type": "http.disconnect"}

    async def run():
        request = Request({"type": "http", "headers": []}, receive)
        with pytest.raises(ClientDisconnect):
            await while_there(request, work())
        await asyncio.sleep(0)

    asyncio.run(run())
    assert cancelled == [True]


def limited(path, limits):
    table = open_limited(path, "text", limits, lambda: None)
    return [len(block[table.columns.index("text")]) for block in table.blocks()]


def test_files_have_limits(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text\na\nbb\nccc\n")
    assert limited(path, Limits(rows=3)) == [3]
    with refuses(
        f"{path} has more than 2 rows, the most that are taken here; send it in parts, or start "
        "the server with a higher --max-rows"
    ):
        limited(path, Limits(rows=2))
    with refuses(
        "the text of row 3 has 3 characters, expected at most 2; cut it, or start the server with "
        "a higher --max-chars"
    ):
        limited(path, Limits(characters=2))


def test_a_file_of_many_columns_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"text": "a", str(i): 1}) + "\n" for i in range(30)))
    with refuses(
        f"{path} has 31 rows of 31 columns, expected at most 400 cells; send it in parts, or "
        "without other columns"
    ):
        open_limited(path, "text", Limits(rows=20), lambda: None)


def test_a_parquet_file_that_expands_is_refused(tmp_path):
    path = tmp_path / "a.parquet"
    _, _, data, _ = next(files.parquet_bombs())
    path.write_bytes(data)
    assert len(data) < 100_000  # for 2 GB
    with refuses(
        f"{path} has more than 100,000,000 bytes when it is unpacked, or takes too long to read; "
        "send it in parts, or as csv"
    ):
        limited(path, Limits())
    assert [p.name for p in tmp_path.iterdir()] == ["a.parquet"]


def test_work_on_a_file_ends_when_nobody_waits(classifier):
    sharing = uploads.Sharing(Batcher(classifier), None)
    sharing.given_up.set()
    with pytest.raises(uploads.GivenUp):
        sharing.answers(["a"])


def test_columns_are_compared_in_linear_time(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(",".join(map(str, range(200_000))))
    with pytest.raises(UserError, match=r"has no column 'text'; it has 0, 1, 2, .*200,000 in all"):
        limited(path, Limits())
