"""Models on the Hugging Face Hub: names, requests and verified downloads.

A repository on the Hub holds one model directory. The Hub shows metrics from the front matter of
README.md (``model-index``), but README.md is hashed in the manifest. Therefore `ulmfit.push`
uploads README.md with metrics and the original as card.md, and `pull` restores README.md from
card.md, so that all hashes are correct, even after an edit of README.md on the Hub's web page. A
repository without card.md is a plain copy of a model directory. The repository of an ensemble has
ensemble.json and a folder for each member; its README.md is not hashed and needs no card.md.

A request contains the names of repository and files, your token if there is one (HF_TOKEN, or `hf
auth login`), and the versions of ulmfit, huggingface_hub and Python. Telemetry is switched off.
"""

import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
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
from ulmfit.artifacts.manifest import Manifest
from ulmfit.artifacts.weights import largest
from ulmfit.artifacts.writing import check_output
from ulmfit.base.atomic import atomic_directory, os_errors_as
from ulmfit.base.clock import bars_shown
from ulmfit.base.errors import UserError
from ulmfit.base.log import logger
from ulmfit.base.progress import Progress
from ulmfit.base.untrusted import read_bounded
from ulmfit.base.version import __version__

if TYPE_CHECKING:
    from huggingface_hub import HfApi

HUB_CARD = "card.md"  # the original README.md

_OF_THE_HUB = {".gitattributes", CARD}  # files of a repository, but not of the model
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")
_TIMEOUT = 30.0  # seconds


@dataclass(frozen=True)
class Repository:
    """A repository of the Hub: ``user/name``, at a branch, a tag or a commit."""

    id: str
    revision: str = "main"

    @classmethod
    def parse(cls, name: str) -> "Repository":
        """The repository ``user/name[@revision]``, with or without ``hf://``."""
        found, at, revision = name.removeprefix(HUB).partition("@")
        if not _NAME.fullmatch(found) or (at and not revision):
            raise UserError(f"found the name {name!r}, expected user/name or user/name@revision")
        return cls(found, revision) if at else cls(found)

    def __str__(self) -> str:
        at = "" if self.revision == "main" else f"@{self.revision}"
        return f"{HUB}{self.id}{at}"

    @property
    def folder_name(self) -> str:
        """A unique name for its folder in a cache (no name on the Hub contains --)."""
        return f"{self.id.replace('/', '--')}@{quote(self.revision, safe='')}"


def client() -> "HfApi":
    """A client of the Hub ($HF_ENDPOINT, or huggingface.co); it sends nothing yet.

    Raises UserError if huggingface_hub is not installed, or the token cannot be read.
    """
    try:
        import huggingface_hub
        from huggingface_hub import constants, utils
    except ImportError:
        raise UserError(
            "the Hugging Face Hub needs the package huggingface_hub, which is missing: "
            'pip install "huggingface_hub>=2.4,<3"'
        ) from None
    # The library reads the environment variable of this name only on import.
    constants.HF_HUB_DISABLE_TELEMETRY = True
    if not bars_shown():
        utils.disable_progress_bars()
    with hub_errors("cannot log in to the Hub"):
        token = huggingface_hub.get_token() or ""
    if not (token.isascii() and token.isprintable()):
        # The HTTP library's error would show the token.
        raise UserError(
            "the Hub's token holds characters that no token has; set HF_TOKEN again, or log in "
            "again: hf auth login"
        )
    return huggingface_hub.HfApi(library_name="ulmfit", library_version=__version__)


@contextmanager
def hub_errors(action: str) -> Iterator[None]:
    """Turn any error of the Hub or the library into a UserError: `action`, a colon, the reason."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # from the network, the disk, the library, or a transfer's threads
        raise UserError(f"{action}: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    from huggingface_hub import constants, errors

    if isinstance(error, errors.LocalEntryNotFoundError | RuntimeError) and error.__cause__:
        error = error.__cause__  # the library's own error says less
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
    """The server's message and the remedy for its status.

    The address is left out, because it may contain a signature that grants access.
    """
    remedy = {
        401: "log in again: hf auth login, or set HF_TOKEN anew",
        403: "use a token with the right to do this, or a name of your own",
        429: "wait, then try again",
    }.get(status, "try again later")
    said = f" ({shown(words)})" if words else ""
    return f"the Hub answers {status}{said}; {remedy}"


def shown(text: str) -> str:
    """`text` from a server on one line, without control characters and at most 160 characters."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= 160 else line[:157] + "..."


