"""Versions of the package and of libraries, from their metadata: an import may take seconds."""

from importlib.metadata import PackageNotFoundError, version


def version_of(library: str, missing: str = "not installed") -> str:
    """The version of an installed library, or `missing`."""
    try:
        return version(library)
    except PackageNotFoundError:
        return missing


__version__ = version_of("ulmfit", "0+unknown")  # unknown in a folder that was not installed
