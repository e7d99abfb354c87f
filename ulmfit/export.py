"""A classifier as an ONNX file, for programs that have neither torch nor fastai.

``--out model.onnx`` writes the file, with weights, labels, direction and origin (JSON under
"ulmfit" in ONNX's metadata), and the folder ``model-tokenizer`` beside it, with the text
processor's files. `ulmfit.onnx_classifier` reads both.
"""

from importlib.util import find_spec
from pathlib import Path

from ulmfit.artifacts import bundled
from ulmfit.artifacts.directory import ENSEMBLE, Artifact, read_artifact
from ulmfit.artifacts.ensemble import Ensemble, is_ensemble, read_ensemble
from ulmfit.artifacts.writing import copy_artifact
from ulmfit.base.atomic import atomic_directory, atomic_write, check_parent, os_errors_as
from ulmfit.base.cli import run_command
from ulmfit.base.errors import UserError
from ulmfit.base.log import logger
from ulmfit.base.progress import Progress
from ulmfit.inference.onnx_session import LIBRARIES, TOKENIZER, tokenizer_folder


def main(
    clf: str | None = None,  # classifier's directory, or a bundled one's name
    # file to write, with a folder for the tokenizer beside it; of an ensemble, the folder
    out: str = "model.onnx",
    int8: bool = False,  # weights of 8 bits: a quarter of the size, faster, a little less exact
    overwrite: bool = False,  # replace --out and its tokenizer's folder if they exist
) -> Path:
    """Write a classifier as ONNX, for onnxruntime and other programs.

    The file's labels, direction and origin are in its metadata; ulmfit.onnx_classifier reads it
    without torch. An ensemble becomes a folder, --out DIR: an ONNX file for each network, the
    linear classifiers as they are, and ensemble.json. Returns its path.
    """
    folder = _one_folder(clf)
    _check_installed()
    if is_ensemble(folder):
        return _export_ensemble(read_ensemble(folder), Path(out), int8, overwrite)
    path = _output_path(Path(out), overwrite)
    _write(read_artifact(folder, "classifier"), path, int8, path.parent)
    return path


def _export_ensemble(ensemble: Ensemble, out: Path, int8: bool, overwrite: bool) -> Path:
    """Write each member to folder `out`, complete or not at all."""
    if out.suffix:
        raise UserError(
            f"--out is {out}, expected a folder's name without an ending: {ensemble.path} is an "
            "ensemble, of several files"
        )
    text = ensemble.to_json()
    names = {member.name for member in ensemble.members}
    found = sorted(entry.name for entry in out.iterdir()) if out.is_dir() else []
    own = {ENSEMBLE, *names, *(f"{name}{end}" for name in names for end in (".onnx", TOKENIZER))}
    if foreign := [name for name in found if name not in own]:
        raise UserError(
            f"{out} contains a file that is not part of an export ({foreign[0]}); choose another "
            "--out"
        )
    if found and not overwrite:
        raise UserError(f"{out} is there already; choose another --out or pass --overwrite")
    check_parent(out)
    with atomic_directory(out, overwrite) as directory:
        for artifact in ensemble.artifacts:
            name = artifact.path.name
            if artifact.manifest.kind == "linear":
                with os_errors_as(f"cannot write {out}"):
                    copy_artifact(artifact, directory / name, with_seen=False)
            else:
                _write(artifact, directory / f"{name}.onnx", int8, out)
        atomic_write(directory / ENSEMBLE, text)
    logger.info(f"wrote {out} ({len(names)} members)")
    return out


def _write(artifact: Artifact, path: Path, int8: bool, folder: Path) -> None:
    """Write a network and its tokenizer's folder beside `path`; the log names `folder`."""
    from ulmfit.inference import onnx_graph

    shown = Progress(4, f"exporting {artifact.path.name}", "step", even=False)
    loaded = onnx_graph.loaded_on_cpu(artifact)
    shown.advance()
    files = loaded.processor.files()
    facts = onnx_graph.graph_facts(loaded, "int8" if int8 else "float32", files)
    proto = onnx_graph.to_onnx(loaded.model, loaded.temperature, loaded.labels)
    shown.advance()
    difference = onnx_graph.largest_difference(proto, loaded)
    shown.advance()
    if not difference <= onnx_graph.TOLERANCE:  # nan is neither
        raise UserError(
            f"probabilities of the exported graph are off by {difference:.2g}, expected at most "
            f"{onnx_graph.TOLERANCE:g}; nothing was written: pip install 'ulmfit[export]' installs "
            "matching versions"
        )
    content = onnx_graph.file_content(onnx_graph.quantized(proto) if int8 else proto, facts)
    # The model is written last: if it exists, all files exist.
    for name, file in files.items():
        atomic_write(tokenizer_folder(path) / name, file)
    atomic_write(path, content)
    shown.advance()
    told = folder / path.name
    logger.info(f"wrote {told} ({facts['weights']}, {len(content) / 1e6:.1f} MB)")
    logger.info(f"wrote {tokenizer_folder(told)} ({', '.join(files)})")


def _check_installed() -> None:
    if missing := [name for name in LIBRARIES if find_spec(name) is None]:
        raise UserError(
            f"the export needs {', '.join(missing)}; pip install 'ulmfit[export]' installs them"
        )


def _one_folder(clf: str | None) -> Path:
    if not clf:
        raise UserError("no model given; --clf DIR names a classifier, as ulmfit train writes")
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


if __name__ == "__main__":
    run_command(main)
