"""Languages that are written without spaces between words, and the tokenizer that cuts them."""

import re

from ulmfit.base.log import logger
from ulmfit.text.blocks import Texts, each, spread

_SHARE = 0.3  # of the letters; English about Chinese has fewer, Chinese about computers more
_TEXTS, _CHARACTERS = 500, 2000  # texts that are looked at, and how far each
# Thai, Lao, Tibetan, Burmese, Khmer, kana, Han.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\ua9e0-\ua9ff\uaa60-\uaa7f\u1780-\u17ff\u19e0-\u19ff"
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af]"
)
_LETTER = re.compile(r"[^\W\d_]")


def without_spaces(texts: Texts) -> bool:
    """Whether `texts` are in a language without spaces between words, by their characters."""
    unspaced = others = 0
    for text in each(spread(texts, _TEXTS)):
        if isinstance(text, str):  # of ids, the tokenizer is chosen already
            rest, found = _UNSPACED.subn("", text[:_CHARACTERS])
            unspaced += found
            others += len(_LETTER.findall(rest))
    return unspaced > _SHARE * (unspaced + others)


def tokenizer_for(texts: Texts, named: str | None, usual: str = "word") -> str:
    """The tokenizer `named`; without one `usual`, but subwords where words have no spaces.

    Logs a line where words would not do.
    """
    if (named or usual) == "subword" or not without_spaces(texts):
        return named or usual
    if named:
        logger.info(
            "warning: the texts are in a language without spaces between words, and a word "
            "tokenizer takes whole sentences for words; --tokenizer subword cuts them"
        )
        return named
    logger.info(
        "the texts are in a language without spaces between words: the tokenizer is subword "
        "(--tokenizer word takes whole sentences for words)"
    )
    return "subword"
