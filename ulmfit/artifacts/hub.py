"""Models on the Hugging Face Hub: their names, the way there, and what comes back, verified.

A repository of the Hub holds one model directory. The Hub shows the figures that it finds in the
front matter of README.md (``model-index``), but a model directory's README.md is hashed in its
manifest. Therefore `ulmfit.push` uploads README.md with the figures added, and beside it the card
as it was, as card.md; `pull` puts card.md in README.md's place, and every hash holds. To take the
figures out of README.md again would tie the hash to a YAML writer, and a README.md that was edited
on the Hub's web page, as is usual there, would break the model. A repository without a card.md is
a plain copy of a model directory and pulled as it is.

What is sent: the names of repository and files, your token if there is one (huggingface_hub finds
it: HF_TOKEN, or `hf auth login`), and the versions of ulmfit, huggingface_hub and Python. The
library's telemetry is switched off. `ulmfit.push` says what else it sends, which is the model.

An ensemble's repository has its ensemble.json, and each member in a folder, where every file is as
it was: the Hub reads the README.md of the repository alone, and that of an ensemble is not hashed.
"""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from ulmfit.artifacts.bundled import HUB
from ulmfit.artifacts.directory import (
    CARD,
    ENSEMBLE,
    MANIFEST,
    METRICS,
    read_artifact,
    read_metrics,
)
from ulmfit.artifacts.ensemble import (
    check_ensemble_output,
    is_ensemble,
    parse_ensemble,
    read_ensemble,
)
from ulmfit.artifacts.hub_files import check_sizes, files_of
from ulmfit.artifacts.limits import largest
from ulmfit.artifacts.manifest import Manifest, library_versions
from ulmfit.artifacts.writing import check_output
from ulmfit.base.atomic import atomic_directory, os_errors_as
from ulmfit.base.errors import UserError
from ulmfit.base.log import logger
from ulmfit.base.progress import bars_shown
from ulmfit.base.untrusted import read_bounded

if TYPE_CHECKING:
    from huggingface_hub import HfApi

HUB_CARD = "card.md"  # the card as it is in the model directory
INSTALL = 'pip install "huggingface_hub>=2.4,<3"'

_OF_THE_HUB = {".gitattributes", CARD}  # part of a repository, but of no model
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")
_TIMEOUT = 30.0  # seconds


@dataclass(frozen=True)
class Repository:
    """A repository of the Hub: ``user/name``, at a branch, a tag or a commit."""

    id: str
    revision: str = "main"

    @classmethod
    def parse(cls, name: str) -> "Repository":
        """The repository that ``user/name[@revision]`` names, with ``hf://`` before it or not."""
        found, at, revision = name.removeprefix(HUB).partition("@")
        if not _NAME.fullmatch(found) or (at and not revision):
            raise UserError(f"found the name {name!r}, expected user/name or user/name@revision")
        return cls(found, revision) if at else cls(found)

    def __str__(self) -> str:
        at = "" if self.revision == "main" else f"@{self.revision}"
        return f"{HUB}{self.id}{at}"

    @property
    def folder_name(self) -> str:
        """A name for its folder in a cache; no two have the same (no name on the Hub has --)."""
        return f"{self.id.replace('/', '--')}@{quote(self.revision, safe='')}"


def client() -> "HfApi":
    """The way to the Hub ($HF_ENDPOINT, or huggingface.co); nothing is sent yet.

    Raises:
        UserError: huggingface_hub is not installed, or there is no getting at the token.
    """
    try:
        import huggingface_hub
        from huggingface_hub import constants, utils
    except ImportError:
        raise UserError(
            f"the Hugging Face Hub needs the package huggingface_hub, which is missing: {INSTALL}"
        ) from None
    # The environment variable of that name is read once, when the library is imported.
    constants.HF_HUB_DISABLE_TELEMETRY = True
    if not bars_shown():
        utils.disable_progress_bars()
    with hub_errors("cannot log in to the Hub"):
        token = huggingface_hub.get_token() or ""
    if not (token.isascii() and token.isprintable()):
        # Caught here, since the error of the HTTP library would show the token.
        raise UserError(
            "the Hub's token holds characters that no token has; set HF_TOKEN again, or log in "
            "again: hf auth login"
        )
    return huggingface_hub.HfApi(
        library_name="ulmfit", library_version=library_versions()["ulmfit"]
    )


