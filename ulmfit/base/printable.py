"""Untrusted text on a terminal, without control characters."""

import re

# Control characters of ASCII and Latin-1, line and paragraph separators, marks that change the
# direction of writing, and lone surrogates, which have no UTF-8 form.
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    """`text` with U+FFFD in place of characters that control a terminal; newlines and tabs stay."""
    return _STEERING.sub("\ufffd", text)
