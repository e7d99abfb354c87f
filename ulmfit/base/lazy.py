"""Names of a package that are imported on first use, so that `import ulmfit` costs milliseconds."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def exports(package: str, modules: Mapping[str, str]) -> tuple[Callable[[str], Any], list[str]]:
    """A package's ``__getattr__`` (PEP 562) and ``__all__``.

    Args:
        package: the package's ``__name__``.
        modules: exported name -> module of the package, or ``module:name`` if it has another name
            there.
    """

    def get(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, _, own_name = modules[name].partition(":")
        return getattr(importlib.import_module(f"{package}.{module}"), own_name or name)

    return get, sorted(modules)
