"""What of a text is visible, and texts on a terminal without the characters that control it."""

import re

# Control characters of ASCII and Latin-1, line and paragraph separators, what turns the direction
# of writing around until further notice, and half surrogate pairs, which have no UTF-8 form.
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    """`text` with U+FFFD in place of what would steer a terminal; line ends and tabs stay."""
    return _STEERING.sub("\ufffd", text)


# White space, control characters, and what Unicode calls "default ignorable": zero-width spaces,
# soft hyphens, fillers, selectors of variants, tags; and the empty pattern of Braille.
_BLANK = re.compile(
    r"(?:[\s\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    r"\u2028-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\U0001d173-\U0001d17a"
    r"\U000e0000-\U000e0fff]|<br ?/?>|&nbsp;)*+"
)


def is_blank(text: str) -> bool:
    """Whether a reader sees nothing: white space, invisible characters, line breaks of html."""
    return _BLANK.fullmatch(text) is not None
