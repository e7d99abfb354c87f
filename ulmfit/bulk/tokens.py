"""Tokenising on Ray: texts go out some at a time, and their tokens come back in order.

This machine reads the texts and puts the tokens together, so the result is that of one machine.
"""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from ulmfit.base.errors import UserError
from ulmfit.bulk.on_ray import in_actors
from ulmfit.text.blocks import Texts, in_blocks
from ulmfit.text.processor import TextProcessor
from ulmfit.text.workers import CHUNK, Chunk, tokenize_chunk

_CHARACTERS = (
    4_000_000  # of a piece, which goes through Ray's object store; a longer text by itself
)


@dataclass(frozen=True)
class Piece:
    """Some texts; `first` is the place of the first one."""

    number: int
    first: int
    texts: Sequence[str]

    @property
    def about(self) -> str:
        """The texts, for a line."""
        return f"texts {self.first + 1:,} to {self.first + len(self.texts):,}"

    @property
    def advice(self) -> str:
        """For a line about workers that die."""
        return "try fewer --workers"


@dataclass(frozen=True)
class Tokenizing:
    """What a worker needs for any piece. key: the processor's on the machine that began."""

    processor: TextProcessor
    key: str

    def run(self, piece: Piece) -> tuple[int, Chunk]:
        """The number of a piece, and its tokens.

        Raises:
            UserError: this machine would make other tokens.
        """
        if (own := self.processor.tokenizer_key()) != self.key:
            raise UserError(
                f"a worker tokenises in another way than this machine ({own}, here {self.key}); "
                "install the same versions of ulmfit and its libraries on every machine"
            )
        tokenizer = self.processor.tokenizer
        assert tokenizer is not None
        return piece.number, tokenize_chunk(piece.texts, tokenizer)


def tokenize_on_ray(
    workers: int | None, address: str | None, texts: Texts, processor: TextProcessor
) -> Generator[Chunk]:
    """As `text.workers.tokenize_chunks`, in Ray's actors; raises as `in_actors`."""
    job = Tokenizing(processor, processor.tokenizer_key())
    at_least = -(-len(texts) // CHUNK)  # there are more pieces where texts are long
    early: dict[int, Chunk] = {}
    due = 0
    with closing(in_actors(workers, address, job, pieces(texts), at_least)) as finished:
        for number, chunk in finished:
            early[number] = chunk
            while due in early:
                yield early.pop(due)
                due += 1


def pieces(texts: Texts) -> Iterator[Piece]:
    """All texts in order, `CHUNK` or `_CHARACTERS` at a time."""
    number = first = 0
    for block in in_blocks(texts, CHUNK):
        while block:
            size, taken = len(block[0]), 1
            while taken < len(block) and size + len(block[taken]) <= _CHARACTERS:
                size, taken = size + len(block[taken]), taken + 1
            yield Piece(number, first, block[:taken])
            number, first, block = number + 1, first + taken, block[taken:]
