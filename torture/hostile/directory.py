"""A model directory in an attacker's hands: files changed, hashes recomputed, so that they hold."""

import hashlib
import json
import random
import struct
from pathlib import Path
from typing import Any

MANIFEST, METRICS = "manifest.json", "metrics.json"
WEIGHTS = ("encoder.safetensors", "head.safetensors")


class Directory:
    """The files of a model directory at `path`, which may be bent."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def names(self) -> list[str]:
        """All files, sorted."""
        return sorted(entry.name for entry in self.path.iterdir())

    def read(self, name: str) -> bytes:
        """The content of a file."""
        return (self.path / name).read_bytes()

    def write(self, name: str, content: bytes) -> None:
        """Change a file, and the manifest so that its hashes hold, as an attacker would."""
        (self.path / name).write_bytes(content)
        if name in (MANIFEST, METRICS):
            return
        manifest = self.json(MANIFEST)
        manifest["files"][name] = hashlib.sha256(content).hexdigest()
        if name == "vocab.txt":  # what the manifest says of the tokenizer holds as well
            manifest["tokenizer"]["vocab_sha256"] = hashlib.sha256(content).hexdigest()
        self.write_json(MANIFEST, manifest)

    def json(self, name: str) -> Any:
        """The value of a JSON file."""
        return json.loads(self.read(name))

    def write_json(self, name: str, value: Any) -> None:
        """Change a JSON file."""
        self.write(name, json.dumps(value).encode("utf-8", "surrogatepass"))

    def tensors(self, name: str) -> tuple[dict[str, Any], bytes]:
        """Header and bytes of a safetensors file."""
        content = self.read(name)
        (length,) = struct.unpack("<Q", content[:8])
        return json.loads(content[8 : 8 + length]), content[8 + length :]

    def write_tensors(self, name: str, header: Any, data: bytes, length: int | None = None) -> None:
        """Write a safetensors file; its header claims `length` bytes."""
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        claimed = len(text) if length is None else length
        self.write(name, struct.pack("<Q", claimed) + text + data)


def bent(content: bytes, rng: random.Random) -> bytes:
    """`content` cut, flipped, overwritten, doubled or filled somewhere."""
    made = bytearray(content)
    if not made:
        return bytes([rng.randrange(256)])
    at, way = rng.randrange(len(made)), rng.randrange(6)
    if way == 0:
        del made[at:]
    elif way == 1:
        for _ in range(rng.choice((1, 1, 2, 8, 64))):
            made[rng.randrange(len(made))] ^= 1 << rng.randrange(8)
    elif way == 2:
        size = rng.randrange(1, 1 << rng.randrange(1, 12))
        made[at : at + size] = rng.randbytes(len(made[at : at + size]))
    elif way == 3:
        made[at:at] = rng.randbytes(rng.randrange(1, 64))
    elif way == 4:
        end = at + rng.randrange(1, 400)
        made[at:end] = bytes([rng.choice((0, 127, 255))]) * len(made[at:end])
    else:
        made[at:at] = made[rng.randrange(len(made)) :][: 1 << rng.randrange(12)]
    return bytes(made)


class Raw(str):
    """A piece of text that is put into JSON as it is, such as NaN."""


ODD_VALUES: list[Any] = [
    None,
    True,
    0,
    -1,
    1,
    3,
    2**31,
    2**63,
    10**12,
    10**300,
    -(10**18),
    0.5,
    1e-300,
    -0.0,
    "",
    "x",
    "\x1b[31mred",
    "\ud800",
    "a\x00b",
    "../../etc/passwd",
    "9" * 1000,
    "long " * 20_000,
    [],
    {},
    [[]],
    [None],
    [1.5] * 3,
    ["a", "a"],
    {"a": {"b": 1}},
    {"": ""},
    Raw("NaN"),
    Raw("Infinity"),
    Raw("1e999"),
    Raw("9" * 4000),
    Raw("9" * 5000),
    Raw("[" * 40 + "]" * 40),
    Raw("[" * 900 + "]" * 900),
    Raw("[" * 100_000),
    Raw('{"a":' * 500 + "1" + "}" * 500),
    Raw('{"a": 1, "a": 2}'),
    Raw("[" + "[]," * 200_000 + "[]]"),
]


def bent_json(value: Any, rng: random.Random) -> str:
    """`value` as JSON, with one odd value, key or order somewhere."""
    raw: list[str] = []

    def odd() -> Any:
        made = rng.choice(ODD_VALUES)
        if isinstance(made, Raw):
            raw.append(made)
            return f"@raw{len(raw) - 1}@"
        return made

    places = list(_places(value))
    way = rng.randrange(8)
    if way == 0 or not places:
        value = odd()
    else:
        inside, key = rng.choice(places)
        if way == 1:
            del inside[key]
        elif way == 2 and isinstance(inside, dict):
            inside[rng.choice(("new", "", "\x1b]0;x\x07", "\ud800", "files", "a" * 5000))] = odd()
        elif way == 3 and isinstance(inside, list):
            inside += inside
        elif way == 4 and isinstance(inside[key], (int, float)):
            inside[key] = inside[key] * rng.choice((-1, 0, 2, 0.5, 1000, 10**9))
        else:
            inside[key] = odd()
    text = json.dumps(value)
    for number, piece in enumerate(raw):
        text = text.replace(f'"@raw{number}@"', piece)
    return text


def _places(value: Any) -> Any:
    keys = value.keys() if isinstance(value, dict) else range(len(value))
    for key in list(keys):
        yield value, key
        if isinstance(value[key], (dict, list)):
            yield from _places(value[key])
