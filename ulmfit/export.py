"""A classifier as an ONNX file, for programs that have neither torch nor fastai.

``--out model.onnx`` makes two things: the file itself, which holds weights, labels, direction and
origin (JSON under "ulmfit" in ONNX's metadata), and the folder ``model-tokenizer`` beside it with
the text processor's files. `ulmfit.onnx_classifier` reads both.
"""

import hashlib
import json
import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from ulmfit import bundled
from ulmfit.artifacts import Artifact, read_artifact
from ulmfit.atomic import atomic_write, check_parent
from ulmfit.awd_lstm import WeightDropLSTM
from ulmfit.classifier import to_probabilities
from ulmfit.cli import run_command
from ulmfit.corpus import TokenizedTexts
from ulmfit.errors import UserError
from ulmfit.inference import LoadedModel
from ulmfit.manifest import library_versions
from ulmfit.models import encoder_of
from ulmfit.onnx_classifier import (
    FACTS,
    FORMAT_VERSION,
    run,
    start_session,
    tokenizer_folder,
)
from ulmfit.text import reading_order

if TYPE_CHECKING:
    from onnx import ModelProto

LIBRARIES = ("onnx", "onnxscript", "onnxruntime")
OPSET = 20  # onnxruntime 1.18 (May 2024) and later read it
TOLERANCE = 1e-4  # of a probability, against the classifier in float32
_READS = {
    "forward": "xxbos first, then the tokens as they come",
    "backward": "xxbos first, then the tokens from the last one to the first",
}


class _OnnxLSTM(nn.Module):
    """One LSTM layer as ONNX's operator: (time, batch, n_in) -> (time, batch, hidden).

    For the exporter alone; run by torch, it gives zeros. From an nn.LSTM the exporter of torch
    2.13 makes a graph that holds the example's number of tokens, and that sorts the weights anew
    in every run, where no quantisation finds them.
    """

    def __init__(self, layer: WeightDropLSTM) -> None:
        super().__init__()
        weights = {name: _onnx_gates(weight) for name, weight in layer.named_parameters()}
        biases = torch.cat([weights["bias_ih_l0"], weights["bias_hh_l0"]])
        self.hidden = layer.hidden_size
        # Of ONNX's shapes, which begin with a dimension of directions: (1, 4 x hidden, n_in),
        # (1, 4 x hidden, hidden), (1, 8 x hidden).
        self.weight = nn.Buffer(weights["weight_ih_l0"][None])
        self.recurrent = nn.Buffer(weights["weight_hh_l0"][None])
        self.bias = nn.Buffer(biases[None])

    def forward(self, features: Tensor) -> Tensor:
        time, batch, _ = features.shape
        (outputs,) = torch.onnx.ops.symbolic_multi_out(
            "::LSTM",
            (features, self.weight, self.recurrent, self.bias),
            {"hidden_size": self.hidden},
            dtypes=(features.dtype,),
            shapes=((time, 1, batch, self.hidden),),
        )
        return outputs.squeeze(1)


def _onnx_gates(weight: Tensor) -> Tensor:
    """Torch's order of gates (input, forget, cell, output) -> ONNX's (input, output, forget, cell).

    See the operator's entry in ONNX' documentation and that of torch.nn.LSTM.
    """
    inputs, forget, cell, output = weight.detach().chunk(4)
    return torch.cat([inputs, output, forget, cell])


