"""Names of a package that are imported on first use, so that `import ulmfit` costs milliseconds."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def exports(package: str, modules: Mapping[str, str]) -> tuple[Callable[[str], Any], list[str]]:
    """A package's ``__getattr__`` (PEP 562) and ``__all__``.

    Args:
        package: the package's ``__name__``.
        modules: exported name -> module of the package that defines it.
    """

    def get(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{package}.{modules[name]}"), name)

    return get, sorted(modules)
