"""Untrusted text on a terminal: shown as it is, without the characters that would control it."""

import re

# Control characters of ASCII and Latin-1, line and paragraph separators, what turns the direction
# of writing around until further notice, and half surrogate pairs, which have no UTF-8 form.
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    """`text` with U+FFFD in place of what would steer a terminal; line ends and tabs stay."""
    return _STEERING.sub("\ufffd", text)