class _WholeDocuments(nn.Module):
    """`DocumentEncoder` and `PoolingClassifier` in evaluation, without chunks and Python.

    ids (int64, (batch, time), padded behind), lengths (int64, (batch,), in any order) ->
    probabilities (float32, (batch, classes)).
    """

    def __init__(self, model: Any, temperature: float, multi_label: bool) -> None:
        super().__init__()
        encoder = encoder_of(model)
        self.embedding = encoder.encoder
        self.rnns = nn.ModuleList([_OnnxLSTM(layer) for layer in encoder.rnns])
        self.max_len: int = model[0].max_len
        self.head: nn.Sequential = model[1].layers
        self.temperature, self.multi_label = temperature, multi_label

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        features = self.embedding(ids.t())  # (time, batch, features)
        for layer in self.rnns:
            features = layer(features)
        # Padding stands behind: it is left out of the pooling and changes nothing before it.
        first = (lengths - self.max_len).clamp(min=0)
        position = torch.arange(features.shape[0])[:, None]
        outside = ~((position < lengths) & (position >= first))[:, :, None]
        ends = (lengths - 1)[None, :, None].expand(-1, -1, features.shape[2])
        last = features.gather(0, ends).squeeze(0)
        highest = features.masked_fill(outside, -torch.inf).amax(0)
        mean = features.masked_fill(outside, 0).sum(0) / (lengths - first)[:, None]
        logits = self.head(torch.cat([last, highest, mean], 1))
        return to_probabilities(logits, self.temperature, self.multi_label)


def to_onnx(model: Any, temperature: float = 1.0, multi_label: bool = False) -> "ModelProto":
    """The classifier's graph; batch and time may be of any size.

    Args:
        temperature, multi_label: as in `classifier.to_probabilities`.
    """
    batch, time = torch.export.Dim("batch"), torch.export.Dim("time")
    with _quiet():
        program = torch.onnx.export(
            _WholeDocuments(model, temperature, multi_label).eval(),
            (torch.full((3, 7), 2), torch.tensor([7, 5, 2])),
            dynamo=True,
            verbose=False,
            opset_version=OPSET,
            input_names=["ids", "lengths"],
            output_names=["probabilities"],
            dynamic_shapes=({0: batch, 1: time}, {0: batch}),
        )
    assert program is not None
    return _stripped(program.model_proto)


def _stripped(proto: "ModelProto") -> "ModelProto":
    """Without the exporter's notes: where this machine keeps which line of code.

    The shapes of what flows between nodes go, too. The exporter has some wrong, at which the
    quantisation stumbles; whoever needs them infers them.
    """
    graph = proto.graph
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    graph.ClearField("value_info")
    proto.ClearField("metadata_props")
    return proto


def quantized(proto: "ModelProto") -> "ModelProto":
    """LSTM layers and embedding with weights of 8 bits; what flows is quantised batch by batch.

    So a probability depends on the batch that its text is in, by some thousandths as a rule.
    7 of the 8 bits are used: CPUs without VNNI add products in 16 bits, which would overflow. The
    small head stays as it is.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with _quiet(), tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "int8.onnx")
        quantize_dynamic(
            proto,
            file,
            op_types_to_quantize=["LSTM", "Gather"],
            per_channel=True,
            reduce_range=True,
            weight_type=QuantType.QInt8,
        )
        return onnx.load(file)


@contextmanager
def _quiet() -> Iterator[None]:
    """Neither warnings nor log lines: those of exporter and quantiser are about themselves."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


