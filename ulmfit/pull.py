"""Fetch the files of a model from the Hugging Face Hub, and verify each."""

from pathlib import Path

from ulmfit.artifacts.hub import Repository, pull
from ulmfit.base.cli import run_command
from ulmfit.base.errors import UserError
from ulmfit.base.log import logger


def main(
    from_repo: str | None = None,  # the model's name on the Hub: user/name or user/name@revision
    out: str | None = None,  # model directory to write
    revision: str | None = None,  # branch, tag or commit (default: main)
    overwrite: bool = False,  # replace the model directory if it exists
) -> Path:
    """Fetch a model from the Hugging Face Hub. No fetched code is run.

    --from is short for --from-repo. Returns the path of the model directory.
    """
    if from_repo is None or out is None:
        raise UserError("give both --from user/name and --out DIR")
    if revision is not None and "@" in from_repo:
        raise UserError(f"found a revision in {from_repo} and in --revision, expected one of them")
    repository = Repository.parse(from_repo if revision is None else f"{from_repo}@{revision}")
    path = pull(repository, Path(out), overwrite)
    logger.info(f"wrote {path}, every file verified")
    return path


if __name__ == "__main__":
    run_command(main)
