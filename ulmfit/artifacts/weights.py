"""Untrusted files of weights: sizes and headers are checked before memory is allocated."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ulmfit.base.errors import UserError
from ulmfit.base.untrusted import parse_json, plain_file

if TYPE_CHECKING:  # torch takes seconds to import
    import numpy as np
    from torch import Tensor

_DIMENSIONS = 8
_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8}
# Bytes of a file: ten times a model of size base with 60,000 words in float32.
_LARGEST_WEIGHTS = 2 << 30
_LARGEST = {
    "manifest.json": 8 << 20,
    "metrics.json": 8 << 20,
    "ensemble.json": 1 << 20,
    "seen.bin": 256 << 20,
}
_LARGEST_ELSE = 32 << 20
_LARGEST_HEADER = 1 << 20  # bytes; a model's header has some thousand


def largest(name: str) -> int:
    """The largest size in bytes of a model directory's file of this name, read or pulled."""
    weights = name.endswith(".safetensors")
    return _LARGEST_WEIGHTS if weights else _LARGEST.get(name, _LARGEST_ELSE)


class Header(NamedTuple):
    """Type and shape of a tensor in a safetensors file."""

    dtype: str  # safetensors' name, such as F32
    shape: tuple[int, ...]


def read_headers(file: Path) -> dict[str, Header]:
    """Type and shape of each tensor in a safetensors file.

    (`safetensors.safe_open` parses headers of up to 100 MB, for seconds, and accepts repeated
    names, any type, and a thousand dimensions.) Raises UserError if it is no safetensors file, or
    its length differs from the header.
    """
    with plain_file(file, largest(file.name)) as opened:
        length = int.from_bytes(opened.read(8), "little")
        if length > _LARGEST_HEADER:
            raise _damaged(file, f"its header would have {length:,} bytes")
        text = opened.read(length)
        rest = opened.seek(0, 2) - 8 - length
    found = parse_json(text, f"{file} holds no safetensors: its header")
    if not isinstance(found, dict):
        raise _damaged(file, "its header is no JSON object")
    found.pop("__metadata__", None)
    headers = {name: _header(file, name, entry) for name, entry in found.items()}
    expected = sum(_BYTES[h.dtype] * math.prod(h.shape) for h in headers.values())
    if rest != expected:
        raise _damaged(file, f"{max(rest, 0):,} bytes of tensors, its header says {expected:,}")
    return headers


def _header(file: Path, name: str, entry: Any) -> Header:
    entry = entry if isinstance(entry, dict) else {}
    dtype, shape = str(entry.get("dtype")), entry.get("shape")
    if dtype not in _BYTES:
        raise _damaged(file, f"weight {name} has type {dtype}, expected {', '.join(_BYTES)}")
    plain = isinstance(shape, list) and all(type(n) is int and n >= 0 for n in shape)
    if not plain or len(shape) > _DIMENSIONS:
        raise _damaged(file, f"weight {name} has no shape")
    return Header(dtype, tuple(shape))


def read_tensors(file: Path) -> "dict[str, Tensor]":
    """The tensors by name, as float32 (integers as they are), on the CPU.

    Raises UserError as `read_headers`, and if a number is not finite.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    read_headers(file)
    try:
        tensors = load_file(file)
    except SafetensorError as error:
        raise _damaged(file, str(error)) from error
    tensors = {name: t.float() if t.is_floating_point() else t for name, t in tensors.items()}
    if odd := [name for name, tensor in tensors.items() if not _is_finite(tensor)]:
        raise _not_finite(file, odd[0])
    return tensors


def _is_finite(tensor: "Tensor") -> bool:
    # Minimum and maximum are nan where any number is; one pass, an eighth of isfinite's time.
    return not tensor.numel() or all(math.isfinite(end) for end in tensor.aminmax())


def read_arrays(file: Path) -> "dict[str, np.ndarray]":
    """As `read_tensors`, without torch: float32 arrays by name.

    Raises:
        UserError: as `read_tensors`, or a type is none of numpy's.
    """
    import numpy as np
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    headers = read_headers(file)
    if odd := [name for name, header in headers.items() if header.dtype in ("BF16", "I64")]:
        raise _damaged(file, f"weight {odd[0]} has type {headers[odd[0]].dtype}, expected F32")
    try:
        found = load_file(file)
    except SafetensorError as error:
        raise _damaged(file, str(error)) from error
    with np.errstate(over="ignore"):  # what float32 cannot hold is refused below
        arrays = {name: array.astype(np.float32) for name, array in found.items()}
    if odd := [name for name, array in arrays.items() if not np.isfinite(array).all()]:
        raise _not_finite(file, odd[0])
    return arrays


def _not_finite(file: Path, name: str) -> UserError:
    return UserError(
        f"{file}: weight {name} has numbers that are not finite; copy or train the model again"
    )


def _damaged(file: Path, reason: str) -> UserError:
    return UserError(f"{file} holds no safetensors: {reason}; copy or train the model again")
