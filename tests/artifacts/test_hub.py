"""Sharing models: a round trip over a stand-in for the Hub, and what must never be written.

The stand-in answers the requests of huggingface_hub as the Hub does, on this machine: it keeps
commits, takes large files over the LFS protocol and small ones within the commit, and can be told
to misbehave.
"""

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlsplit

import numpy as np
import pandas as pd
import pytest
from tiny_ensembles import write_tiny_ensemble
from tiny_models import TEXTS, refuses, write_classifier, write_lm

from ulmfit import pull, push
from ulmfit.artifacts import bundled, fetching, hub
from ulmfit.artifacts.directory import read_artifact
from ulmfit.artifacts.pretrained import load_pretrained
from ulmfit.artifacts.seen import seen_file
from ulmfit.artifacts.writing import update_metrics
from ulmfit.base.errors import UserError
from ulmfit.base.untrusted import file_sha256
from ulmfit.inference.ensemble import Classifier
from ulmfit.inference.language_model import LanguageModel

huggingface_hub = pytest.importorskip("huggingface_hub")
constants = pytest.importorskip("huggingface_hub.constants")
hub_utils = pytest.importorskip("huggingface_hub.utils")
yaml = pytest.importorskip("yaml")  # comes with it

# huggingface_hub's upload over LFS calls its HTTP library in an old way.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

TOKEN = "hf_secretsecret"
USER_AGENT = r"ulmfit/[\d.]+; hf_hub/[\d.]+; python/[\d.]+"
FIGURES = {"documents": 8, "accuracy": 0.75, "f1": 0.7, "f1_weighted": 0.72, "ece": 0.1}


