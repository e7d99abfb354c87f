"""Share a model on the Hugging Face Hub, with a model card for the Hub."""

import math
from collections.abc import Iterator
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from ulmfit.artifacts.directory import (
    CARD,
    ENSEMBLE,
    MANIFEST,
    METRICS,
    SEEN,
    Artifact,
    read_artifact,
    read_metrics,
)
from ulmfit.artifacts.ensemble import is_ensemble, read_ensemble
from ulmfit.artifacts.hub import HUB_CARD, Repository, client, hub_errors
from ulmfit.base.cli import run_command
from ulmfit.base.errors import UserError
from ulmfit.base.log import logger

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, EvalResult, HfApi

# This project's figures -> the Hub's metric and its description.
_METRICS = {
    "accuracy": ("accuracy", "Accuracy"),
    "f1_micro": ("f1", "F1 over all decisions"),
    "f1": ("f1", "F1, mean over classes"),
    "f1_weighted": ("f1", "F1, weighted by class size"),
    "ece": ("ece", "Expected calibration error"),
    "log_loss": ("log_loss", "Log loss"),
    "perplexity": ("perplexity", "Perplexity"),
}
_TASKS = {
    "classifier": ("text-classification", "Text classification"),
    "linear": ("text-classification", "Text classification"),
    "lm": ("text-generation", "Language modelling"),
}


def main(
    model: str | None = None,  # directory of the model or ensemble to share
    to: str | None = None,  # its name on the Hub: user/name
    private: bool = False,  # only you can see it; default: the Hub's setting, usually public
    with_seen: bool = False,  # send seen.bin, too: hashes of the texts of the training
) -> str:
    """Share a model directory on the Hugging Face Hub: its files, verified first.

    The vocabulary lists words of the training texts, a language model may repeat their sentences,
    and the manifest has the recipe with its paths. seen.bin of a classifier, which shows whether a
    given text was in the training, is only sent with --with-seen: without it, evaluate cannot leave
    such texts out. The repository is created if it does not exist; its files are replaced. Returns
    its address.
    """
    if model is None or to is None:
        raise UserError("give both --model DIR and --to user/name")
    repository = Repository.parse(to)
    if repository != Repository(repository.id):
        raise UserError(f"--to is {to}, expected user/name without a revision")
    shared = Shared.read(Path(model))
    api = client()
    card = hub_card(shared, repository.id.partition("/")[2])
    uploads = _uploads(shared, card, with_seen)
    url, there = _make(api, repository, private)
    size = sum(upload.upload_info.size for upload in uploads) / 1e6
    logger.info(f"sending {', '.join(upload.path_in_repo for upload in uploads)}; {size:,.1f} MB")
    lines = chain.from_iterable(_revealed(artifact, with_seen) for artifact in shared.artifacts)
    for line in dict.fromkeys(lines):
        logger.info(line)
    with hub_errors(f"cannot push to {repository}"):
        # All in one commit: a pull never gets half a model.
        changes = [*uploads, *_removals(uploads, there)]
        api.create_commit(repository.id, changes, commit_message="Model directory of ulmfit")
    logger.info(f"pushed to {url}; ulmfit pull --from {repository.id} --out DIR fetches it")
    return url


class Shared(NamedTuple):
    """A directory to share: that of a model, or of an ensemble with its members.

    kind: of the first one. measured: what the training measured on its valid split.
    """

    path: Path
    artifacts: tuple[Artifact, ...]
    measured: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> "Shared":
        """The directory, verified; raises UserError as `read_artifact` and `read_ensemble`."""
        if is_ensemble(path):
            ensemble = read_ensemble(path)
            return cls(path, ensemble.artifacts, ensemble.metrics.get("valid") or {})
        return cls.of(read_artifact(path))

    @classmethod
    def of(cls, artifact: Artifact) -> "Shared":
        """A model by itself."""
        metrics = artifact.manifest.metrics
        measured = metrics.get("valid") or metrics.get("after") or {}
        return cls(artifact.path, (artifact,), measured)

    @property
    def files(self) -> dict[str, Path]:
        """All files but the card, by their names in the repository."""
        if not is_ensemble(self.path):
            return {n: self.path / n for n in _names(self.artifacts[0]) if n != CARD}
        files = {name: self.path / name for name in (ENSEMBLE, METRICS)}
        for artifact in self.artifacts:
            member = artifact.path.name
            files |= {f"{member}/{name}": artifact.path / name for name in _names(artifact)}
        return files


def _names(artifact: Artifact) -> tuple[str, ...]:
    return (MANIFEST, METRICS, *artifact.names())


