"""Show which words moved a prediction, and how far."""

import sys
from typing import Annotated

from ulmfit.base.cli import run_command
from ulmfit.base.errors import UserError
from ulmfit.base.log import show_result
from ulmfit.inference.ensemble import DEFAULT, load_named
from ulmfit.inference.explanation import Explanation, check_request, explain


def main(
    clf: Annotated[str, {"nargs": "+"}] = DEFAULT,  # classifiers' directories, or a bundled name
    text: str | None = None,  # the text to explain
    method: str = "integrated",  # integrated gradients, or gradient: faster and rougher
    # points at which integrated takes gradients; more make the sum more exact (default: 11, or 33
    # where the sum would not fit)
    steps: int | None = None,
    colour: bool = False,  # the whole text in colours, as on a terminal
    label: str | None = None,  # class to explain (default: the most probable one)
) -> Explanation:
    """Show which words moved a prediction, and how far."""
    if text is None:
        raise UserError("no text given; --text TEXT is the text to explain")
    check_request(text, method, steps)
    explanation = explain(load_named(clf, "float32"), text, method, steps, label)
    show_result(explanation.to_terminal(colour or sys.stdout.isatty()))
    return explanation


if __name__ == "__main__":
    run_command(main)