class Hub(ThreadingHTTPServer):
    """The Hub's memory: what each repository holds, and every request that came."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.reset()

    def reset(self):
        self.repositories = {}  # id -> {"private": bool, "commits": [{name: content}]}
        self.stored = {}  # sha256 -> content of a large file
        self.requests = []  # (method, path, headers, body)
        self.tampered = {}  # name -> what is sent in its place
        self.sizes = {}  # name -> the size that is told
        self.answers = {}  # part of "METHOD path" -> (status, headers, words)

    def add(self, repository, files, private=False):
        known = self.repositories.setdefault(repository, {"private": private, "commits": []})
        last = known["commits"][-1] if known["commits"] else {".gitattributes": b"x filter=lfs"}
        both = {**last, **files}
        known["commits"].append({path: both[path] for path in both if both[path] is not None})

    def files(self, repository):
        return self.repositories[repository]["commits"][-1]

    def asked(self, method):
        return [path for found, path, _, _ in self.requests if found == method]


def commit_id(number):
    return f"{number:040x}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer in one piece: in two, each waits 40 ms to be acknowledged
    server: Hub

    def log_message(self, *words):
        pass

    def handle_one(self):
        path = unquote(urlsplit(self.path).path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.requests.append((self.command, path, dict(self.headers), body))
        for part, (status, headers, words) in self.server.answers.items():
            if part in f"{self.command} {path}":
                return self.reply(status, {"error": words}, headers)
        if self.headers.get("Authorization") not in (None, f"Bearer {TOKEN}"):
            words = {"X-Error-Message": "Invalid credentials in Authorization header"}
            return self.reply(401, {}, words)
        for route, method in ROUTES.items():
            if found := re.fullmatch(route, f"{self.command} {path}"):
                return method(self, body, **found.groupdict())
        return self.reply(404, {"error": "no such page"})

    do_GET = do_HEAD = do_POST = do_PUT = handle_one

    def reply(self, status, content, headers=None):
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def repository(self, name):
        """The repository, if there is one that the caller may see; else it has been answered."""
        found = self.server.repositories.get(name)
        if found and (not found["private"] or self.headers.get("Authorization")):
            return found
        self.reply(404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
        return None

    def create(self, body):
        asked = json.loads(body)
        name = f"{asked['organization']}/{asked['name']}"
        url = {"url": f"{self.server.url}/{name}"}
        if name in self.server.repositories:
            return self.reply(409, url)
        self.server.add(name, {}, private=asked.get("visibility") == "private")
        return self.reply(200, url)

    def validate(self, body):
        front = yaml.safe_load(json.loads(body)["content"].split("---\n")[1])
        errors = []
        for model in front.get("model-index", []):
            for result in model["results"]:
                if not isinstance(model.get("name"), str) or {"type", "name"} - {
                    *result["dataset"]
                }:
                    errors.append({"message": "incomplete"})
        return self.reply(400 if errors else 200, {"errors": errors, "warnings": []})

    def preupload(self, body, name, revision):
        modes = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["path"].endswith(".safetensors") else "regular",
                "shouldIgnore": False,
            }
            for file in json.loads(body)["files"]
        ]
        return self.reply(200, {"files": modes}) if self.repository(name) else None

    def lfs_batch(self, body, name):
        objects = [
            {**one, "actions": {"upload": {"href": f"{self.server.url}/store/{one['oid']}"}}}
            for one in json.loads(body)["objects"]
        ]
        return self.reply(200, {"objects": objects, "transfer": "basic"})

    def store(self, body, oid):
        assert hashlib.sha256(body).hexdigest() == oid
        self.server.stored[oid] = body
        return self.reply(200, {})

    def commit(self, body, name, revision):
        files = {}
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.server.stored[value["oid"]]
            elif line["key"] == "deletedFile":
                files[value["path"]] = None
        self.server.add(name, files)
        number = commit_id(len(self.server.repositories[name]["commits"]))
        url = f"{self.server.url}/{name}/commit/{number}"
        return self.reply(200, {"commitUrl": url, "commitOid": number})

    def info(self, body, name, revision="main"):
        if not (found := self.repository(name)):
            return None
        commits = found["commits"]
        numbers = {"main": len(commits), "first": 2}
        if revision not in numbers:
            code = {"X-Error-Code": "RevisionNotFound"}
            return self.reply(404, {"error": f"Invalid rev id: {revision}"}, code)
        files = [
            {"rfilename": path, "size": self.server.sizes.get(path, len(content))}
            for path, content in commits[numbers[revision] - 1].items()
        ]
        about = {"id": name, "private": found["private"], "sha": commit_id(numbers[revision])}
        return self.reply(200, {**about, "siblings": files})

    def download(self, body, name, revision, file):
        if not (found := self.repository(name)):
            return None
        content = found["commits"][int(revision, 16) - 1].get(file)
        if content is None:
            return self.reply(404, {"error": "Entry not found"}, {"X-Error-Code": "EntryNotFound"})
        content = self.server.tampered.get(file, content)
        etag = hashlib.sha256(content).hexdigest()
        return self.reply(200, content, {"ETag": f'"{etag}"', "X-Repo-Commit": revision})


ROUTES = {
    r"POST /api/repos/create": Handler.create,
    r"POST /api/validate-yaml": Handler.validate,
    r"POST /api/models/(?P<name>[^/]+/[^/]+)/preupload/(?P<revision>.+)": Handler.preupload,
    r"POST /(?P<name>[^/]+/[^/]+)\.git/info/lfs/objects/batch": Handler.lfs_batch,
    r"PUT /store/(?P<oid>\w+)": Handler.store,
    r"POST /api/models/(?P<name>[^/]+/[^/]+)/commit/(?P<revision>.+)": Handler.commit,
    r"GET /api/models/(?P<name>[^/]+/[^/]+)": Handler.info,
    r"GET /api/models/(?P<name>[^/]+/[^/]+)/revision/(?P<revision>.+)": Handler.info,
    r"(GET|HEAD) /(?P<name>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)": Handler.download,
}


@pytest.fixture(scope="module")
def server():
    with Hub() as running:
        thread = Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        hub_utils.close_session()
        running.shutdown()
        thread.join()


@pytest.fixture
def site(server, tmp_path, monkeypatch):
    """An empty Hub, somebody who is logged in there, and a folder to work in."""
    server.reset()
    template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
    for name, value in {
        "ENDPOINT": server.url,
        "HUGGINGFACE_CO_URL_TEMPLATE": template,
        "HF_HUB_CACHE": str(tmp_path / "home" / "hub"),
        "HF_TOKEN_PATH": str(tmp_path / "home" / "token"),
        "HF_HUB_DISABLE_TELEMETRY": False,
        "HF_HUB_DISABLE_XET": True,  # the stand-in takes large files over LFS
        "HF_HUB_OFFLINE": False,
    }.items():
        monkeypatch.setattr(constants, name, value)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("ULMFIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return server


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A classifier that was evaluated, and a language model."""
    folder = tmp_path_factory.mktemp("written")
    clf = write_classifier(folder / "clf", recipe={"data": "/home/ada/films.csv"})
    fresh = {**FIGURES, "accuracy": 0.5}
    test = {**FIGURES, "log_loss": float("nan"), "without_repeated": fresh}
    update_metrics(clf, {"seconds": 1.0, "evaluation": {"films.csv": {"test": test}}})
    return {"clf": clf, "lm": write_lm(folder / "lm")}


@pytest.fixture
def shared(site, written):
    """The classifier as ada/films on the Hub, where one push has put it."""
    if "pushed" not in written:
        push.main(model=str(written["clf"]), to="ada/films")
        written["pushed"] = site.files("ada/films")
        site.reset()
    site.add("ada/films", {})
    site.add("ada/films", written["pushed"])
    return site


def contents(folder):
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def nothing_written(folder):
    return not [path for path in Path(folder).rglob("*") if path.is_file()]


# --- there and back -----------------------------------------------------------------------------


