"""The text layer: rules, tokenizers, vocabularies, documents of ids, and batches of them.
Imports `base`.
"""

from ulmfit.base.lazy import exports

__getattr__, __all__ = exports(__name__, {"TextProcessor": "processor"})
