"""Makes notebooks from their sources (`name.py`, in cells that begin with `# %%`) and runs them.

    python notebooks/build.py [NAME ...]     all, without names

A cell is code, `[markdown]`, or `bash` (commands for the shell, as comments). The result is
`name.ipynb` beside the source, with its outputs and without times. Every notebook runs in a new
folder that is deleted afterwards. `spanish` is left out where its data are not there.
"""

import os
import re
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
NAMES = ("imdb_book", "own_csv", "spanish")
_CELL = re.compile(r"^# %%(?: (\[markdown\]|bash))?$", re.MULTILINE)
_SECONDS = 3_600.0  # for one cell, on a loaded machine
_MOST_CHARACTERS = 4_000  # of one output


def cells_of(source: str) -> list[tuple[str, str]]:
    """The kind ("code" or "markdown") and the text of each cell."""
    parts = _CELL.split(source)
    if parts[0].strip():
        raise ValueError(f"found text before the first cell: {parts[0].strip()[:60]!r}")
    return [_cell(kind or "", text) for kind, text in zip(parts[1::2], parts[2::2], strict=True)]


def _cell(kind: str, text: str) -> tuple[str, str]:
    text = text.strip("\n")
    if not kind:
        return "code", text
    lines = [re.sub(r"^# ?", "", line) for line in text.splitlines()]
    if kind == "bash":
        return "code", "\n".join(["%%bash", *lines])
    return "markdown", "\n".join(lines)


def notebook(name: str):
    """The notebook of a source, without outputs."""
    import nbformat.v4 as made

    new = {"code": made.new_code_cell, "markdown": made.new_markdown_cell}
    cells = []
    for place, (kind, text) in enumerate(cells_of((HERE / f"{name}.py").read_text("utf-8"))):
        cells.append(new[kind](text, id=f"cell-{place}"))
    about = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    return made.new_notebook(cells=cells, metadata={**about, "language_info": {"name": "python"}})


def joined(outputs: list) -> list:
    """Outputs without the cuts in a stream that come from its timing."""
    kept = []
    for output in outputs:
        if kept and output.get("name") and output.get("name") == kept[-1].get("name"):
            kept[-1]["text"] += output["text"]
        else:
            kept.append(output)
    for output in (output for output in kept if output.get("name")):
        output["text"] = output["text"].strip("\n") + "\n"
    return kept


def run(name: str) -> float:
    """Write the notebook with its outputs; the seconds that it took."""
    import nbformat
    from nbclient import NotebookClient

    found, began = notebook(name), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        where = {"metadata": {"path": folder}}
        NotebookClient(found, timeout=_SECONDS, kernel_name="python3", resources=where).execute()
    for cell in (cell for cell in found.cells if cell.cell_type == "code"):
        cell.metadata.pop("execution", None)
        cell.outputs = joined(cell.get("outputs", []))
        for output in cell.outputs:
            if len(str(output)) > _MOST_CHARACTERS:
                raise ValueError(f"{name}: an output of {len(str(output)):,} characters: {output}")
    nbformat.validate(found)
    nbformat.write(found, HERE / f"{name}.ipynb")
    return time.monotonic() - began


def main(names: list[str]) -> None:
    """Run the notebooks with these names."""
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    os.environ["ULMFIT_CACHE"] = os.environ.get("ULMFIT_CACHE") or str(HERE.parent / "data/cache")
    for name in names or NAMES:
        spanish = Path(os.environ.get("ULMFIT_DATA", ""), "spanish-reviews.parquet")
        if name == "spanish" and not spanish.exists():
            print(f"{name}: left out, $ULMFIT_DATA has no {spanish.name}")
            continue
        print(f"{name}: {run(name):.0f} seconds")


if __name__ == "__main__":
    main(sys.argv[1:])