def test_round_trip(shared, written, capsys):
    path = pull.main(from_repo="ada/films", out="mine")
    assert capsys.readouterr().out.endswith("wrote mine, every file verified\n")
    assert contents(path) == contents(written["clf"])
    manifest = read_artifact(path).manifest
    assert {n: file_sha256(path / n) for n in manifest.files} == manifest.files
    there, back = (
        Classifier.load(folder).probabilities(TEXTS) for folder in (written["clf"], path)
    )
    assert np.array_equal(there, back)


def test_ensemble(site, tmp_path, capsys):
    made = write_tiny_ensemble(tmp_path / "clf", names=("fwd", "nb"))
    update_metrics(made, {"evaluation": {"films.csv": {"test": FIGURES}}})
    push.main(model=str(made), to="ada/both")
    assert b"model-index" in site.files("ada/both")["README.md"]
    path = pull.main(from_repo="ada/both", out="mine")
    assert "left out" not in capsys.readouterr().out
    for folder in ("fwd", "nb"):
        assert contents(path / folder) == contents(made / folder)
    there, back = (Classifier.load(folder).probabilities(TEXTS) for folder in (made, path))
    assert np.array_equal(there, back)
    # What a stranger put there is refused before anything is written.
    text = site.files("ada/both")["ensemble.json"]
    site.tampered["ensemble.json"] = text.replace(b'"fwd"', b'"../../etc"')
    with refuses(
        'hf://ada/both/ensemble.json: "members" names "../../etc", a sub-directory\'s plain name '
        "was expected; copy the ensemble or train it again"
    ):
        pull.main(from_repo="ada/both", out="theirs")
    site.tampered = {"nb/ngrams.txt": b"other\n"}
    with pytest.raises(UserError, match=r"nb/ngrams.txt was altered: .*nothing was written"):
        pull.main(from_repo="ada/both", out="theirs")
    assert not Path("theirs").exists()


def test_language_model(site, written):
    push.main(model=str(written["lm"]), to="ada/films-lm")
    path = pull.main(from_repo="hf://ada/films-lm", out="mine")
    assert contents(path) == contents(written["lm"])


def test_large_files_take_their_own_way_and_all_is_one_commit(site, written):
    push.main(model=str(written["clf"]), to="ada/films")
    files = site.files("ada/films")
    assert set(files) == {*contents(written["clf"]), "card.md", ".gitattributes"}
    large = {hashlib.sha256(files[n]).hexdigest() for n in files if n.endswith(".safetensors")}
    assert set(site.stored) == large
    assert len([path for path in site.asked("POST") if "/commit/" in path]) == 1


def test_a_plain_copy_of_a_model_directory(site, written):
    site.add("ada/copy", contents(written["clf"]))
    assert contents(pull.main(from_repo="ada/copy", out="mine")) == contents(written["clf"])


def test_card_that_was_edited_on_the_web_page(shared, written):
    shared.add("ada/films", {"README.md": b"# Better words"})
    assert contents(pull.main(from_repo="ada/films", out="mine")) == contents(written["clf"])


def test_push_again_replaces_and_a_revision_is_kept(shared, tmp_path):
    new = write_classifier(tmp_path / "new", seed=1)
    push.main(model=str(new), to="ada/films")
    assert contents(pull.main(from_repo="ada/films", out="now")) == contents(new)
    then = pull.main(from_repo="ada/films", out="then", revision="first")
    assert contents(then) != contents(new)
    assert contents(pull.main(from_repo="ada/films@first", out="at")) == contents(then)
    with refuses("found a revision in ada/films@first and in --revision, expected one of them"):
        pull.main(from_repo="ada/films@first", out="at", revision="main")


def test_hashes_of_the_texts_stay_here_unless_asked_for(site, tmp_path, capsys):
    frame = pd.DataFrame({"text": TEXTS, "split": "train"})
    clf = write_classifier(tmp_path / "clf", seen=seen_file(frame))
    push.main(model=str(clf), to="ada/films", with_seen=True)
    assert "seen.bin tells whether a given text was in the training\n" in capsys.readouterr().out
    assert contents(pull.main(from_repo="ada/films", out="all")) == contents(clf)
    push.main(model=str(clf), to="ada/films")  # what was sent before goes, too
    line = (
        "seen.bin tells whether a given text was in the training and stays here; --with-seen sends "
        "it\n"
    )
    assert line in capsys.readouterr().out
    assert "seen.bin" not in site.files("ada/films")
    pulled = pull.main(from_repo="ada/films", out="some")
    assert contents(pulled).keys() == contents(clf).keys() - {"seen.bin"}
    there, back = (Classifier.load(folder) for folder in (clf, pulled))
    assert np.array_equal(there.probabilities(TEXTS), back.probabilities(TEXTS))
    assert read_artifact(pulled).seen() is None
    assert read_artifact(pulled).manifest_sha256 == read_artifact(clf).manifest_sha256


