"""Conversion of models from and to fastai's `Learner`, with the same tokens and ids.

`from_learner` writes a `Learner` as a model directory; `to_learner` does the inverse.
"""

import re
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.nn import BCEWithLogitsLoss

from ulmfit.artifacts.card import model_card
from ulmfit.artifacts.config import ClassifierConfig, LMConfig
from ulmfit.artifacts.directory import Artifact, read_artifact
from ulmfit.artifacts.manifest import FORMAT_VERSION, Manifest, library_versions
from ulmfit.artifacts.pretrained import encoder_from_fastai
from ulmfit.artifacts.trained import load_network
from ulmfit.artifacts.writing import write_artifact
from ulmfit.base.errors import UserError
from ulmfit.data.fingerprints import fingerprint
from ulmfit.model.build import TiedDecoder, encoder_of
from ulmfit.model.sizes import SIZES, EncoderConfig
from ulmfit.text.processor import TextProcessor


def fastai_state(model: Any) -> dict[str, Tensor]:
    """The weights of a language model or classifier with fastai's names.

    `get_language_model` and `get_text_classifier` of the same sizes load them with ``strict=True``.
    """
    encoder = encoder_of(model)
    is_lm = isinstance(model[1], TiedDecoder)
    place = "0." if is_lm else "0.module."
    embedding = encoder.encoder.weight.detach()
    state = {f"{place}encoder.weight": embedding, f"{place}encoder_dp.emb.weight": embedding}
    for i, layer in enumerate(encoder.rnns):
        for name, weight in layer.named_parameters():
            own = f"{name}_raw" if name == "weight_hh_l0" else f"module.{name}"
            state[f"{place}rnns.{i}.{own}"] = weight.detach()
    if is_lm:
        return state | {"1.decoder.weight": embedding, "1.decoder.bias": model[1].bias.detach()}
    for name, weight in model[1].layers.state_dict().items():
        layer_name, rest = name.split(".", 1)
        block, position = divmod(int(layer_name), 4)  # fastai's head has blocks of four layers
        state[f"1.layers.{block}.{position}.{rest}"] = weight
    return state


# --- a model directory as a Learner -------------------------------------------------------------


def vocabulary(folder: str | Path) -> list[str]:
    """The words of a model, for fastai's ``TextDataLoaders.from_df(..., text_vocab=...)``."""
    return read_artifact(Path(folder)).processor().vocab


def to_learner(folder: str | Path, dls: Any, **more: Any) -> Any:
    """fastai's `language_model_learner` or `text_classifier_learner` with the model's weights.

    Args:
        dls: fastai's `DataLoaders` with the model's `vocabulary` and, for a classifier, its
            labels in the same order.
        more: further arguments of the fastai function, such as ``drop_mult`` or ``metrics``.

    Raises:
        UserError: the directory holds no model, its vocabulary or labels differ from those of
            `dls`, or only one of the two is multi-label.
    """
    from fastai.text.learner import language_model_learner, text_classifier_learner
    from fastai.text.models.awdlstm import AWD_LSTM, awd_lstm_clas_config, awd_lstm_lm_config

    artifact = read_artifact(Path(folder))
    is_lm = artifact.manifest.kind == "lm"
    words, labels = _vocabularies(dls)
    remedy = "make them with text_vocab=ulmfit.interop.vocabulary(folder)"
    _check_same("vocabulary", artifact, artifact.processor().vocab, words, remedy)
    if not is_lm:
        ours = artifact.manifest.labels
        _check_same("list of labels", artifact, ours, labels, f"they are {', '.join(ours)}")
    model, sizes = load_network(artifact), artifact.manifest.network.encoder.as_dict()
    own = {name: sizes[name] for name in ("emb_sz", "n_hid", "n_layers")}
    if is_lm:
        make, config = language_model_learner, awd_lstm_lm_config
    else:
        make, config = text_classifier_learner, awd_lstm_clas_config
        trained = artifact.manifest.classifier_config
        more = {"max_len": trained.max_len, "lin_ftrs": [trained.hidden], **more}
    learner = make(dls, AWD_LSTM, config={**config, **own}, pretrained=False, **more)
    multi = not is_lm and artifact.manifest.labelling.multi
    if not is_lm and _is_multi_label(learner) != multi:
        names = {True: "multi-label (MultiCategoryBlock)", False: "single-label (CategoryBlock)"}
        raise UserError(
            f"found {names[not multi]} DataLoaders, expected {names[multi]} ones, as "
            f"{artifact.path} is; make them with that block"
        )
    learner.model.load_state_dict(fastai_state(model), strict=True)
    return learner


