"""Linear classifiers' and ensembles' directories, written in milliseconds."""

import json
from dataclasses import replace

import numpy as np
from tiny_models import write_classifier

from ulmfit.artifacts.card import model_card
from ulmfit.artifacts.config import NB_LR, TFIDF_LR, LinearConfig
from ulmfit.artifacts.directory import read_artifact
from ulmfit.artifacts.ensemble import write_ensemble
from ulmfit.artifacts.manifest import FORMAT_VERSION, NO_DIRECTION, Manifest
from ulmfit.artifacts.writing import write_linear
from ulmfit.data.labels import MULTI, SINGLE
from ulmfit.inference.baseline import regressions_of
from ulmfit.inference.linear import LinearClassifier, fit_vectorizer, link_of

READ = {
    "neg": ["The worst story, never again !", "the music was dull", "a bad film , dull and old"],
    "pos": ["A great film about the sea", "best story , good actors", "I laughed ; it is great"],
    "mid": ["a quiet film", "old letters to the sea", "its keeper reads"],
}


def linear(features=NB_LR, labels=("neg", "pos"), multi_label=False):
    """A classifier of a few texts."""
    texts = [text for label in labels for text in READ[label]]
    kind = replace(MULTI if multi_label else SINGLE, classes=list(labels))
    cells = [label for label in labels for _ in READ[label]]
    made = fit_vectorizer(features, texts)
    fit, _ = regressions_of(features, cells, kind)
    (fitted,) = fit(made.transform(texts), kind.encode(cells), kind, [(None, 3.0)])
    return LinearClassifier(features, made, link_of(features, kind), fitted)


def write_tiny_linear(out, features=NB_LR, labels=("neg", "pos"), multi_label=False, **more):
    """Its directory; `more` are fields of the manifest."""
    made = linear(features, labels, multi_label)
    manifest = Manifest(
        **{
            "format_version": FORMAT_VERSION,
            "kind": "linear",
            "direction": NO_DIRECTION,
            "size": features,
            "config": LinearConfig(
                features=features,
                ngrams=len(made.ngrams),
                strength=made.strength,
                prior=[1 / len(labels)] * len(labels),
                multi_label=multi_label,
            ),
            "tokenizer": {},
            "labels": list(labels),
            "recipe": {},
            "seed": 42,
            "metrics": {},
            "versions": {},
            "data_fingerprint": "d1",
            "parent": None,
            "files": {},
            **more,
        }
    )
    card = model_card(manifest, [])
    return write_linear(out, manifest=manifest, arrays=made.arrays(), ngrams=made.ngrams, card=card)


def write_members(folder, **more):
    """Artifacts of a forward, a backward and two linear classifiers, by name."""
    return {
        "fwd": read_artifact(write_classifier(folder / "clf-fwd", **more)),
        "bwd": read_artifact(write_classifier(folder / "clf-bwd", True, 1, **more)),
        "nb": read_artifact(write_tiny_linear(folder / "clf-nb", recipe=recipe_of(more))),
        "tfidf": read_artifact(
            write_tiny_linear(folder / "clf-tfidf", TFIDF_LR, recipe=recipe_of(more))
        ),
    }


def recipe_of(more):
    return dict(more.get("recipe") or {})


def write_tiny_ensemble(out, weights=(0.4, 0.3, 0.2, 0.1), temperature=1.5, names=None, **more):
    """An ensemble's directory of the members `names`, all four if None."""
    members = write_members(out.parent / f"{out.name}-parts", **more)
    members = {name: members[name] for name in names or members}
    shares = np.array(weights[: len(members)]) / sum(weights[: len(members)])
    return write_ensemble(
        out, members, shares.tolist(), temperature=temperature, card="# Ensemble\n"
    )


def change_ensemble(path, **changes):
    """Write ``ensemble.json`` with `changes`, whatever they are."""
    file = path / "ensemble.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
