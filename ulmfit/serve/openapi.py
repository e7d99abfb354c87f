"""The JSON API in OpenAPI's terms (version 3.1)."""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from ulmfit.serve.limits import Limits
from ulmfit.serve.openapi_forms import form_paths


def description(labels: Sequence[str], limits: Limits, lm: bool = False) -> dict[str, Any]:
    """The content of /openapi.json; `lm` is whether there is a page of the next word."""
    paths = {
        "/predict": {"post": _predict()},
        "/health": {"get": _get("Whether the server is up", _ref("Health"))},
        "/model": {"get": _get("What answers", _ref("Model"))},
        **form_paths(limits, lm),
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ulmfit",
            "version": version("ulmfit"),
            "summary": f"Classifies texts as one of {', '.join(labels[:10])}",
        },
        "paths": paths,
        "components": {"schemas": _schemas(labels, limits)},
    }


def _predict() -> dict[str, Any]:
    body = {"oneOf": [_ref("Text"), _ref("Texts")]}
    answer = {"oneOf": [_ref("Prediction"), _ref("Predictions")]}
    errors = {
        "400": "The request is not what is expected",
        "403": "The request comes from a page of another site",
        "408": "The request took too long to arrive",
        "413": "More bytes or texts than one request may bring",
        "415": "The request is not application/json",
        "503": "Too many texts are waiting; try again in a moment",
    }
    return {
        "summary": "The class of one text, or of several",
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {
            "200": _response("The prediction, or those of the texts in their order", answer),
            **{status: _response(text, _ref("Error")) for status, text in errors.items()},
        },
    }


def _get(summary: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"summary": summary, "responses": {"200": _response(summary, schema)}}


def _response(text: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(properties: dict[str, Any], required: Sequence[str] | None = None) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties if required is None else required),
        "additionalProperties": False,
    }


def _schemas(labels: Sequence[str], limits: Limits) -> dict[str, Any]:
    text = {"type": ["string", "null"], "maxLength": limits.characters}
    share = {"type": "number", "minimum": 0, "maximum": 1}
    prediction = _object(
        {
            "label": {"type": "string"},
            "probability": share,
            "probabilities": _object(dict.fromkeys(labels, share)),
            "note": {"type": "string"},
        },
        required=["label", "probability", "probabilities"],
    )
    many, names = {"type": "array", "items": _ref("Prediction")}, {"type": "string"}
    count = {"type": "integer", "minimum": 0}
    student = {"name": names, "threshold": share, "manifest_sha256": names}
    return {
        "Text": _object({"text": text}),
        "Texts": _object({"texts": {"type": "array", "items": text, "maxItems": limits.texts}}),
        "Prediction": prediction,
        "Predictions": _object({"predictions": many}),
        "Health": _object({"status": {"const": "ok"}, "waiting": {"type": "integer"}}),
        "Model": _object(
            {
                "labels": {"type": "array", "items": names},
                "multi_label": {"type": "boolean"},
                "models": {"type": "array", "items": {"type": "object"}},
                "student": _object({**student, "answered": count, "passed_on": count}),
                "limits": {"type": "object", "additionalProperties": {"type": "integer"}},
            },
            required=["labels", "multi_label", "models", "limits"],
        ),
        "Error": _object({"error": names}),
    }
