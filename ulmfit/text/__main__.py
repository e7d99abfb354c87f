"""The command that shows the tokens of a text."""

from pathlib import Path

from ulmfit.base.cli import run_command
from ulmfit.base.errors import UserError
from ulmfit.base.log import logger, show_result
from ulmfit.base.printable import visible
from ulmfit.text.processor import TextProcessor
from ulmfit.text.rules import UNK


def main(
    *text: str,  # the text or texts to show
    tokenizer: str = "word",  # word or subword
    lang: str = "en",  # language of the word tokenizer
    lm: str | None = None,  # model directory whose tokenizer and vocabulary to use instead
) -> list[list[str]]:
    """Show the tokens that a model would see; with --lm, mark those it does not know."""
    if not text:
        raise UserError("no text given; put one or more texts in quotes after the command")
    if lm is not None:
        from ulmfit.artifacts.directory import read_artifact

        processor = read_artifact(Path(lm)).processor()
    else:
        processor = TextProcessor(tokenizer, lang)
        if tokenizer == "subword":
            logger.info("(pieces trained on the text itself; --lm DIR shows those of a model)")
            processor.fit(text)
    documents = processor.tokenize(text)
    known = set(processor.vocab)
    for tokens in documents:
        shown = (t if not lm or t in known else f"{t}[{UNK}]" for t in tokens)
        show_result(visible(" ".join(shown).replace("\n", "\\n")))
    return documents


if __name__ == "__main__":
    run_command(main)