def _is_multi_label(learner: Any) -> bool:
    from fastai.losses import BCEWithLogitsLossFlat

    return isinstance(learner.loss_func, (BCEWithLogitsLossFlat, BCEWithLogitsLoss))


def _vocabularies(dls: Any) -> tuple[list[str], list[str]]:
    """Words and labels of fastai's `DataLoaders`; a language model's have no labels."""
    found = dls.vocab
    if isinstance(found[0], str):
        return list(found), []
    return list(found[0]), [str(label) for label in found[1]]


def _check_same(
    what: str, artifact: Artifact, ours: list[str], theirs: list[str], remedy: str
) -> None:
    if ours != theirs:
        raise UserError(
            f"found another {what} in the DataLoaders ({len(theirs):,} entries) than in "
            f"{artifact.path} ({len(ours):,}); {remedy}"
        )


# --- a Learner as a model directory -------------------------------------------------------------


def from_learner(
    learner: Any,
    out: str | Path,
    data: str = "",
    lang: str = "en",
    about: str = "",
    half: bool = False,
    overwrite: bool = False,
) -> Path:
    """Write a fastai language model or classifier (AWD_LSTM, word tokenizer) as a directory.

    Only forward models: fastai's backward models read ``xxbos`` last, those of this project first.

    Args:
        data: the name of the data set, for `evaluate`; equal for all models of an ensemble.
        lang: language of spaCy's tokenizer.
        about: for the model card: the content and the owner of the texts.

    Raises:
        UserError: the model is of another kind, or `out` cannot be written.
    """
    words, labels = _vocabularies(learner.dls)
    if labels:
        _check_classifier(learner)
    state = _state(learner)
    numbers, encoder, kept = encoder_from_fastai(state, words)
    head = _head(state) if labels else {"decoder.bias": state["1.decoder.bias"][kept]}
    config: LMConfig | ClassifierConfig = LMConfig(numbers)
    if labels:
        config = ClassifierConfig(numbers, learner.model[0].max_len, len(head["layers.2.weight"]))
    processor = TextProcessor("word", lang).with_vocab([words[i] for i in kept])
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        kind=config.kind,
        direction="forward",
        size=_size_of(numbers),
        config=config,
        tokenizer=processor.description(),
        labels=labels,
        recipe={"made_by": f"fastai {version('fastai')}", "data": data},
        seed=0,
        metrics={},
        versions=library_versions(),
        data_fingerprint=fingerprint([data, labels]),
        parent=None,
        files={},
        about=about,
    )
    return write_artifact(
        Path(out),
        manifest=manifest,
        encoder=encoder,
        head=head,
        processor_files=processor.files(),
        history=[],
        card=model_card(manifest, []),
        overwrite=overwrite,
        half=half,
    )


def _size_of(config: EncoderConfig) -> str:
    numbers = (config.emb_sz, config.n_hid, config.n_layers)
    return next((name for name, size in SIZES.items() if size == numbers), "custom")


def _check_classifier(learner: Any) -> None:
    if _is_multi_label(learner):
        raise UserError(
            f"found a multi-label Learner ({type(learner.loss_func).__name__}), expected one with "
            "one class a text; train it with ulmfit clf --multi-label"
        )
    max_len = learner.model[0].max_len
    if not isinstance(max_len, int) or max_len < 1:
        raise UserError(
            f"the Learner pools {max_len!r} tokens, expected a whole number; make it with max_len"
        )


def _state(learner: Any) -> dict[str, Tensor]:
    """The weights of an AWD_LSTM with the names of a language model; UserError if it is none."""
    state = {
        re.sub(r"^0\.module\.", "0.", name): weight.detach().cpu()
        for name, weight in learner.model.state_dict().items()
    }
    if "0.rnns.0.weight_hh_l0_raw" not in state:
        raise UserError("the Learner's model is not fastai's AWD_LSTM; make it with AWD_LSTM")
    return state


def _head(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of fastai's `PoolingLinearClassifier` with the project's names."""
    head = {}
    for name, weight in state.items():
        if name.startswith("1."):
            _, _, block, position, rest = name.split(".", 4)
            head[f"layers.{4 * int(block) + int(position)}.{rest}"] = weight
    expected = {"layers.2.weight", "layers.6.weight"}
    if {name for name in head if name.endswith("weight") and head[name].dim() == 2} != expected:
        raise UserError(
            "the Learner's head is not fastai's with one hidden layer (lin_ftrs=[n]); found "
            f"{', '.join(sorted(head))}"
        )
    return head
