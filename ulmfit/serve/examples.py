"""Texts to try with one click."""

from dataclasses import dataclass

from ulmfit.artifacts.lineage import lineage
from ulmfit.base.errors import UserError
from ulmfit.base.log import logger
from ulmfit.data.load import source_name
from ulmfit.inference.ensemble import Classifier

_MOST, _LONGEST = 3, 240  # texts; characters of a text
_OF_DATA: dict[str, tuple[str, ...]] = {
    "imdb": (
        "I laughed all the way through, and the last scene had me in tears. See it twice.",
        "Two hours of my life that nobody will give back. Wooden acting, and a plot full of holes.",
        "The pictures are lovely and the music is fine, but the story never gets going.",
    )
}
_OF_DATA["imdb-sample"] = _OF_DATA["imdb"]
PROMPTS = ("This is", "I would like to", "It was one of the")


@dataclass(frozen=True)
class Examples:
    """The texts, and a remark on where they come from."""

    texts: tuple[str, ...] = ()
    note: str = ""


def examples_for(classifier: Classifier) -> Examples:
    """Texts of the kind that the classifier was trained on; none where they are unknown.

    They are our own for the films of IMDb. Other classifiers have texts that the language model
    before them wrote, if it is found.
    """
    data = classifier.models[0].artifact.manifest.recipe.get("data")
    if (name := source_name(str(data))) in _OF_DATA:
        return Examples(_OF_DATA[name])
    for loaded in classifier.models:
        try:
            for parent in lineage(loaded.artifact):
                written = parent.manifest.metrics.get("samples")
                if parent.manifest.direction == "forward" and isinstance(written, list):
                    texts = tuple(_shortened(str(text)) for text in written[:_MOST])
                    return Examples(texts, "The language model wrote them.")
        except UserError as error:
            logger.info(f"the page has no examples: {error}")
    return Examples()


def _shortened(text: str) -> str:
    """The beginning of a text, which ends with a whole word."""
    if len(text) <= _LONGEST:
        return text
    cut = text[:_LONGEST].rpartition(" ")[0] or text[:_LONGEST]
    return f"{cut} …"
