"""The JSON API: classes of one text or many, the models, and the server's health."""

import json
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from ulmfit.data.formats_base import plain_text
from ulmfit.data.load import source_name
from ulmfit.inference.ensemble import Classifier
from ulmfit.inference.loaded import LoadedModel
from ulmfit.inference.loaded_int8 import LoadedInt8
from ulmfit.inference.loaded_linear import LoadedLinear
from ulmfit.inference.predicted import predictions_of
from ulmfit.inference.student import FastClassifier, exact_of
from ulmfit.serve.batching import Batcher, while_there
from ulmfit.serve.limits import Limits

EXPECTED = 'expected {"text": "..."} or {"texts": ["...", ...]}'


async def predict(request: Request) -> JSONResponse:
    """POST {"text": ...} or {"texts": [...]}: label, its probability, and each class's."""
    limits: Limits = request.app.state.limits
    body = _body(request, await request.body())
    alone = "text" in body
    texts = _texts(body)
    limits.check_texts(len(texts))
    for i, text in enumerate(texts):
        limits.check_text(text, "the text" if alone else f"text {i + 1}")
    batcher: Batcher = request.app.state.batcher
    batcher.check_room(texts, limits)
    found = await while_there(request, batcher.answers(texts))
    predictions = predictions_of(batcher.classifier.labelling, found)
    return JSONResponse(predictions[0] if alone else {"predictions": predictions})


def _body(request: Request, raw: bytes) -> dict[str, Any]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise HTTPException(
            415, f"found the content type {kind[:60] or 'of nothing'!r}, expected application/json"
        )
    try:
        body = json.loads(raw, object_pairs_hook=_object)
    except (ValueError, RecursionError):  # nested deeper than Python's stack
        raise HTTPException(400, f"the request is not valid JSON; {EXPECTED}") from None
    if not isinstance(body, dict) or len(body) != 1 or not {"text", "texts"} & set(body):
        raise HTTPException(400, f"found {_kind(body)}; {EXPECTED}")
    return body


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):  # programs disagree on which one counts
        raise HTTPException(400, f"found a name twice in an object; {EXPECTED}")
    return made


def _texts(body: dict[str, Any]) -> list[str]:
    texts = [body["text"]] if "text" in body else body["texts"]
    if not isinstance(texts, list):
        raise HTTPException(400, f'"texts" is {_kind(texts)}; {EXPECTED}')
    for i, text in enumerate(texts):
        if not isinstance(text, str | None):
            name = '"text"' if "text" in body else f"text {i + 1}"
            raise HTTPException(400, f"{name} is {_kind(text)}, expected a string; {EXPECTED}")
    return [plain_text(text) for text in texts]  # null is a missing text


_KINDS = {dict: "an object", list: "a list", str: "a string", bool: "true or false"}


def _kind(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, dict):
        names = ", ".join(json.dumps(str(name)[:20]) for name in list(value)[:3])
        return f"an object with {names}" if names else "an empty object"
    return _KINDS.get(type(value), "a number")


async def health(request: Request) -> JSONResponse:
    """GET: the server is up and its models are loaded."""
    return JSONResponse({"status": "ok", "waiting": request.app.state.batcher.waiting})


async def model(request: Request) -> JSONResponse:
    """GET: the classes, the models of the ensemble, and the limits of a request."""
    answering: Classifier | FastClassifier = request.app.state.batcher.classifier
    classifier = exact_of(answering)
    limits: Limits = request.app.state.limits
    models = [_facts(loaded) for loaded in classifier.models]
    if ensemble := classifier.ensemble:
        for facts, member in zip(models, ensemble.members, strict=True):
            facts["weight"] = member.weight
    return JSONResponse(
        {
            "labels": classifier.labels,
            "multi_label": classifier.labelling.multi,
            "models": models,
            **_student(answering),
            "limits": {
                "body_bytes": limits.body_bytes,
                "texts": limits.texts,
                "characters": limits.characters,
                "rows": limits.rows,
            },
        }
    )


def _student(classifier: Classifier | FastClassifier) -> dict[str, Any]:
    """The student that answers first, and how often it did; nothing without one."""
    if not isinstance(classifier, FastClassifier):
        return {}
    artifact = classifier.student.artifact
    return {
        "student": {
            "name": artifact.path.resolve().name,
            "threshold": classifier.threshold,
            "manifest_sha256": artifact.manifest_sha256,
            "answered": classifier.answered - classifier.asked,
            "passed_on": classifier.asked,
        }
    }


def _facts(loaded: LoadedModel | LoadedLinear | LoadedInt8) -> dict[str, Any]:
    manifest = loaded.artifact.manifest
    data = manifest.recipe.get("data")
    return {
        "name": loaded.artifact.path.resolve().name,
        "direction": manifest.direction,
        "size": manifest.size,
        "trained_on": source_name(str(data)) if data else None,
        "temperature": loaded.temperature,
        "precision": loaded.precision,
        "manifest_sha256": loaded.artifact.manifest_sha256,
    }