def pull(repository: Repository, out: Path, overwrite: bool = False) -> Path:
    """Download a model into directory `out`, which afterwards is complete and verified, or absent.

    Raises UserError if the Hub cannot be reached, the model does not exist, a file is too large,
    of an unknown kind or altered, or `out` cannot be written.
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
            # On a terminal the library shows a bar for each file.
            size = sum(sizes[name] or 0 for name in names) / 1e6
            shown = None if bars_shown() else Progress(size, f"pulling {repository}", "MB")
            for name in names:
                with hub_errors(f"cannot pull {name} of {repository}"):
                    api.hf_hub_download(repository.id, name, revision=info.sha, local_dir=directory)
                if shown:
                    shown.advance((sizes[name] or 0) / 1e6)

        if MANIFEST not in sizes and ENSEMBLE in sizes:
            wanted = _fetch_ensemble(repository, directory, sizes, fetch)
        else:
            fetch([MANIFEST])
            manifest = _manifest(repository, directory / MANIFEST, MANIFEST)
            card = HUB_CARD if HUB_CARD in sizes else CARD
            names = [card if name == CARD else name for name in files_of(manifest, sizes)]
            fetch(names)
            with os_errors_as(f"cannot write {out}"):
                os.replace(directory / card, directory / CARD)
            wanted = {MANIFEST, *names}
        with os_errors_as(f"cannot write {out}"):
            shutil.rmtree(directory / ".cache")  # the library's notes on the download
        _verify(repository, directory)
    wanted |= _OF_THE_HUB
    if others := sorted(name for name in sizes if name not in wanted):
        first = ", ".join(shown(name) for name in others[:3])
        more = ", ..." if len(others) > 3 else ""
        logger.info(f"left out, since no part of the model: {first}{more}")
    return out


def _fetch_ensemble(
    repository: Repository,
    directory: Path,
    sizes: Mapping[str, int | None],
    fetch: Callable[[list[str]], None],
) -> set[str]:
    """Download an ensemble's files; returns their names."""
    fetch([ENSEMBLE])
    with os_errors_as(f"cannot read {directory / ENSEMBLE}"):
        text = read_bounded(directory / ENSEMBLE, largest(ENSEMBLE))
    own = [METRICS, CARD]
    fetch(own)
    wanted = {ENSEMBLE, *own}
    for member in parse_ensemble(text, directory, f"{repository}/{ENSEMBLE}").members:
        folder = f"{member.name}/"
        name = f"{folder}{MANIFEST}"
        fetch([name])
        manifest = _manifest(repository, directory / member.name / MANIFEST, name)
        files = [f"{folder}{file}" for file in files_of(manifest, sizes, folder)]
        fetch(files)
        wanted |= {name, *files}
    return wanted


def cached_at(repository: Repository) -> Path:
    """Where a pulled model is kept: in the folder of caches ($ULMFIT_CACHE, or data/cache)."""
    from ulmfit.text.corpus import cache_folder  # slow to import

    return cache_folder() / "hub" / repository.folder_name


def resolve(name: str) -> Path:
    """The directory of the model ``hf://user/name[@revision]``, pulled once and cached.

    After the first pull no request is sent, so a branch does not change until the folder is
    deleted. Raises UserError as `pull`.
    """
    repository = Repository.parse(name)
    folder = cached_at(repository)
    with os_errors_as(f"cannot read {folder}"):
        known = folder.exists()
    if not known:
        logger.info(f"pulling {repository} into {folder}")
        try:
            pull(repository, folder)
        except UserError:
            if not folder.exists():  # otherwise another process has pulled the same model
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
        # The directory has a temporary name.
        found = str(error).replace(str(directory), str(repository))
        raise UserError(f"{found}; nothing was written") from None
