"""The numbers of a config, which are checked before a model of that size is built."""

import pytest
from tiny_models import refuses

from ulmfit.artifacts.config import LMConfig

GOOD = {"vocab_sz": 2, "emb_sz": 4, "n_hid": 5, "n_layers": 1}


def test_the_smallest_config():
    assert LMConfig.from_dict(GOOD, "model").encoder.vocab_sz == 2


@pytest.mark.parametrize(
    ("name", "value", "lowest"),
    [("vocab_sz", 1, 1), ("vocab_sz", True, 1), ("emb_sz", 0, 0), ("n_layers", None, 0)],
)
def test_numbers_that_no_model_has(name, value, lowest):
    with refuses(
        f"model: found {name} {value!r} in the manifest's config, expected a whole number above "
        f"{lowest}; copy or train the model again"
    ):
        LMConfig.from_dict({**GOOD, name: value}, "model")
