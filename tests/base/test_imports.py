"""Imports without a search for garbage."""

import gc
import subprocess
import sys

import pytest

from ulmfit.base.imports import importing

FIRST = """
import gc
from ulmfit.base.imports import importing
with importing():
    assert not gc.isenabled()
    import torch
assert gc.isenabled() and gc.get_freeze_count() > 100_000
frozen = gc.get_freeze_count()
with importing():
    assert gc.isenabled()
assert gc.get_freeze_count() == frozen
"""


def test_the_first_import_is_left_out_of_all_searches():
    subprocess.run([sys.executable, "-c", FIRST], check=True)


def test_the_search_goes_on_after_an_error(monkeypatch):
    monkeypatch.delitem(sys.modules, "torch")
    monkeypatch.setattr(gc, "freeze", lambda: None)
    with pytest.raises(ImportError), importing():
        raise ImportError
    assert gc.isenabled()
    monkeypatch.setattr(gc, "isenabled", lambda: False)
    monkeypatch.setattr(gc, "enable", pytest.fail)
    with importing():
        pass