def test_overwrite(shared, written):
    pull.main(from_repo="ada/films", out="mine")
    with refuses("mine already holds a model; choose another --out or pass --overwrite"):
        pull.main(from_repo="ada/films", out="mine")
    pull.main(from_repo="ada/films", out="mine", overwrite=True)
    assert contents("mine") == contents(written["clf"])


# --- the card -----------------------------------------------------------------------------------


def front_matter(card):
    return yaml.safe_load(card.split("---\n")[1])


def test_figures_in_the_card(shared, written):
    card = shared.files("ada/films")["README.md"].decode()
    original = (written["clf"] / "README.md").read_text()
    assert shared.files("ada/films")["card.md"].decode() == original
    assert card.split("---\n", 2)[2].strip() == original.split("---\n", 2)[2].strip()
    front = front_matter(card)
    (index,) = front.pop("model-index")
    assert front == front_matter(original)
    assert index["name"] == "films"
    test, unseen = index["results"]  # the tiny model's manifest has no figures of its training
    assert test["task"] == {"type": "text-classification", "name": "Text classification"}
    assert test["dataset"] == {"name": "films.csv", "type": "films.csv", "split": "test"}
    assert [(metric["type"], metric["value"]) for metric in test["metrics"]] == [
        ("accuracy", 0.75),
        ("f1", 0.7),
        ("f1", 0.72),
        ("ece", 0.1),
    ]  # no log loss: there is no number for it
    assert unseen["dataset"]["config"] == "not seen in training"
    assert unseen["metrics"][0]["value"] == 0.5
    # The library reads back what the Hub would show.
    assert len(huggingface_hub.ModelCard(card).data.eval_results) == 8


@pytest.mark.parametrize(
    ("kind", "measured", "expected"),
    [
        ("clf", {"valid": FIGURES}, [("accuracy", 0.75), ("f1", 0.7), ("f1", 0.72), ("ece", 0.1)]),
        ("lm", {"after": {"loss": 3.0, "perplexity": 20.1}}, [("perplexity", 20.1)]),
        ("lm", {"made_by": "a test"}, []),
    ],
)
def test_figures_of_the_training(tmp_path, kind, measured, expected):
    write = {"clf": write_classifier, "lm": write_lm}[kind]
    artifact = read_artifact(write(tmp_path / "m"))
    artifact.manifest.metrics.clear()
    artifact.manifest.metrics.update(measured)
    results = list(push.evaluation_results(push.Shared.of(artifact)))
    assert [(r.metric_type, r.metric_value) for r in results] == expected
    assert {r.dataset_split for r in results} <= {"valid"}
    assert ("model-index" in front_matter(push.hub_card(push.Shared.of(artifact), "m"))) is bool(
        expected
    )


def test_evaluation_that_is_none(tmp_path):
    path = write_classifier(tmp_path / "m")
    update_metrics(path, {"evaluation": {"films.csv": 0.75}})
    with refuses(
        f"{path / 'metrics.json'} does not hold what ulmfit evaluate writes; run it again"
    ):
        push.hub_card(push.Shared.of(read_artifact(path)), "films")


# --- what is sent, and who sees it --------------------------------------------------------------


def test_what_is_told_before_it_is_sent(site, written, capsys):
    push.main(model=str(written["clf"]), to="ada/films")
    out, err = capsys.readouterr()
    sent = {name: data for name, data in site.files("ada/films").items() if name[0] != "."}
    size = sum(map(len, sent.values()))
    assert out.splitlines() == [
        f"{site.url}/ada/films is public: everybody can see what is sent",
        f"sending {', '.join(sent)}; {size / 1e6:,.1f} MB",
        "the vocabulary lists words of the training texts",
        "manifest.json has a path of this computer: data = /home/ada/films.csv",
        f"pushed to {site.url}/ada/films; ulmfit pull --from ada/films --out DIR fetches it",
    ]
    push.main(model=str(written["lm"]), to="ada/lm")
    assert "a language model may give back sentences" in capsys.readouterr().out
    assert TOKEN not in out + err


def test_nothing_else_is_sent(site, written):
    push.main(model=str(written["clf"]), to="ada/films")
    pull.main(from_repo="ada/films", out="mine")
    for _, path, headers, _ in site.requests:
        assert not re.search("telemetry|harness|whoami", path)
        if "/store/" in path:  # where large files lie may be anywhere: the token stays here
            assert "authorization" not in headers
        else:
            assert re.fullmatch(USER_AGENT, headers["user-agent"])
    assert {path.split("/")[-1] for path in site.asked("GET") if "/resolve/" in path} == (
        {*contents("mine"), "card.md"} - {"README.md"}
    )