@contextmanager
def hub_errors(action: str) -> Iterator[None]:
    """Turn what the Hub or the library raises into a UserError: `action`, a colon, the reason."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # of the network, the disk, the library, or a transfer's threads
        raise UserError(f"{action}: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    from huggingface_hub import constants, errors

    if isinstance(error, errors.LocalEntryNotFoundError | RuntimeError) and error.__cause__:
        error = error.__cause__  # what the library makes of it says less
    if isinstance(error, errors.OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set, which forbids all requests; unset it"
    if isinstance(error, errors.GatedRepoError):
        return f"its owner asks for an agreement first; see {constants.ENDPOINT}, then try again"
    if isinstance(error, errors.RepositoryNotFoundError):
        return (
            "there is no such repository, or it is private and not yours; check the name, or log "
            "in: hf auth login, or HF_TOKEN"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return "it has no such revision; give a branch, a tag or a commit that it has"
    if isinstance(error, errors.HfHubHTTPError):
        return _answer(error.response.status_code, error.server_message or "")
    if isinstance(error, errors.HTTPError):
        found = shown(str(error)) or type(error).__name__
        return f"{constants.ENDPOINT} does not answer ({found}); check the network and HF_ENDPOINT"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"{type(error).__name__}: {shown(str(error))}"


def _answer(status: int, words: str) -> str:
    """What to do about an error's status, after the server's own words for it.

    Its address is left out: it may carry a signature that lets others in.
    """
    remedy = {
        401: "log in again: hf auth login, or set HF_TOKEN anew",
        403: "take a token with the right to do this, or a name of your own",
        429: "wait, then try again",
    }.get(status, "try again later")
    said = f" ({shown(words)})" if words else ""
    return f"the Hub answers {status}{said}; {remedy}"


def shown(text: str) -> str:
    """`text` of a server on one short line that does nothing to a terminal."""
    line = "".join(c if c.isprintable() else " " for c in text)
    line = " ".join(line.split())
    return line if len(line) <= 160 else line[:157] + "..."


def pull(repository: Repository, out: Path, overwrite: bool = False) -> Path:
    """Download a model into directory `out`, which is complete and verified or not there at all.

    Raises:
        UserError: no way to the Hub, no such model, files that are too large, of a kind that no
            model has or not those that were pushed; or `out` cannot be written.
    """
    (check_ensemble_output if is_ensemble(out) else check_output)(out, overwrite)
    api = client()
    with hub_errors(f"cannot pull {repository}"):
        info = api.model_info(
            repository.id, revision=repository.revision, files_metadata=True, timeout=_TIMEOUT
        )
    sizes = {file.rfilename: file.size for file in info.siblings or []}
    with atomic_directory(out, overwrite) as directory:

        def fetch(names: list[str]) -> None:
            check_sizes(repository, sizes, names)
            for name in names:
                with hub_errors(f"cannot pull {name} of {repository}"):
                    api.hf_hub_download(repository.id, name, revision=info.sha, local_dir=directory)

        if MANIFEST not in sizes and ENSEMBLE in sizes:
            wanted = _fetch_ensemble(repository, directory, fetch)
        else:
            fetch([MANIFEST])
            names = files_of(_manifest(repository, directory / MANIFEST, MANIFEST))
            card = HUB_CARD if HUB_CARD in sizes else CARD
            fetch([card if name == CARD else name for name in names])
            with os_errors_as(f"cannot write {out}"):
                os.replace(directory / card, directory / CARD)
            wanted = {MANIFEST, card, *names}
        with os_errors_as(f"cannot write {out}"):
            shutil.rmtree(directory / ".cache")  # the library's notes on the download
        _verify(repository, directory)
    _say_left_out([name for name in sizes if name not in wanted | _OF_THE_HUB])
    return out


def _fetch_ensemble(
    repository: Repository, directory: Path, fetch: Callable[[list[str]], None]
) -> set[str]:
    """Fetch an ensemble's files, and return their names."""
    fetch([ENSEMBLE])
    with os_errors_as(f"cannot read {directory / ENSEMBLE}"):
        text = read_bounded(directory / ENSEMBLE, largest(ENSEMBLE))
    own = [METRICS, CARD]
    fetch(own)
    wanted = {ENSEMBLE, *own}
    for member in parse_ensemble(text, directory, f"{repository}/{ENSEMBLE}").members:
        name = f"{member.name}/{MANIFEST}"
        fetch([name])
        manifest = _manifest(repository, directory / member.name / MANIFEST, name)
        files = [f"{member.name}/{file}" for file in files_of(manifest)]
        fetch(files)
        wanted |= {name, *files}
    return wanted


def resolve(name: str) -> Path:
    """The directory of the model ``hf://user/name[@revision]``, which is pulled once and kept.

    It lies under the folder of caches ($ULMFIT_CACHE, or data/cache) and was verified when it
    arrived; `read_artifact` verifies it again. From then on the Hub is not asked any more: a
    branch stays as it was until the folder is deleted. Raises UserError as `pull` does.
    """
    from ulmfit.text.corpus import cache_folder  # and with it torch

    repository = Repository.parse(name)
    folder = cache_folder() / "hub" / repository.folder_name
    with os_errors_as(f"cannot read {folder}"):
        known = folder.exists()
    if not known:
        logger.info(f"pulling {repository} into {folder}")
        try:
            pull(repository, folder)
        except UserError:
            if not folder.exists():  # else another process pulled the same meanwhile
                raise
    return folder


def _manifest(repository: Repository, file: Path, name: str) -> Manifest:
    with os_errors_as(f"cannot read {file}"):
        return Manifest.from_json(file.read_bytes(), f"{repository}/{name}", str(repository))


def _verify(repository: Repository, directory: Path) -> None:
    try:
        if is_ensemble(directory):
            read_ensemble(directory)
        else:
            read_artifact(directory)
        read_metrics(directory)
    except UserError as error:
        # The directory's name is a temporary one, which says nothing and will be gone.
        found = str(error).replace(str(directory), str(repository))
        raise UserError(f"{found}; nothing was written") from None


def _say_left_out(names: list[str]) -> None:
    if names:
        first = ", ".join(shown(name) for name in sorted(names)[:3])
        more = ", ..." if len(names) > 3 else ""
        logger.info(f"left out, since no part of the model: {first}{more}")
