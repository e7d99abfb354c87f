"""Model directories: manifest, weights, card, lineage, bundled models, and the Hugging Face Hub.
Imports `model`, `data`, `text` and `base`.
"""

from ulmfit.base.lazy import exports

__getattr__, __all__ = exports(__name__, {"read_artifact": "directory"})
