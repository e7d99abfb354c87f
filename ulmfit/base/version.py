"""The version of the package."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("ulmfit")
except PackageNotFoundError:  # run from a folder that was not installed
    __version__ = "0+unknown"
