"""The model card: README.md of a model directory, written from its manifest alone."""

import json
import re
from itertools import pairwise
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from ulmfit.artifacts.config import NB_LR, ClassifierConfig, LinearConfig, StudentConfig
from ulmfit.artifacts.manifest import CLASSIFIERS, Manifest
from ulmfit.model.sizes import EncoderConfig

SHOWN_EPOCHS = 20  # the rest is in history.csv
_STAGES = {
    1: "Pretrained language model",
    2: "Language model fine-tuned on in-domain text",
    3: "Text classifier",
}


def model_card(
    manifest: Manifest, history: list[dict[str, Any]], parameters: int | None = None
) -> str:
    """The card as Markdown with Hugging Face's front matter, without dates and absolute paths.

    `parameters` is the number of the model's parameters; the default is the encoder's number.
    """
    stage = stage_of(manifest)
    linear = isinstance(manifest.config, LinearConfig)
    sections = [
        _front_matter(manifest),
        f"# {_STAGES[stage]}: {_cell(manifest.size)}, {'linear' if linear else manifest.direction}",
        _about(manifest, stage, parameters),
        "## Use",
        _use(manifest, stage),
        *([] if linear else _tokenizer(manifest)),
        *_labels(manifest),
        "## Training recipe",
        _table(("setting", "value"), _flat({**manifest.recipe, "seed": manifest.seed})),
        "## Metrics",
        _table(("metric", "value"), _flat(manifest.metrics)),
        *_epochs(history),
        "## Data and lineage",
        _lineage(manifest),
        "## Limits",
        _limits(manifest),
        "## Versions",
        _table(("library", "version"), _flat(manifest.versions)),
    ]
    return "\n\n".join(sections) + "\n"


def ensemble_card(
    manifest: Manifest, members: list[Any], temperature: float, log_loss: float | None
) -> str:
    """The card of an ensemble's directory.

    Args:
        manifest: of one of the members.
        members: rows of name, reading and weight.
        log_loss: of the mixture on the validation texts.
    """
    figures = [("temperature", temperature), ("log loss on valid", log_loss)]
    use = [
        'ulmfit predict --clf DIR --text "A text to classify."',
        "ulmfit evaluate --clf DIR --data texts.csv",
    ]
    sections = [
        "\n".join(
            [
                "---",
                "library_name: ulmfit",
                "pipeline_tag: text-classification",
                "tags: [ulmfit, ensemble]",
                "---",
            ]
        ),
        "# Text classifier: an ensemble",
        "Each member reads the text in its own way; their probabilities are averaged by weight, "
        "and divided by one temperature. A member's own card lies in its folder.",
        _table(("member", "reads", "weight"), members),
        _table(("setting", "value"), figures),
        "## Use",
        "`DIR` is the directory that holds this file.\n\n```sh\n" + "\n".join(use) + "\n```",
        *_labels(manifest),
    ]
    return "\n\n".join(sections) + "\n"


def _tokenizer(manifest: Manifest) -> list[str]:
    return ["## Tokenizer", _table(("setting", "value"), _flat(manifest.tokenizer))]


def stage_of(manifest: Manifest) -> int:
    """The number of the stage that wrote the model."""
    if manifest.kind in CLASSIFIERS:
        return 3
    # fast.ai's WikiText-103 weights (`pretrained = "wt103"`) have no manifest.
    return 2 if manifest.parent or manifest.recipe.get("pretrained") else 1


def _front_matter(manifest: Manifest) -> str:
    task = "text-classification" if manifest.kind in CLASSIFIERS else "text-generation"
    # No license: the terms of the training texts are not known here.
    lines = ["library_name: ulmfit", f"pipeline_tag: {task}"]
    language = manifest.tokenizer.get("lang")
    if isinstance(language, str) and re.fullmatch("[a-z]{2,3}", language):
        lines.append(f'language: "{language}"')  # quoted: YAML reads a bare `no` as false
    tags = "linear" if manifest.kind == "linear" else "awd-lstm, fastai"
    return "\n".join(["---", *lines, f"tags: [ulmfit, {tags}]", "---"])


def _about(manifest: Manifest, stage: int, parameters: int | None) -> str:
    if isinstance(manifest.config, LinearConfig):
        text = "Logistic regression on words and pairs of words, weighted by "
        text += "naive Bayes." if manifest.config.features == NB_LR else "TF-IDF."
        if manifest.is_student:
            text += " The n-grams are hashed, and a classifier's probabilities were its lesson."
        return f"{text}\n\n{_table(('config', 'value'), _flat(manifest.config.as_dict()))}"
    order = "first word to last" if manifest.direction == "forward" else "last word to first"
    subject = "It" if parameters is not None else "Its encoder"
    count = parameters if parameters is not None else _encoder_parameters(manifest.network.encoder)
    text = (
        f"Written by stage {stage} of ULMFiT (Howard & Ruder 2018, arXiv:1801.06146):"
        f" an AWD-LSTM that reads text from the {order}. {subject} has {count:,} parameters."
    )
    return f"{text}\n\n{_table(('config', 'value'), _flat(manifest.config.as_dict()))}"


def _encoder_parameters(config: EncoderConfig) -> int:
    """The parameters of embedding and LSTM layers."""
    widths = [config.emb_sz, *[config.n_hid] * (config.n_layers - 1), config.emb_sz]
    # A layer has four gates, each with weights on input and state, and two biases.
    layers = sum(4 * out * (into + out + 2) for into, out in pairwise(widths))
    return config.vocab_sz * config.emb_sz + layers


