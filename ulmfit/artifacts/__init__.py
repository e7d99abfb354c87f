"""Model directories: manifest, weights, card, lineage, the bundled ones and those of the Hub.
Imports `model`, `data`, `text` and `base`.
"""

from ulmfit.base.lazy import exports

__getattr__, __all__ = exports(__name__, {"read_artifact": "directory"})
