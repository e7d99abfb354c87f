"""Texts and labels: sources, columns, file formats, splits, duplicates, checks.
Imports `model` (the losses of labels), `text` and `base`.
"""

from ulmfit.base.lazy import exports

__getattr__, __all__ = exports(__name__, {"load_data": "load"})