def _use(manifest: Manifest, stage: int) -> str:
    backwards = " --backwards" if manifest.direction == "backward" else ""
    if stage == 3:
        commands = [
            'ulmfit predict --clf DIR --text "A text to classify."',
            "ulmfit evaluate --clf DIR --data texts.csv",
        ]
        python = (
            "\n\n```python\nfrom ulmfit.predict import Classifier\n\n"
            'Classifier.load("DIR").predict(["A text to classify."])\n```\n\n'
            "A forward and a backward classifier of the same data are averaged when both"
            " directories are given."
        )
    else:
        command = "lm --pretrained" if stage == 1 else "clf --lm"
        commands = [f"ulmfit {command} DIR --data texts.csv{backwards}"]
        if not backwards:
            commands.insert(0, 'ulmfit generate --lm DIR --prompt "The first words"')
        python = ""
    shell = "\n".join(commands)
    return f"`DIR` is the directory that holds this file.\n\n```sh\n{shell}\n```{python}"


def _labels(manifest: Manifest) -> list[str]:
    if not manifest.labels:
        return []
    listed = "\n".join(f"{n}. {_cell(label)}" for n, label in enumerate(manifest.labels))
    multi_label = manifest.labelled_config.multi_label
    several = " (a text may have several of them, or none)" if multi_label else ""
    return ["## Labels", f"In the order of the model's outputs{several}:", listed]


def _epochs(history: list[dict[str, Any]]) -> list[str]:
    if not history:
        return []
    columns = list(dict.fromkeys(key for row in history for key in row))
    rows = [tuple(row.get(column, "") for column in columns) for row in history[-SHOWN_EPOCHS:]]
    table = _table(tuple(columns), rows)
    if len(history) > SHOWN_EPOCHS:
        note = f"The last {SHOWN_EPOCHS} of {len(history)} epochs; all are in `history.csv`."
        return ["## Epochs", note, table]
    return ["## Epochs", table]


def _lineage(manifest: Manifest) -> str:
    lines = [f"- {_cell(manifest.about)}"] if manifest.about else []
    lines.append(f"- Fingerprint of the training data: `{_cell(manifest.data_fingerprint)}`")
    if manifest.recipe.get("lm_text") == "all":
        lines.append("- It has also read the texts of split test, without their labels")
    if manifest.parent:
        lines.append(f"- Began from the model whose `manifest.json` has sha256 `{manifest.parent}`")
    elif isinstance(config := manifest.config, StudentConfig):
        taught = ", ".join(f"`{_cell(sha)}`" for sha in config.teachers)
        lines.append(f"- Taught by the models whose `manifest.json` has sha256 {taught}")
    elif manifest.kind == "linear":
        lines.append("- Trained on the labelled texts alone")
    elif (pretrained := manifest.recipe.get("pretrained", "none")) != "none":
        lines.append(f"- Began from {_cell(pretrained)}")
    else:
        lines.append("- Began from random weights")
    return "\n".join(lines)


def _limits(manifest: Manifest) -> str:
    config, language = manifest.config, manifest.tokenizer.get("lang")
    known = f" (`{_cell(language)}`)" if language else ""
    lines = [f"It was trained on one language{known} and one kind of text."]
    if isinstance(config, ClassifierConfig):
        end = "last" if manifest.direction == "forward" else "first (the last in its order)"
        lines.append(
            f"The decision depends on the {end} {config.max_len} tokens of a text, and on the rest"
            " only as far as the encoder remembers it."
        )
    if isinstance(config, LinearConfig):
        lines.append("It counts words and pairs of words, and ignores those not in its training.")
    if manifest.kind in CLASSIFIERS:
        lines.append(
            "It decides on each label by itself, also for an unknown kind of text."
            if manifest.labelled_config.multi_label
            else "It gives every text one of its labels, also an unknown kind of text."
        )
    else:
        lines.append("It may write sentences of its training data, and false statements.")
    lines.append("It may reproduce the biases of its training data.")
    return "\n".join(f"- {line}" for line in lines)


def _flat(tree: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Rows of a table, sorted: {"test": {"f1": 1}} becomes ("test.f1", 1)."""
    rows: list[tuple[str, Any]] = []
    for key, value in sorted(tree.items(), key=lambda item: str(item[0])):
        if isinstance(value, dict) and value:
            rows += _flat(value, f"{prefix}{key}.")
        else:
            rows.append((f"{prefix}{key}", value))
    return rows


def _table(head: tuple[str, ...], rows: list[Any]) -> str:
    if not rows:
        return "None recorded."
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(value: object) -> str:
    """`value` on one line, without characters that end a cell or open a tag."""
    shown = _shown(value)
    text = shown if isinstance(shown, str) else json.dumps(shown, ensure_ascii=False, default=str)
    text = " ".join(text.split()).replace("`", "'").replace("<", "&lt;")
    return text.replace("|", "\\|")


def _shown(value: object) -> object:
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, list | tuple):
        return [_shown(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _shown(item) for key, item in value.items()}
    return _without_folders(value) if isinstance(value, str) else value


def _without_folders(text: str) -> str:
    # Absolute paths reveal the owner's folders and mean nothing elsewhere.
    if text.startswith(("/", "~")):
        return PurePosixPath(text).name or text
    return PureWindowsPath(text).name if re.match(r"[A-Za-z]:[\\/]|\\\\", text) else text
