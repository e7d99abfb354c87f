"""Ways to bend a model directory: each a function of the directory and a random generator.

An attack returns what it did, in a few words, so that a failure can be told.
"""

import math
import os
import pickle
import random
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

from torture.hostile.directory import MANIFEST, METRICS, WEIGHTS, Directory, bent, bent_json

Bend = Callable[[Directory, random.Random], str]
SPARSE = 1 << 40  # bytes of a file without content


class Attack(NamedTuple):
    """A way to bend directories.

    what: its row in the table. tries: how many at scale 1. refused: whether every try has to be
    refused; else what is left may be a model like any other (see `torture.strangers.valid`).
    """

    what: str
    tries: int
    refused: bool
    bend: Bend
    kinds: tuple[str, ...] = ("lm", "word", "subword")


def altered(directory: Directory, rng: random.Random) -> str:
    """A hashed file is changed, and no hash."""
    name = rng.choice([n for n in directory.names() if n not in (MANIFEST, METRICS)])
    before = directory.read(name)
    while (after := bent(before, rng)) == before:
        pass
    (directory.path / name).write_bytes(after)
    return name


def rehashed(directory: Directory, rng: random.Random) -> str:
    """Any file is changed, and the hashes hold."""
    name = rng.choice(directory.names())
    directory.write(name, bent(directory.read(name), rng))
    return name


def json_file(name: str) -> Bend:
    """The attack on a file of JSON."""

    def bend(directory: Directory, rng: random.Random) -> str:
        text = bent_json(directory.json(name), rng)
        directory.write(name, text.encode("utf-8", "surrogatepass"))
        return text[:80]

    return bend


def history(directory: Directory, rng: random.Random) -> str:
    """history.csv has odd cells, rows and quotes."""
    cells = (
        "",
        "1",
        "nan",
        "inf",
        "-1e308",
        "9" * 5000,
        "x" * 200_000,
        '"',
        '"a',
        "\x00",
        "\x1b[2J",
    )
    rows = [",".join(rng.choices(cells, k=rng.randrange(6))) for _ in range(rng.randrange(5))]
    directory.write("history.csv", "\r\n".join(rows).encode())
    return "history.csv"


def header(directory: Directory, rng: random.Random) -> str:
    """A header of safetensors in which one thing is odd."""
    name = rng.choice(WEIGHTS)
    found, data = directory.tensors(name)
    way = rng.randrange(4)
    if way == 0:
        claimed = rng.choice((0, 1, 2**20, 2**20 + 1, 10**8, 2**31, 2**63, 2**64 - 1))
        directory.write_tensors(name, found, data, claimed)
    elif way == 1:
        many = {
            f"w{i}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for i in range(9000)
        }
        directory.write_tensors(name, many | found, data)
    elif way == 2:
        weight = rng.choice(sorted(found))
        found[weight]["data_offsets"] = rng.choice(
            ([0, 0], [4, 0], [-4, 4], [0, 2**63], [0, len(data) * 2], [0], "x", [0.0, 4.0])
        )
        directory.write_tensors(name, found, data)
    else:
        directory.write_tensors(name, bent_json(found, rng).encode("utf-8", "surrogatepass"), data)
    return f"{name}, way {way}"


