"""What `--precision auto` means: by hardware, by oneDNN's limit, or by ULMFIT_PRECISION."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_models import TEXTS, needs_bfloat16, refuses, write_classifier
from tiny_stages import write_csv

from ulmfit.base.precision import bfloat16_features, hardware, resolve_precision

CPU = torch.device("cpu")
ROOT = Path(__file__).parents[2]


@pytest.fixture
def cpu(monkeypatch):
    """A function that makes this a CPU with some features."""
    for name in ("ULMFIT_PRECISION", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"):
        monkeypatch.delenv(name, raising=False)

    def with_features(*features):
        found = dict.fromkeys(features, True)
        monkeypatch.setattr("torch.cpu.get_capabilities", lambda: found)

    return with_features


@pytest.mark.parametrize(
    ("features", "dtype"),
    [
        ((), torch.float32),
        (("avx2", "avx512_f"), torch.float32),
        (("avx512_bf16",), torch.bfloat16),
        (("amx_bf16", "avx512_bf16"), torch.bfloat16),
    ],
)
def test_auto_is_by_hardware(cpu, features, dtype):
    cpu(*features)
    assert resolve_precision("auto", CPU) == dtype


@pytest.mark.parametrize(
    ("limit", "features"),
    [
        ("AVX2", []),
        ("avx512_core", []),
        ("AVX512_CORE_VNNI", []),
        ("AVX512_CORE_BF16", ["avx512_bf16"]),
        ("AVX512_CORE_FP16", ["avx512_bf16"]),
        ("AVX512_CORE_AMX", ["amx_bf16", "avx512_bf16"]),
        ("DEFAULT", ["amx_bf16", "avx512_bf16"]),
        ("", ["amx_bf16", "avx512_bf16"]),
    ],
)
@pytest.mark.parametrize("variable", ["ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"])
def test_auto_follows_the_limit_of_onednn(cpu, monkeypatch, variable, limit, features):
    cpu("amx_bf16", "avx512_bf16")
    monkeypatch.setenv(variable, limit)
    assert bfloat16_features() == features
    assert ("avx512_bf16" in hardware()) == ("avx512_bf16" in features)
    assert resolve_precision("auto", CPU) == (torch.bfloat16 if features else torch.float32)


def test_the_variable_overrides_auto_alone(cpu, monkeypatch):
    cpu("avx512_bf16")
    monkeypatch.setattr("ulmfit.base.precision.has_bfloat16", lambda device: True)
    monkeypatch.setenv("ULMFIT_PRECISION", "float32")
    assert resolve_precision("auto", CPU) == torch.float32
    assert resolve_precision("bfloat16", CPU) == torch.bfloat16
    cpu()
    monkeypatch.setenv("ULMFIT_PRECISION", "bfloat16")
    assert resolve_precision("auto", CPU) == torch.bfloat16
    assert resolve_precision("float32", CPU) == torch.float32


@pytest.mark.parametrize("value", ["", "auto"])
def test_a_variable_that_says_nothing(cpu, monkeypatch, value):
    cpu("avx512_bf16")
    monkeypatch.setenv("ULMFIT_PRECISION", value)
    assert resolve_precision("auto", CPU) == torch.bfloat16


def test_a_bad_variable_is_named(cpu, monkeypatch):
    monkeypatch.setenv("ULMFIT_PRECISION", "half")
    with refuses("ULMFIT_PRECISION is 'half', expected one of auto, bfloat16, float32"):
        resolve_precision("auto", CPU)
    monkeypatch.setenv("ULMFIT_PRECISION", "bfloat16")
    monkeypatch.setattr("ulmfit.base.precision.has_bfloat16", lambda device: False)
    with refuses(
        "ULMFIT_PRECISION is 'bfloat16', but no LSTM runs in it on this machine; "
        "use auto or float32"
    ):
        resolve_precision("auto", CPU)


@needs_bfloat16
def test_the_command_follows_the_variable_and_the_limit(tmp_path):
    """With oneDNN limited to AVX2, no LSTM runs in bfloat16: `auto` has to be float32."""
    model = write_classifier(tmp_path / "clf")
    limits = {
        "limited": {"ONEDNN_MAX_CPU_ISA": "AVX2", "ULMFIT_PRECISION": "auto"},
        "float32": {"ULMFIT_PRECISION": "float32"},
        "bfloat16": {"ULMFIT_PRECISION": "bfloat16"},
    }
    texts = write_csv(tmp_path / "texts.csv", ["text"], [[text] for text in TEXTS])
    command = [sys.executable, "-m", "ulmfit.predict", f"--clf={model}", f"--input={texts}"]
    written = {}
    for name, variables in limits.items():
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
        out = tmp_path / f"{name}.csv"
        done = subprocess.run(
            [*command, f"--output={out}"], env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        written[name] = pd.read_csv(out)["pos"]
    far = {name: np.abs(found - written["float32"]).max() for name, found in written.items()}
    assert far["limited"] < 1e-5 < far["bfloat16"]  # other instructions, another order of sums
