"""A classifier as an ONNX graph, for programs without torch and fastai."""

import hashlib
import json
import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import ModelProto
from onnxruntime.quantization import QuantType, quantize_dynamic
from torch import Tensor, nn

from ulmfit.artifacts.directory import Artifact
from ulmfit.artifacts.manifest import library_versions
from ulmfit.data.labels import SINGLE, Labels
from ulmfit.inference.loaded import LoadedModel
from ulmfit.inference.onnx_session import FACTS, FORMAT_VERSION, LIBRARIES, run, start_session
from ulmfit.model.awd_lstm import WeightDropLSTM
from ulmfit.model.build import encoder_of
from ulmfit.text.corpus import TokenizedTexts
from ulmfit.text.processor import reading_order

OPSET = 20  # onnxruntime 1.18 (May 2024) and later read it
TOLERANCE = 1e-4  # of a probability, relative to the classifier in float32
_READS = {
    "forward": "xxbos first, then the tokens as they come",
    "backward": "xxbos first, then the tokens from the last one to the first",
}


def loaded_on_cpu(artifact: Artifact) -> LoadedModel:
    """The classifier in float32, on the exporter's device; a GPU's TF32 is not exact enough."""
    loaded = LoadedModel(artifact, "float32")
    loaded.device = torch.device("cpu")
    loaded.model.cpu()
    return loaded


class _OnnxLSTM(nn.Module):
    """One LSTM layer as ONNX's operator: (time, batch, n_in) -> (time, batch, hidden).

    Only for the exporter: in torch, it returns zeros. From an nn.LSTM, the exporter of torch 2.13
    makes a graph with the example's number of tokens, and with weights that every run sorts again,
    which quantisation does not find.
    """

    def __init__(self, layer: WeightDropLSTM) -> None:
        super().__init__()
        weights = {name: _onnx_gates(weight) for name, weight in layer.named_parameters()}
        biases = torch.cat([weights["bias_ih_l0"], weights["bias_hh_l0"]])
        self.hidden = layer.hidden_size
        # ONNX's shapes begin with a dimension of directions: (1, 4 x hidden, n_in),
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
    """From torch's order (input, forget, cell, output) to ONNX's (input, output, forget, cell)."""
    inputs, forget, cell, output = weight.detach().chunk(4)
    return torch.cat([inputs, output, forget, cell])


class _WholeDocuments(nn.Module):
    """`DocumentEncoder` and `PoolingClassifier` in evaluation mode, without chunks.

    ids (int64, (batch, time), padded at the end), lengths (int64, (batch,), in any order) ->
    probabilities (float32, (batch, classes)).
    """

    def __init__(self, model: Any, temperature: float, labels: Labels) -> None:
        super().__init__()
        encoder = encoder_of(model)
        self.embedding = encoder.encoder
        self.rnns = nn.ModuleList([_OnnxLSTM(layer) for layer in encoder.rnns])
        self.max_len: int = model[0].max_len
        self.head: nn.Sequential = model[1].layers
        self.temperature, self.labels = temperature, labels

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        features = self.embedding(ids.t())  # (time, batch, features)
        for layer in self.rnns:
            features = layer(features)
        # Padding is at the end: it is not pooled, and changes nothing before it.
        first = (lengths - self.max_len).clamp(min=0)
        position = torch.arange(features.shape[0])[:, None]
        outside = ~((position < lengths) & (position >= first))[:, :, None]
        ends = (lengths - 1)[None, :, None].expand(-1, -1, features.shape[2])
        last = features.gather(0, ends).squeeze(0)
        highest = features.masked_fill(outside, -torch.inf).amax(0)
        mean = features.masked_fill(outside, 0).sum(0) / (lengths - first)[:, None]
        logits = self.head(torch.cat([last, highest, mean], 1))
        return self.labels.probabilities(logits, self.temperature)


def to_onnx(model: Any, temperature: float = 1.0, labels: Labels = SINGLE) -> ModelProto:
    """The classifier's graph for any size of batch and time.

    `temperature` as in `Labels.probabilities`.
    """
    batch, time = torch.export.Dim("batch"), torch.export.Dim("time")
    with _quiet():
        program = torch.onnx.export(
            _WholeDocuments(model, temperature, labels).eval(),
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


def _stripped(proto: ModelProto) -> ModelProto:
    """Remove the exporter's notes, which have paths of this machine.

    The shapes of intermediate values are removed, too: some are wrong, and quantisation fails with
    them.
    """
    graph = proto.graph
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    graph.ClearField("value_info")
    proto.ClearField("metadata_props")
    return proto


def quantized(proto: ModelProto) -> ModelProto:
    """The graph with 8-bit weights of LSTM layers and embedding; the small head is unchanged.

    Activations are quantised batch by batch, so a probability depends on its batch, typically by
    some thousandths. 7 of the 8 bits are used: CPUs without VNNI add products in 16 bits, which
    would overflow.
    """
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
    """Hide warnings and log lines of the exporter and the quantiser."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


def largest_difference(proto: ModelProto, loaded: LoadedModel) -> float:
    """The largest difference of probabilities between graph and classifier, on random documents."""
    rng, vocab = np.random.default_rng(0), loaded.processor.vocab
    longest = min(loaded.artifact.manifest.classifier_config.max_len + 10, 2000)
    lengths = [1, longest, longest // 2]
    documents = [rng.integers(0, len(vocab), n) for n in lengths]
    tokenized = TokenizedTexts(vocab, np.concatenate(documents), np.cumsum([0, *lengths]))
    expected = loaded.probabilities(tokenized, tell=lambda count: None)
    session = start_session(proto.SerializeToString())
    found = run(session, [reading_order(ids, loaded.backwards) for ids in documents])
    return float(np.abs(found - expected).max())


def graph_facts(loaded: LoadedModel, weights: str, files: dict[str, bytes]) -> dict[str, Any]:
    """The JSON that an ONNX file holds about its model; `files` are the text processor's."""
    manifest = loaded.artifact.manifest
    return {
        "format_version": FORMAT_VERSION,
        "labels": manifest.labels,  # in the order of the probabilities
        "direction": manifest.direction,
        "reads": _READS[manifest.direction],
        "prior": loaded.prior.tolist(),  # the probabilities of an empty text
        "weights": weights,
        "config": manifest.config.as_dict(),
        "tokenizer": manifest.tokenizer,
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        "data_fingerprint": manifest.data_fingerprint,
        "manifest_sha256": loaded.artifact.manifest_sha256,
        "versions": library_versions() | {name: version(name) for name in LIBRARIES},
        "about": manifest.about,
    }


def file_content(proto: ModelProto, facts: dict[str, Any]) -> bytes:
    """The bytes of the ONNX file with its facts."""
    proto.producer_name, proto.producer_version = "ulmfit", version("ulmfit")
    proto.ClearField("metadata_props")  # from the quantiser
    text = json.dumps(facts, sort_keys=True, ensure_ascii=False)
    proto.metadata_props.add(key=FACTS, value=text)
    return proto.SerializeToString(deterministic=True)