def largest_difference(proto: "ModelProto", loaded: LoadedModel) -> float:
    """Between probabilities of graph and classifier, over documents from one token to many."""
    rng = np.random.default_rng(0)
    longest = min(loaded.artifact.manifest.config["max_len"] + 10, 2000)  # beyond what is pooled
    vocab = loaded.processor.vocab
    lengths = [1, longest, longest // 2]
    documents = [rng.integers(0, len(vocab), n) for n in lengths]
    tokenized = TokenizedTexts(vocab, np.concatenate(documents), np.cumsum([0, *lengths]))
    expected = loaded.probabilities(tokenized, tell=lambda count: None)
    session = start_session(proto.SerializeToString())
    found = run(session, [reading_order(ids, loaded.backwards) for ids in documents])
    return float(np.abs(found - expected).max())


def _facts(loaded: LoadedModel, weights: str, files: dict[str, bytes]) -> dict[str, Any]:
    manifest = loaded.artifact.manifest
    return {
        "format_version": FORMAT_VERSION,
        "labels": manifest.labels,  # in the order of the probabilities
        "direction": manifest.direction,
        "reads": _READS[manifest.direction],
        "prior": loaded.prior.tolist(),  # stands for the probabilities of an empty text
        "weights": weights,
        "config": manifest.config,
        "tokenizer": manifest.tokenizer,
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        "data_fingerprint": manifest.data_fingerprint,
        "manifest_sha256": loaded.artifact.manifest_sha256,
        "versions": library_versions() | {name: version(name) for name in LIBRARIES},
        "about": manifest.about,
    }


def _content(proto: "ModelProto", facts: dict[str, Any]) -> bytes:
    proto.producer_name, proto.producer_version = "ulmfit", version("ulmfit")
    proto.ClearField("metadata_props")  # the quantiser has left a note
    text = json.dumps(facts, sort_keys=True, ensure_ascii=False)
    proto.metadata_props.add(key=FACTS, value=text)
    return proto.SerializeToString(deterministic=True)


def main(
    clf: str | None = None,  # classifier's directory, or a bundled one's name
    out: str = "model.onnx",  # file to write; the tokenizer's files go into a folder beside it
    int8: bool = False,  # weights of 8 bits: a quarter of the size, faster, a little less exact
    overwrite: bool = False,  # replace --out and its tokenizer's folder if they exist
) -> Path:
    """Write a classifier as ONNX, for onnxruntime and other programs.

    The file's labels, direction and origin are in its metadata; ulmfit.onnx_classifier reads it
    without torch. Returns its path.
    """
    folder = _one_folder(clf)
    path = _output_path(Path(out), overwrite)
    _check_installed()
    loaded = _on_cpu(read_artifact(folder, "classifier"))
    files = loaded.processor.files()
    facts = _facts(loaded, "int8" if int8 else "float32", files)
    proto = to_onnx(loaded.model, loaded.temperature, loaded.multi_label)
    difference = largest_difference(proto, loaded)
    if not difference <= TOLERANCE:  # nan is neither
        raise UserError(
            f"probabilities of the exported graph are off by {difference:.2g}, expected at most "
            f"{TOLERANCE:g}; nothing was written: pip install 'ulmfit[export]' brings the versions "
            "that fit"
        )
    content = _content(quantized(proto) if int8 else proto, facts)
    # The model last: where it is, all of it is there.
    for name, file in files.items():
        atomic_write(tokenizer_folder(path) / name, file)
    atomic_write(path, content)
    print(f"wrote {path} ({facts['weights']}, {len(content) / 1e6:.1f} MB)")
    print(f"wrote {tokenizer_folder(path)} ({', '.join(files)})")
    return path


def _on_cpu(artifact: Artifact) -> LoadedModel:
    """In float32, on the device of the exporter; a GPU's TF32 would be no measure either."""
    loaded = LoadedModel(artifact, "float32")
    loaded.device = torch.device("cpu")
    loaded.model.cpu()
    return loaded


def _one_folder(clf: str | None) -> Path:
    if not clf:
        raise UserError("no model given; --clf DIR names a classifier, as stage 3 writes")
    folders = bundled.model_folders(clf)
    if len(folders) > 1:
        names = ", ".join(Path(folder).name for folder in folders)
        raise UserError(f"{clf} names {len(folders)} classifiers ({names}); export them one by one")
    return Path(folders[0])


def _output_path(path: Path, overwrite: bool) -> Path:
    if path.suffix != ".onnx":
        raise UserError(f"--out is {path}, expected a file that ends in .onnx")
    if path.is_dir():
        raise UserError(f"{path} is a directory, --out takes a file; choose another --out")
    for made in (path, tokenizer_folder(path)):
        if made.exists() and not overwrite:
            raise UserError(f"{made} is there already; choose another --out or pass --overwrite")
    check_parent(path)
    return path


def _check_installed() -> None:
    missing = [name for name in LIBRARIES if find_spec(name) is None]
    if missing:
        raise UserError(
            f"the export needs {', '.join(missing)}; pip install 'ulmfit[export]' brings all of it"
        )


if __name__ == "__main__":
    run_command(main)
