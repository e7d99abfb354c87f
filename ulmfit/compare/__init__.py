"""ULMFiT beside other methods: `python -m ulmfit.compare`, its methods, trials, tables and plots.
Imports `report`, the stages and below.
"""

from ulmfit.base.lazy import exports

__getattr__, __all__ = exports(__name__, {"compare": "run"})
