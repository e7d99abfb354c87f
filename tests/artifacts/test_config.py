"""The configs of a manifest: what they hold, what is refused, and in which words."""

import json
import math
from pathlib import Path

import pytest
from tiny_models import refuses

from ulmfit.artifacts.config import ClassifierConfig, LMConfig
from ulmfit.artifacts.manifest import Manifest
from ulmfit.model.sizes import EncoderConfig

ENCODER = EncoderConfig(60, 24, 32, 2)
LM = ENCODER.as_dict()
CLASSIFIER = {**LM, "max_len": 1440, "hidden": 10}
COPY = "copy or train the model again"


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"corpus": "ab12"},
        {"texts": "ab12", "withheld": []},
        {"texts": "ab12", "withheld": ["cd34"], "of_another_version": {"a": [1]}},
    ],
)
def test_config_of_a_language_model_goes_through_a_manifest(more):
    found = LMConfig.from_dict({**LM, **more}, "m")
    assert found.encoder == ENCODER
    assert found.as_dict() == {**LM, **more}


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"prior": [0.25, 0.75]},
        {"prior": [0.5, 0.9], "multi_label": True, "temperature": 1},
        {"temperature": 1.5, "of_another_version": None},
    ],
)
def test_config_of_a_classifier_goes_through_a_manifest(more):
    found = ClassifierConfig.from_dict({**CLASSIFIER, **more}, 2, "m")
    assert (found.encoder, found.max_len, found.hidden) == (ENCODER, 1440, 10)
    assert found.as_dict() == {**CLASSIFIER, **more}


def test_one_set_of_texts_withheld_as_the_first_models_have_it():
    assert LMConfig.from_dict({**LM, "withheld": "cd34"}, "m").withheld == ["cd34"]


def test_bundled_models_are_written_as_they_are():
    found = sorted(Path(__file__).parents[2].glob("models/*-small-*/manifest.json"))
    assert found
    for file in found:
        text = file.read_text(encoding="utf-8")
        assert json.loads(Manifest.from_json(text, file).to_json()) == json.loads(text)


@pytest.mark.parametrize("value", [None, 0, -1, "24", 2.0, True])
def test_number_of_no_model(value):
    with refuses(
        f"models/a: found emb_sz {value!r} in the manifest's config, expected a whole number "
        f"above 0; {COPY}"
    ):
        LMConfig.from_dict({**LM, "emb_sz": value}, "models/a")


@pytest.mark.parametrize(
    ("key", "value"), [("texts", 1), ("withheld", ["ab", None]), ("withheld", {}), ("corpus", [])]
)
def test_fingerprint_that_is_none(key, value):
    with refuses(
        f"m: found {key} {value} in the manifest's config, expected fingerprints of texts; {COPY}"
    ):
        LMConfig.from_dict({**LM, key: value}, "m")


def test_temperature():
    def temperature(**config):
        return ClassifierConfig.from_dict(CLASSIFIER | config, 2, "m").temperature

    assert temperature() is None
    assert temperature(temperature=2) == 2.0
    assert temperature(temperature=0.25) == 0.25


@pytest.mark.parametrize("bad", [0, -1.5, math.nan, math.inf, 10**400, "2", None, True, [1.0]])
def test_a_temperature_that_is_none(bad):
    with refuses(
        f"m: found temperature {bad!r} in the manifest's config, expected a finite number above "
        "0; give the model a new one: python -m ulmfit.calibrate"
    ):
        ClassifierConfig.from_dict(CLASSIFIER | {"temperature": bad}, 2, "m")
