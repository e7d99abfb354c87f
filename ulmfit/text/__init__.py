"""Rules, tokenizers, vocabularies, documents of ids, and batches. Imports `base`."""

from ulmfit.base.lazy import exports

__getattr__, __all__ = exports(__name__, {"TextProcessor": "processor"})
