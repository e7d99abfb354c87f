"""How large the files of a model directory may be: larger ones are neither read nor pulled."""

# Bytes: ten times a model of size base with 60,000 words in float32.
_LARGEST_WEIGHTS = 2 << 30
_LARGEST = {"manifest.json": 8 << 20, "metrics.json": 8 << 20, "ensemble.json": 1 << 20}
_LARGEST_ELSE = 32 << 20
LARGEST_HEADER = 1 << 20  # of a file of weights; a model's has some thousand bytes


def largest(name: str) -> int:
    """How many bytes the file of that name may have in a model directory."""
    weights = name.endswith(".safetensors")
    return _LARGEST_WEIGHTS if weights else _LARGEST.get(name, _LARGEST_ELSE)
