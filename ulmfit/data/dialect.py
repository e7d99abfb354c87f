"""How a text file is written, as far as the file does not say so itself."""

import codecs
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from ulmfit.base.errors import UserError

QUOTING = ("none", "minimal")
_TAB = ("\\t", "tab", "\t")


@dataclass(frozen=True)
class Dialect:
    """What the flags of a command say of a file; a value that is '' is found out.

    A tab as `sep` may be written as ``\\t`` or ``tab``.

    Raises:
        UserError: a value is none of those that there are.
    """

    sep: str = ""  # what separates the fields of a csv or tsv: a character, or tab
    quoting: str = ""  # none: a " in a csv or tsv is a character like others; minimal: it quotes
    encoding: str = ""  # encoding of a text file, such as cp1252; utf-8 if not given
    no_header: bool = False  # a csv or tsv has no line of names: its columns are 0, 1, 2, ...

    def __post_init__(self) -> None:
        if self.sep in _TAB:
            object.__setattr__(self, "sep", "\t")
        elif self.sep and (len(self.sep) > 1 or self.sep in '"\r\n\0'):
            raise UserError(f"--sep is {self.sep!r}, expected one character such as ; or tab")
        if self.quoting not in ("", *QUOTING):
            raise UserError(f"--quoting is {self.quoting!r}, expected {' or '.join(QUOTING)}")
        if self.encoding and not _is_encoding(self.encoding):
            raise UserError(
                f"--encoding is {self.encoding!r}, which is no known encoding of text; expected "
                "one such as utf-8, cp1252 or utf-16"
            )

    def filled_from(self, other: "Dialect") -> "Dialect":
        """This one, with what `other` says where it says nothing."""
        names = [field.name for field in fields(Dialect)]
        return Dialect(**{name: getattr(self, name) or getattr(other, name) for name in names})

    def check_only(self, known: Collection[str], source: object, kind: str) -> None:
        """Raise a UserError if it says anything but `known` of a `source` of this kind."""
        others = [f.name for f in fields(Dialect) if getattr(self, f.name) and f.name not in known]
        if others:
            flags = ", ".join(f"--{name.replace('_', '-')}" for name in others)
            raise UserError(
                f"{source}: found {flags}, expected no such flag for {kind}; leave it out"
            )

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """The flags that a command was `given`, of which those that are None were not."""
        return cls(**{name: value for name, value in given.items() if value is not None})

    @property
    def dialect(self) -> "Dialect":
        """What of it is a dialect's; a subclass has more to say of the data."""
        return Dialect(**{field.name: getattr(self, field.name) for field in fields(Dialect)})


PLAIN = Dialect()


def _is_encoding(name: str) -> bool:
    try:
        codecs.lookup(name)
        "a".encode(name)
    except (LookupError, UnicodeError, ValueError):
        return False
    return True