def test_private(site, written, tmp_path, monkeypatch, capsys):
    push.main(model=str(written["clf"]), to="ada/films", private=True)
    assert site.repositories["ada/films"]["private"]
    assert f"{site.url}/ada/films is private" in capsys.readouterr().out
    pull.main(from_repo="ada/films", out="mine")
    monkeypatch.delenv("HF_TOKEN")
    with refuses(
        "cannot pull hf://ada/films: there is no such repository, or it is private and not yours; "
        "check the name, or log in: hf auth login, or HF_TOKEN"
    ):
        pull.main(from_repo="ada/films", out="other")


def test_private_where_it_is_public_already(shared, written):
    before = shared.files("ada/films")
    with refuses(
        "hf://ada/films is there already and is public: nothing was sent; make it private in its "
        "settings on the Hub, or choose another name"
    ):
        push.main(model=str(written["lm"]), to="ada/films", private=True)
    assert shared.files("ada/films") == before


# --- what must never be written -----------------------------------------------------------------


@pytest.mark.parametrize("name", ["encoder.safetensors", "vocab.txt", "card.md", "history.csv"])
def test_altered_on_the_way(shared, tmp_path, name):
    content = bytearray(shared.files("ada/films")[name])
    content[-1] ^= 1
    shared.tampered[name] = bytes(content)
    file = "README.md" if name == "card.md" else name
    with refuses(
        f"hf://ada/films/{file} was altered: its sha256 is not the one in manifest.json; copy or "
        "train the model again; nothing was written"
    ):
        pull.main(from_repo="ada/films", out="models/mine")
    assert nothing_written(tmp_path)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"[", "hf://ada/films/manifest.json is not valid JSON: "),
        (b'{"format_version": 2}', "hf://ada/films/manifest.json: format version 2, "),
    ],
)
def test_manifest_that_is_none(shared, tmp_path, content, line):
    shared.tampered["manifest.json"] = content
    with pytest.raises(UserError, match=f"^{re.escape(line)}"):
        pull.main(from_repo="ada/films", out="mine")
    assert nothing_written(tmp_path)


def test_metrics_that_are_none(shared, tmp_path):
    shared.tampered["metrics.json"] = b"["
    with refuses(
        "hf://ada/films/metrics.json is missing or damaged; copy or train the model again; "
        "nothing was written"
    ):
        pull.main(from_repo="ada/films", out="mine")
    assert nothing_written(tmp_path)


def test_files_that_are_no_part_of_the_model(shared, written, tmp_path, capsys):
    extra = ["evil.py", "../x", "sub/encoder.safetensors", "pytorch_model.bin", "\x1b[2Jx"]
    shared.add("ada/films", dict.fromkeys(extra, b"import os"))
    path = pull.main(from_repo="ada/films", out="in/mine")
    assert contents(path) == contents(written["clf"])
    assert {file.name for file in (tmp_path / "in").iterdir()} == {"mine"}
    assert not [file for file in shared.asked("GET") if file.endswith(tuple(extra))]
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "left out, since no part of the model: [2Jx, ../x, evil.py, ...",
        "wrote in/mine, every file verified",
    ]


def listed(hub, name, content=b"import os"):
    """A manifest that lists one more file, hash and all."""
    manifest = json.loads(hub.files("ada/films")["manifest.json"])
    manifest["files"][name] = hashlib.sha256(content).hexdigest()
    hub.add("ada/films", {name: content, "manifest.json": json.dumps(manifest).encode()})


@pytest.mark.parametrize("name", ["../x.txt", "/tmp/x.txt", "sub/x.txt", ".netrc", "a\\b.txt"])
def test_manifest_that_leads_elsewhere(shared, tmp_path, name):
    listed(shared, name)
    line = (
        f'hf://ada/films/manifest.json: "files" names {json.dumps(name)}, '
        "a plain file name was expected"
    )
    with refuses(line):
        pull.main(from_repo="ada/films", out="mine")
    assert nothing_written(tmp_path)


@pytest.mark.parametrize("name", ["evil.py", "weights.pkl", "sitecustomize", "x.so"])
def test_manifest_that_lists_what_could_run(shared, tmp_path, name):
    listed(shared, name)
    with refuses(
        f"the manifest names {name}, expected files that end in .csv, .json, .md, .model, "
        ".png, .safetensors, .txt; nothing was written"
    ):
        pull.main(from_repo="ada/films", out="mine")
    assert not [path for path in shared.asked("GET") if path.endswith(name)]
    assert nothing_written(tmp_path)