def tensors(directory: Directory, rng: random.Random) -> str:
    """A whole safetensors file of other tensors: shapes, types, names, numbers that are none."""
    name = rng.choice(WEIGHTS)
    found, data = directory.tensors(name)
    weights = {
        weight: [entry["dtype"], entry["shape"], data[slice(*entry["data_offsets"])]]
        for weight, entry in found.items()
        if weight != "__metadata__"
    }
    weight = rng.choice(sorted(weights))
    dtype, shape, content = weights[weight]
    way = rng.randrange(7)
    if way == 0:
        weights["layers.9.weight"] = ["F32", [1], b"\0\0\0\0"]
    elif way == 1:
        del weights[weight]
    elif way == 2:
        weights[rng.choice(("", weight.upper(), "../x", "\x1b[1m"))] = weights.pop(weight)
    elif way == 3:
        shape = rng.choice(([*shape, 1], [math.prod(shape) + 1], [0], [math.prod(shape), 1, 1]))
        size = len(content) // max(1, math.prod(weights[weight][1])) * math.prod(shape)
        weights[weight] = [dtype, shape, content.ljust(size, b"\0")[:size]]
    elif way == 4:
        other = rng.choice(("I8", "I32", "U64", "BOOL", "F8_E5M2", "XXX"))
        weights[weight] = [other, shape, bytes(8 * math.prod(shape))]
    elif way == 5:
        other = "I64" if dtype != "I64" else "F64"
        weights[weight] = [other, shape, bytes(8 * math.prod(shape))]
    else:
        floats = rng.choice([n for n in weights if weights[n][0] == "F32"])
        odd = struct.pack("<f", rng.choice((math.nan, math.inf, -math.inf)))
        at = 4 * rng.randrange(len(weights[floats][2]) // 4)
        content = weights[floats][2]
        weights[floats][2] = content[:at] + odd + content[at + 4 :]
    entries: dict[str, Any] = {}
    data = b""
    for key, (dtype, shape, content) in weights.items():
        ends = [len(data), len(data) + len(content)]
        entries[key] = {"dtype": dtype, "shape": shape, "data_offsets": ends}
        data += content
    directory.write_tensors(name, entries, data)
    return f"{name}, {weight}, way {way}"


def extreme(directory: Directory, rng: random.Random) -> str:
    """Finite weights from which no numbers come, or huge ones."""
    name = rng.choice(WEIGHTS)
    found, data = directory.tensors(name)
    for entry in found.values():
        start, end = entry.get("data_offsets", (0, 0))
        if entry.get("dtype") == "F32" and rng.random() < 0.5:
            numbers = [rng.choice((-1, 1)) * rng.choice((3e38, 1e30, 1e-40, 0.0)) for _ in range(8)]
            filled = struct.pack("<8f", *numbers) * ((end - start) // 32 + 1)
            data = data[:start] + filled[: end - start] + data[end:]
    directory.write_tensors(name, found, data)
    return name


def vocabulary(directory: Directory, rng: random.Random) -> str:
    """A vocabulary with what none may have; vocab_sz follows in half of the cases."""
    lines = directory.read("vocab.txt").split(b"\n")[:-1]
    at, way = rng.randrange(len(lines)), rng.randrange(6)
    if way == 0:
        lines[at] = lines[at - 1]
    elif way == 1:
        lines[at] += rng.choice((b"\x00", b"\x1b[2J", b"\x07", b"\x7f", b"\x08" * 9))
    elif way == 2:
        del lines[rng.randrange(9)]
    elif way == 3:
        lines[at] = rng.choice((b"\xff", b"\xc3", b"\xf8\x88\x80\x80\x80"))
    elif way == 4:
        lines += [b"new"] * 2
    else:
        lines = [b""] * rng.choice((0, 1, 9, 5_000_000))
    directory.write("vocab.txt", b"\n".join(lines) + b"\n" * bool(lines))
    if rng.random() < 0.5:
        manifest = directory.json(MANIFEST)
        manifest["config"]["vocab_sz"] = len(lines)
        directory.write_json(MANIFEST, manifest)
    return f"way {way}, line {at}"


def pieces(directory: Directory, rng: random.Random) -> str:
    """spm.model, which a library in C++ reads, is bent."""
    content = directory.read("spm.model")
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        content = bent(content, rng)
    directory.write("spm.model", rng.choice((content, content, content, rng.randbytes(2000))))
    return "spm.model"


def seen(directory: Directory, rng: random.Random) -> str:
    """seen.bin has numbers in no order, twice, at their ends, or is cut."""
    ends = (0, 1, 2, 3, 2**63 - 1, 2**63, 2**64 - 2, 2**64 - 1)
    numbers = [rng.choice((*ends, rng.randrange(2**64))) for _ in range(rng.randrange(9))]
    numbers = rng.choice((numbers, sorted(numbers), sorted(set(numbers))))
    content = b"".join(struct.pack("<Q", number) for number in numbers)
    directory.write("seen.bin", content[: len(content) - rng.choice((0, 0, 1, 7))])
    return f"{numbers}"


NAMES = [
    *("../x", "/etc/passwd", "a/b", ".", "..", ".hidden", "a\\b", "C:x", "\\\\host\\x", "//x", "~"),
    *("~/x", "-x", "CON", "NUL", "LPT1", "README.MD", "Encoder.safetensors", "manifest.json"),
    *("metrics.json", "weights.bin", "model.py", "x.pkl", "\u202ex", "%2e%2e", "", " ", "x\n"),
    *("vocab.txt\x00", "vocab.txt ", "x" * 5000, "\x1b[2Jx"),
]


def names(directory: Directory, rng: random.Random) -> str:
    """A name in "files" that leads elsewhere, or is no part of a model."""
    manifest = directory.json(MANIFEST)
    name = rng.choice(NAMES)
    old = rng.choice([None, *manifest["files"]])
    digest = manifest["files"].pop(old) if old else "0" * 64
    manifest["files"][name] = digest
    directory.write_json(MANIFEST, manifest)
    return repr(name[:60])


def places(directory: Directory, rng: random.Random) -> str:
    """A file is a link out of the directory or to itself, a pipe, a device, or endless."""
    name, way = rng.choice(directory.names()), rng.randrange(7)
    file = directory.path / name
    outside = directory.path.parent / "outside"
    outside.write_bytes(directory.read(name))  # the hash would hold
    file.unlink()
    if way == 0:
        file.symlink_to(outside)
    elif way == 1:
        file.symlink_to(os.path.join("..", "outside"))
    elif way == 2:
        file.symlink_to(name)
    elif way == 3:
        os.mkfifo(file)
    elif way == 4:
        file.symlink_to("/dev/zero")
    elif way == 5:
        file.mkdir()
    else:
        with file.open("wb") as opened:
            opened.truncate(SPARSE)
    return f"{name}, way {way}"


def sizes(directory: Directory, rng: random.Random) -> str:
    """Sizes in the manifest that are not those of the weights, up to absurd ones."""
    manifest = directory.json(MANIFEST)
    config = manifest["config"]
    key = rng.choice(
        [k for k in ("vocab_sz", "emb_sz", "n_hid", "n_layers", "hidden") if k in config]
    )
    config[key] = rng.choice((0, -1, config[key] + 1, 2**20, 2**31, 2**40, 2**62, 10**30, 1.5, "7"))
    directory.write_json(MANIFEST, manifest)
    return f"{key} {config[key]}"


class _Runs:
    """What a pickle would run."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (self.path,)


def pickles(directory: Directory, rng: random.Random) -> str:
    """A file is a pickle that leaves a mark when it is loaded."""
    name = rng.choice(directory.names())
    content = pickle.dumps(_Runs(str(directory.path.parent / "ran")), rng.randrange(5))
    if name == MANIFEST:
        (directory.path / name).write_bytes(content)
    else:
        directory.write(name, content)
    return name


ATTACKS = [
    Attack("files changed under their hashes", 500, True, altered),
    Attack("files changed, hashes recomputed", 1000, False, rehashed),
    Attack("manifest.json: odd values, bombs", 1000, False, json_file(MANIFEST)),
    Attack("manifest.json: sizes that are not the weights'", 200, True, sizes),
    Attack("manifest.json: names that lead elsewhere", 300, True, names),
    Attack("metrics.json: odd values, bombs", 200, False, json_file(METRICS)),
    Attack("processor.json: odd values, bombs", 200, False, json_file("processor.json")),
    Attack("history.csv: odd cells", 200, False, history),
    Attack("safetensors: odd headers", 500, False, header),
    Attack("safetensors: other shapes, types, names, nan", 500, True, tensors),
    Attack("safetensors: finite numbers at their ends", 200, False, extreme),
    Attack("vocab.txt: doubles, control characters", 300, True, vocabulary, ("lm", "word")),
    Attack("seen.bin: odd numbers, odd sizes", 200, False, seen, ("word",)),
    Attack("spm.model: garbage for the C++ library", 1500, False, pieces, ("subword",)),
    Attack("links, pipes, devices, endless files", 300, True, places),
    Attack("pickles in place of files", 200, False, pickles),
]