def hub_card(shared: Shared, name: str) -> str:
    """The model's card, with its figures where the Hub looks for them (``model-index``)."""
    from huggingface_hub import ModelCard

    with hub_errors(f"cannot read the front matter of {shared.path / CARD}"):
        card = ModelCard((shared.path / CARD).read_text(encoding="utf-8"))
        if results := list(evaluation_results(shared)):
            card.data["model_name"] = name
            card.data["eval_results"] = results
        return str(card)


def evaluation_results(shared: Shared) -> Iterator["EvalResult"]:
    """The figures of the training on its valid split, then those of `ulmfit.evaluate`.

    Raises:
        UserError: metrics.json has another form than `ulmfit.evaluate` writes.
    """
    from ulmfit.data.load import source_name  # and with it pandas

    manifest = shared.artifacts[0].manifest
    data = manifest.recipe.get("data")
    source = source_name(str(data)) if data else "held-out texts"
    yield from _results(manifest.kind, source, "valid", shared.measured)
    try:
        for source, splits in read_metrics(shared.path).get("evaluation", {}).items():
            for split, figures in splits.items():
                yield from _results(manifest.kind, source, split, figures)
                fresh = figures.get("without_repeated", {})
                yield from _results(manifest.kind, source, split, fresh, "not seen in training")
    except AttributeError:
        raise UserError(
            f"{shared.path / METRICS} does not hold what ulmfit evaluate writes; run it again"
        ) from None


def _results(
    kind: str, source: str, split: str, figures: dict[str, Any], part: str | None = None
) -> Iterator["EvalResult"]:
    from huggingface_hub import EvalResult

    task, task_name = _TASKS[kind]
    for key, (metric, name) in _METRICS.items():
        value = figures.get(key)
        if key == "accuracy" and "f1_micro" in figures:
            name = "Accuracy, of all labels of a text"
        if isinstance(value, int | float) and math.isfinite(value):
            yield EvalResult(
                task_type=task,
                task_name=task_name,
                dataset_type=source,
                dataset_name=f"{source}, {part}" if part else source,
                dataset_config=part,
                dataset_split=split,
                metric_type=metric,
                metric_name=name,
                metric_value=value,
            )


def _uploads(shared: Shared, card: str, with_seen: bool) -> list["CommitOperationAdd"]:
    from huggingface_hub import CommitOperationAdd

    files: dict[str, Path | bytes] = {CARD: card.encode()}
    files |= {n: file for n, file in shared.files.items() if file.name != SEEN or with_seen}
    if not is_ensemble(shared.path):  # an ensemble's card is not hashed and may change
        files[HUB_CARD] = shared.path / CARD
    with hub_errors(f"cannot read {shared.path}"):
        return [CommitOperationAdd(name, content) for name, content in files.items()]


def _removals(
    uploads: list["CommitOperationAdd"], there: set[str]
) -> Iterator["CommitOperationDelete"]:
    """The removal of an earlier model's files that no other replaces and that have an effect.

    These are seen.bin, manifest.json after a push of an ensemble, and ensemble.json after another.
    """
    from huggingface_hub import CommitOperationDelete

    for name in sorted(there - {upload.path_in_repo for upload in uploads}):
        if name in (MANIFEST, ENSEMBLE) or PurePosixPath(name).name == SEEN:
            yield CommitOperationDelete(name)


def _make(api: "HfApi", repository: Repository, private: bool) -> tuple[str, set[str]]:
    """Create the repository if it does not exist; returns its address and the names of its files.

    Raises:
        UserError: there is no token, the right is missing, or a public one should be private.
    """
    from huggingface_hub import get_token

    if get_token() is None:
        raise UserError("not logged in to the Hub: hf auth login, or set HF_TOKEN")
    with hub_errors(f"cannot push to {repository}"):
        # None leaves it to the settings of the user or the organisation, which False overrules.
        url = str(api.create_repo(repository.id, private=private or None, exist_ok=True))
        found = api.model_info(repository.id)
    if private and not found.private:
        raise UserError(
            f"{repository} is there already and is public: nothing was sent; make it private in "
            "its settings on the Hub, or choose another name"
        )
    seen_by = "private" if found.private else "public: everybody can see what is sent"
    logger.info(f"{url} is {seen_by}")
    return url, {file.rfilename for file in found.siblings or []}


def _revealed(artifact: Artifact, with_seen: bool) -> Iterator[str]:
    """Lines about unexpected contents of the model."""
    yield "the vocabulary lists words of the training texts"
    if SEEN in artifact.names():
        stays = "" if with_seen else " and stays here; --with-seen sends it"
        yield f"{SEEN} tells whether a given text was in the training{stays}"
    if artifact.manifest.kind == "lm":
        yield "a language model may give back sentences of the training texts"
    for key, value in artifact.manifest.recipe.items():
        if isinstance(value, str) and Path(value).is_absolute():
            yield f"{MANIFEST} has a path of this computer: {key} = {value}"


if __name__ == "__main__":
    run_command(main)
