"""Draws docs/session.svg: a session in a terminal, with what the commands really print.

    python docs/scripts/picture.py

The picture names no font of another host; it uses the monospaced font of the reader.
"""

import re
import subprocess
import sys
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.text import Text

PICTURE = Path(__file__).parents[1] / "session.svg"
REVIEW = "A slow start, but the last hour is warm and wonderfully acted."
BLANK = "I gave it two xxmask out of ten."
SESSION = (
    ["predict", "--text", REVIEW],
    ["explain", "--colour", "--text", REVIEW],
    ["generate", "--lm", "imdb-lm-small", "--fill", BLANK, "--top", "3"],
)
WIDTH = 92


def main() -> None:
    """Run the session and write the picture."""
    console = Console(record=True, width=WIDTH, file=StringIO(), force_terminal=True)
    for arguments in SESSION:
        command = [sys.executable, "-c", "from ulmfit.command import main; main()", *arguments]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        words = [f'"{word}"' if " " in word else word for word in arguments if word != "--colour"]
        console.print(Text.assemble(("$ ", "bold green"), " ".join(["ulmfit", *words])))
        for line in done.stdout.rstrip().splitlines():
            console.print(Text.from_ansi(line))
        console.print()
    svg = console.export_svg(title="ulmfit")
    svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    svg = svg.replace("Fira Code", "ui-monospace, Menlo, Consolas, DejaVu Sans Mono")
    PICTURE.write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