@pytest.mark.parametrize(
    ("name", "size", "found"),
    [
        ("encoder.safetensors", 3 * 10**9, "of 3,000.0 MB"),
        ("vocab.txt", 10**8, "of 100.0 MB"),
        ("manifest.json", 10**9, "of 1,000.0 MB"),
        ("card.md", None, "of unknown size"),
    ],
)
def test_too_large(shared, tmp_path, name, size, found):
    shared.sizes[name] = size
    most = {"encoder.safetensors": "2,147.5", "manifest.json": "8.4"}.get(name, "33.6")
    with refuses(
        f"found {name} {found} in hf://ada/films, expected {most} MB at most; nothing was written"
    ):
        pull.main(from_repo="ada/films", out="mine")
    assert not [path for path in shared.asked("GET") if path.endswith(name)]
    assert nothing_written(tmp_path)


def test_incomplete(shared, tmp_path):
    files = shared.files("ada/films")
    del files["vocab.txt"]
    with refuses("hf://ada/films holds no model of ulmfit: vocab.txt is missing there"):
        pull.main(from_repo="ada/films", out="mine")
    del files["manifest.json"]
    with refuses("hf://ada/films holds no model of ulmfit: manifest.json is missing there"):
        pull.main(from_repo="ada/films", out="mine")
    assert nothing_written(tmp_path)


# --- errors of the Hub and the network ----------------------------------------------------------


def test_no_such_repository(site, tmp_path):
    with refuses(
        "cannot pull hf://ada/nothing: there is no such repository, or it is private and not "
        "yours; check the name, or log in: hf auth login, or HF_TOKEN"
    ):
        pull.main(from_repo="ada/nothing", out="mine")
    assert nothing_written(tmp_path)


def test_no_such_revision(shared):
    with refuses(
        "cannot pull hf://ada/films@v9: it has no such revision; give a branch, a tag or a commit "
        "that it has"
    ):
        pull.main(from_repo="ada/films", out="mine", revision="v9")


@pytest.mark.parametrize(
    ("request_line", "status", "words", "line"),
    [
        ("GET /api", 403, "no", "cannot pull hf://ada/films: the Hub answers 403 (no); use a t"),
        ("GET /api", 418, "a\n\x1b[31mb", "cannot pull hf://ada/films: the Hub answers 418 (a [31"),
        ("vocab", 401, "", "cannot pull vocab.txt of hf://ada/films: the Hub answers 401; log in "),
        ("HEAD", 418, "", "cannot pull manifest.json of hf://ada/films: the Hub answers 418; try "),
    ],
)
def test_answers_of_the_hub(shared, tmp_path, request_line, status, words, line):
    shared.answers[request_line] = (status, {}, words)
    with pytest.raises(UserError, match=f"^{re.escape(line)}"):
        pull.main(from_repo="ada/films", out="mine")
    assert nothing_written(tmp_path)


def test_gated(shared):
    shared.answers["GET /api"] = (403, {"X-Error-Code": "GatedRepo"}, "")
    with refuses(
        f"cannot pull hf://ada/films: its owner asks for an agreement first; see {shared.url}, "
        "then try again"
    ):
        pull.main(from_repo="ada/films", out="mine")


