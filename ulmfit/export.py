"""A classifier as an ONNX file, for programs that have neither torch nor fastai.

``--out model.onnx`` writes the file, with weights, labels, direction and origin (JSON under
"ulmfit" in ONNX's metadata), and the folder ``model-tokenizer`` beside it, with the text
processor's files. `ulmfit.onnx_classifier` reads both.
"""

from importlib.util import find_spec
from pathlib import Path

from ulmfit.artifacts import bundled
from ulmfit.artifacts.directory import read_artifact
from ulmfit.base.atomic import atomic_write, check_parent
from ulmfit.base.cli import run_command
from ulmfit.base.errors import UserError
from ulmfit.base.log import logger
from ulmfit.inference.onnx_session import LIBRARIES, tokenizer_folder


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
    if missing := [name for name in LIBRARIES if find_spec(name) is None]:
        raise UserError(
            f"the export needs {', '.join(missing)}; pip install 'ulmfit[export]' installs them"
        )
    from ulmfit.inference import onnx_graph

    loaded = onnx_graph.loaded_on_cpu(read_artifact(folder, "classifier"))
    files = loaded.processor.files()
    facts = onnx_graph.graph_facts(loaded, "int8" if int8 else "float32", files)
    proto = onnx_graph.to_onnx(loaded.model, loaded.temperature, loaded.labels)
    difference = onnx_graph.largest_difference(proto, loaded)
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
    logger.info(f"wrote {path} ({facts['weights']}, {len(content) / 1e6:.1f} MB)")
    logger.info(f"wrote {tokenizer_folder(path)} ({', '.join(files)})")
    return path


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


if __name__ == "__main__":
    run_command(main)
