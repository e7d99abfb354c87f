"""Pretrained language models: a model directory, a bundled one by name, or fast.ai's wt103."""

import io
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ulmfit.artifacts import bundled
from ulmfit.artifacts.directory import Artifact, read_artifact
from ulmfit.artifacts.manifest import direction, suffix
from ulmfit.artifacts.trained import trained_config
from ulmfit.base.errors import UserError
from ulmfit.model.sizes import EncoderConfig, encoder_config
from ulmfit.text.processor import TextProcessor, has_control

WT103 = "wt103"
NONE = "none"  # no pretraining: random weights


@dataclass(frozen=True)
class Pretrained:
    """A language model; without pretraining, `encoder` and `head` are empty."""

    processor: TextProcessor
    config: EncoderConfig
    size: str
    encoder: Mapping[str, Tensor]
    head: Mapping[str, Tensor]
    artifact: Artifact | None = None


def load_pretrained(name: str, backwards: bool, size: str = "small") -> Pretrained:
    """The language model `name`, in the given direction.

    Args:
        name: a model directory; its name without -fwd/-bwd; a bundled model; "wt103"; or "none",
            for an untrained model of `size`.

    Raises:
        UserError: there is no such model, it is damaged, or it has the other direction.
    """
    if name == NONE:
        return Pretrained(TextProcessor("word"), encoder_config(size, 1), size, {}, {})
    artifact = find_pretrained(name, backwards)
    if artifact is None:
        return _wt103(backwards)
    manifest = artifact.manifest
    if manifest.direction != direction(backwards):
        remedy = "leave out --backwards" if backwards else "add --backwards"
        raise UserError(
            f"{artifact.path} is a {manifest.direction} language model, expected a "
            f"{direction(backwards)} one; {remedy} or give the other model"
        )
    processor, config = artifact.processor(), trained_config(artifact)
    weights = artifact.encoder(), artifact.head()
    return Pretrained(processor, config, manifest.size, *weights, artifact)


def find_pretrained(name: str, backwards: bool) -> Artifact | None:
    """The model directory `name`, in any direction; None for "wt103" and "none".

    Raises UserError if there is no such model, or it is damaged.
    """
    if name in (WT103, NONE):
        return None
    if (found := find_directory(name, backwards)) is not None:
        return read_artifact(found, "lm")
    raise UserError(
        f"no language model {name}: found neither a folder {name} nor "
        f"{name}-{suffix(backwards)}, and bundled are "
        f"{', '.join(_bundled()) or 'none'}; give --pretrained DIR, one of these names, "
        "wt103 or none"
    )


def find_directory(name: str, backwards: bool) -> Path | None:
    """The directory of a language model by path, bundled name, or name on the Hub; or None.

    Raises UserError if a bundled model is not on this machine and cannot be fetched.
    """
    if name.startswith(bundled.HUB):
        return Path(bundled.model_folders(name)[0])
    for candidate in (Path(name), Path(f"{name}-{suffix(backwards)}")):
        if candidate.is_dir():
            return candidate
    return next(iter(bundled.find(name, [suffix(backwards)])), None)


def _bundled() -> list[str]:
    return bundled.names(bundled.LANGUAGE_MODEL)


# --- fast.ai's WikiText-103 weights -------------------------------------------------------------


class _StringListUnpickler(pickle.Unpickler):
    """Admits a list of strings and nothing that could run code."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"{module}.{name} is not admitted")


def read_string_list(content: bytes) -> list[str]:
    """The list of strings in a pickle; raises UserError for any other content."""
    try:
        value = _StringListUnpickler(io.BytesIO(content)).load()
    except Exception as error:  # a damaged pickle raises nearly anything
        raise UserError(f"the vocabulary's pickle is no list of strings: {error}") from None
    if not isinstance(value, list) or not all(isinstance(token, str) for token in value):
        raise UserError("the vocabulary's pickle is no list of strings; download it again")
    return value


def _wt103(backwards: bool) -> Pretrained:
    from fastai.data.external import URLs, untar_data

    url = URLs.WT103_BWD if backwards else URLs.WT103_FWD
    try:
        folder = Path(untar_data(url, c_key="model"))
    except Exception as error:  # from the network, a proxy or the archive
        raise UserError(
            f"could not download fast.ai's WikiText-103 model ({type(error).__name__}); without a "
            f"network use a bundled one: --pretrained {', '.join(_bundled()) or 'DIR'}"
        ) from None
    return read_wt103(folder)


def read_wt103(folder: Path) -> Pretrained:
    """fast.ai's weights (*.pth) and vocabulary (*.pkl) in `folder`; no pickled code is run."""
    weights_file, vocab_file = (next(folder.glob(f"*.{e}"), None) for e in ("pth", "pkl"))
    if weights_file is None or vocab_file is None:
        raise UserError(f"{folder} holds no *.pth with *.pkl; delete it and download it again")
    vocab = read_string_list(vocab_file.read_bytes())
    try:
        weights = torch.load(weights_file, map_location="cpu", weights_only=True)
        return from_fastai(weights.get("model", weights), vocab)
    except UserError:
        raise
    except Exception as error:  # a damaged file, no weights, or a pickle that would run code
        raise UserError(
            f"{weights_file} holds no weights of a fastai language model "
            f"({type(error).__name__}); delete {folder} and download it again"
        ) from None


def from_fastai(weights: Mapping[str, Tensor], vocab: list[str]) -> Pretrained:
    """The language model of a fastai state dict.

    The rows of ``xxfake``, fastai's repeated padding of a vocabulary, and of tokens with control
    characters are dropped.
    """
    config, encoder, kept = encoder_from_fastai(weights, vocab)
    processor = TextProcessor("word").with_vocab([vocab[i] for i in kept])
    head = {"decoder.bias": weights["1.decoder.bias"][kept]}
    return Pretrained(processor, config, "base", encoder, head)


def encoder_from_fastai(
    weights: Mapping[str, Tensor], vocab: list[str]
) -> tuple[EncoderConfig, dict[str, Tensor], list[int]]:
    """The encoder of fastai's `AWD_LSTM`: its numbers, its weights, the kept rows of `vocab`."""
    rows = len(weights["0.encoder.weight"])
    if rows < len(vocab):
        raise UserError(
            f"the embedding has {rows:,} rows and the vocabulary {len(vocab):,} words, expected "
            "a row for each; download both again"
        )
    kept = [i for i, t in enumerate(vocab) if t != "xxfake" and not has_control(t)]
    layers = sum(name.endswith("weight_hh_l0_raw") for name in weights)
    encoder = {"embedding.weight": weights["0.encoder.weight"][kept]}
    for i in range(layers):
        encoder[f"rnn.{i}.weight_hh_l0"] = weights[f"0.rnns.{i}.weight_hh_l0_raw"]
        for name in ("weight_ih_l0", "bias_ih_l0", "bias_hh_l0"):
            encoder[f"rnn.{i}.{name}"] = weights[f"0.rnns.{i}.module.{name}"]
    emb_sz = encoder["embedding.weight"].shape[1]
    n_hid = encoder["rnn.0.weight_hh_l0"].shape[1]
    return EncoderConfig(len(kept), emb_sz, n_hid, layers), encoder, kept