def test_wrong_token(site, written, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    for call in (
        lambda: pull.main(from_repo="ada/films", out="mine"),
        lambda: push.main(model=str(written["clf"]), to="ada/films"),
    ):
        line = (
            ": the Hub answers 401 (Invalid credentials in Authorization header); log in again: "
            "hf auth login, or set HF_TOKEN anew"
        )
        with pytest.raises(UserError, match=re.escape(line)) as error:
            call()
        assert "hf_wrong" not in str(error.value)


@pytest.mark.parametrize("token", ["hf_\x01abc", "hf_abc\u200b"])
def test_token_that_is_none(site, monkeypatch, token):
    monkeypatch.setenv("HF_TOKEN", token)
    with refuses(
        "the Hub's token holds characters that no token has; set HF_TOKEN again, or log in again: "
        "hf auth login"
    ):
        pull.main(from_repo="ada/films", out="mine")
    assert not site.requests


def test_token_that_cannot_be_got(site, monkeypatch):
    monkeypatch.setenv("HF_OIDC_RESOURCE", "ada/films")  # asks for a token of a CI service
    with pytest.raises(UserError, match=r"^cannot log in to the Hub: OIDCError: "):
        pull.main(from_repo="ada/films", out="mine")
    assert not site.requests


def test_not_logged_in(site, written, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    with refuses("not logged in to the Hub: hf auth login, or set HF_TOKEN"):
        push.main(model=str(written["clf"]), to="ada/films")
    assert not site.requests


@pytest.mark.parametrize(
    ("part", "line"),
    [
        ("POST /api/repos/create", "cannot push to hf://ada/films: the Hub answers 403 (not you"),
        ("PUT /store", "cannot push to hf://ada/films: the Hub answers 403 (not yours); use a tok"),
        ("/commit/", "cannot push to hf://ada/films: the Hub answers 403 (not yours); use a toke"),
    ],
)
def test_push_is_refused(site, written, part, line):
    site.answers[part] = (403, {}, "not yours")
    with pytest.raises(UserError, match=f"^{re.escape(line)}"):
        push.main(model=str(written["clf"]), to="ada/films")


def test_no_network(site, written, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    line = (
        "http://127.0.0.1:9 does not answer ([Errno 111] Connection refused); check the network "
        "and HF_ENDPOINT"
    )
    with refuses(f"cannot pull hf://ada/films: {line}"):
        pull.main(from_repo="ada/films", out="mine")
    with refuses(f"cannot push to hf://ada/films: {line}"):
        push.main(model=str(written["clf"]), to="ada/films")
    assert nothing_written(tmp_path)


def test_offline(shared, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    before = len(shared.requests)
    with refuses(
        "cannot pull hf://ada/films: HF_HUB_OFFLINE is set, which forbids all requests; unset it"
    ):
        pull.main(from_repo="ada/films", out="mine")
    assert len(shared.requests) == before


def test_without_the_library(site, written, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    line = (
        "the Hugging Face Hub needs the package huggingface_hub, which is missing: "
        'pip install "huggingface_hub>=2.4,<3"'
    )
    with refuses(line):
        pull.main(from_repo="ada/films", out="mine")
    with refuses(line):
        push.main(model=str(written["clf"]), to="ada/films")


# --- bad arguments ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["films", "a/b/c", "../x", "ada/", "/x", "ada/films@", "https://hf.co/a/b", "a b/c"]
)
def test_no_name_of_a_repository(site, written, name):
    line = f"found the name {name!r}, expected user/name or user/name@revision"
    with refuses(line):
        pull.main(from_repo=name, out="mine")
    with refuses(line):
        push.main(model=str(written["clf"]), to=name)
    with refuses(line.replace(repr(name), repr(f"hf://{name}"))):
        hub.resolve(f"hf://{name}")
    assert not site.requests


def test_missing_arguments(site, written):
    with refuses("give both --from user/name and --out DIR"):
        pull.main(from_repo="ada/films")
    with refuses("give both --model DIR and --to user/name"):
        push.main(to="ada/films")
    with refuses("--to is ada/films@v1, expected user/name without a revision"):
        push.main(model=str(written["clf"]), to="ada/films@v1")


def test_no_damaged_model_is_pushed(site, tmp_path):
    path = write_classifier(tmp_path / "m")
    (path / "vocab.txt").write_text("other")
    with refuses(
        f"{path / 'vocab.txt'} was altered: its sha256 is not the one in manifest.json; copy or "
        "train the model again"
    ):
        push.main(model=str(path), to="ada/films")
    assert not site.requests


# --- models by their name on the Hub ------------------------------------------------------------


def test_resolve_pulls_once(shared, written, tmp_path, monkeypatch, capsys):
    capsys.readouterr()
    path = hub.resolve("hf://ada/films")
    assert path == tmp_path / "cache" / "hub" / "ada--films@main"
    assert contents(path) == contents(written["clf"])
    assert capsys.readouterr().out == f"pulling hf://ada/films into {path}\n"
    before = len(shared.requests)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)  # not even needed any more
    assert hub.resolve("hf://ada/films@main") == path
    assert (len(shared.requests), capsys.readouterr().out) == (before, "")


def test_resolve_keeps_revisions_apart(shared):
    assert hub.resolve("hf://ada/films@first").name == "ada--films@first"
    odd = hub.Repository.parse("hf://ada/films@refs/pr/../1")
    assert odd.folder_name == "ada--films@refs%2Fpr%2F..%2F1"
    assert str(odd) == "hf://ada/films@refs/pr/../1"


def test_resolve_a_name_that_is_too_long(site, tmp_path):
    (tmp_path / "cache" / "hub").mkdir(parents=True)
    with pytest.raises(UserError, match=r"^cannot read .*: File name too long$"):
        hub.resolve(f"hf://ada/films@{'v' * 300}")


def test_resolve_leaves_nothing_of_what_failed(shared, tmp_path):
    shared.tampered["vocab.txt"] = shared.files("ada/films")["vocab.txt"].swapcase()
    with pytest.raises(UserError, match="was altered"):
        hub.resolve("hf://ada/films")
    assert nothing_written(tmp_path)


# --- as commands --------------------------------------------------------------------------------


def command(site, home, *arguments):
    environment = {
        **os.environ,
        "HF_ENDPOINT": site.url,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_XET": "1",
    }
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_as_commands(site, written, tmp_path):
    """The real thing once: modules, flags, endpoint and token from the environment."""
    model, home = str(written["clf"]), tmp_path / "home"
    there = command(site, home, "ulmfit.push", "--model", model, "--to", "ada/films", "--private")
    assert (there.returncode, there.stderr) == (0, "")
    assert site.repositories["ada/films"]["private"]
    back = command(site, home, "ulmfit.pull", "--from", "ada/films", "--out", "mine")
    assert (back.returncode, back.stdout) == (0, "wrote mine, every file verified\n"), back.stderr
    assert contents("mine") == contents(model)
    none = command(site, home, "ulmfit.pull", "--from", "ada/none", "--out", "other")
    assert (none.returncode, none.stdout, none.stderr.count("\n")) == (1, "", 1)
    assert none.stderr.startswith("error: cannot pull hf://ada/none: there is no such repository")
    assert all(TOKEN not in done.stdout + done.stderr for done in (there, back, none))
    assert not [h for _, _, h, _ in site.requests if "torch" in h.get("user-agent", "")]


def test_classifier_by_its_name_on_the_hub(shared, written):
    there = Classifier.load(written["clf"]).probabilities(TEXTS)
    assert np.array_equal(Classifier.load("hf://ada/films").probabilities(TEXTS), there)


# --- bundled models, where no package has them ---------------------------------------------------


@pytest.fixture
def bare(site, tmp_path, monkeypatch):
    """An installation without models: neither a checkout nor a package has them."""
    monkeypatch.setattr(bundled, "folders", list)
    monkeypatch.delenv(fetching.OWNER_VARIABLE, raising=False)
    return site


def on_the_hub(site, monkeypatch, owner="ulmfit"):
    """The default classifier in both directions on the Hub, known by its hash."""
    for number, direction in enumerate(("fwd", "bwd")):
        name = f"imdb-small-{direction}"
        model = write_classifier(Path(name), backwards=direction == "bwd", seed=number)
        site.add(f"{owner}/{name}", contents(model))
        pinned = file_sha256(model / "manifest.json")
        monkeypatch.setitem(fetching.MANIFESTS, name, pinned)
        shutil.rmtree(model)


def test_bundled_models_come_from_the_hub_once(bare, tmp_path, monkeypatch, capsys):
    on_the_hub(bare, monkeypatch)
    cache = tmp_path / "cache" / "hub"
    names = [f"ulmfit/imdb-small-{direction}" for direction in ("fwd", "bwd")]
    paths = [cache / f"{name.replace('/', '--')}@main" for name in names]
    assert bundled.model_folders("imdb-small") == [*map(str, paths)]
    lines = [f"pulling hf://{name} into {path}\n" for name, path in zip(names, paths, strict=True)]
    assert capsys.readouterr().out == "".join(lines)
    before = len(bare.requests)
    assert bundled.model_folders("imdb-small-bwd") == [str(paths[1])]
    assert Classifier.load("imdb-small").labels == ["neg", "pos"]
    assert (len(bare.requests), capsys.readouterr().out) == (before, "")


def test_a_bundled_model_from_another_owner(bare, monkeypatch):
    on_the_hub(bare, monkeypatch, owner="ada")
    monkeypatch.setenv(fetching.OWNER_VARIABLE, "ada")
    assert Classifier.load("imdb-small-bwd").folders[0].endswith("ada--imdb-small-bwd@main")


def test_another_model_of_the_same_name_is_refused(bare, tmp_path):
    bare.add("ulmfit/imdb-small-fwd", contents(write_classifier(tmp_path / "other")))
    path = tmp_path / "cache" / "hub" / "ulmfit--imdb-small-fwd@main"
    line = (
        "hf://ulmfit/imdb-small-fwd is another model than imdb-small-fwd, by the hash of its "
        f"manifest; delete {path}, and install the right one: pip install ulmfit-models-en"
    )
    for _ in range(2):  # the copy in the cache is refused, too
        with refuses(line):
            bundled.model_folders("imdb-small-fwd")


def test_a_bundled_model_that_is_nowhere(bare, monkeypatch, capsys):
    reason = (
        "cannot pull hf://ulmfit/wiki-en-small-bwd: there is no such repository, or it is private "
        "and not yours; check the name, or log in: hf auth login, or HF_TOKEN"
    )
    with refuses(f"wiki-en-small-bwd is not installed: pip install ulmfit-models-en ({reason})"):
        load_pretrained("wiki-en-small", backwards=True)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    line = "imdb-lm-small-fwd is not installed: pip install ulmfit-models-en-imdb-lm"
    capsys.readouterr()
    with refuses(line):
        LanguageModel.load("imdb-lm-small")
    assert capsys.readouterr().out == ""  # nothing is being pulled
    asked = len(bare.requests)
    assert bundled.model_folders("elsewhere") == ["elsewhere"]  # a name that the Hub is not asked
    assert len(bare.requests) == asked


def test_the_known_hashes_are_those_of_the_bundled_models():
    found = {
        path.parent.name: file_sha256(path)
        for path in (Path(__file__).parents[2] / "models").glob("*-small-?wd/manifest.json")
    }
    assert found == fetching.MANIFESTS
    assert {name.removesuffix("-fwd") for name in found if "-fwd" in name} == set(bundled.PACKAGES)
