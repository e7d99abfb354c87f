"""The server under load and attack; every connection stays on the loopback."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from torture.common import Row
from torture.serving.target import started  # first: it lets the others import the tests' models

from torture.serving import described, files, forms, jobs, load, protocol  # isort: skip
from torture.serving.bodies import bodies


def rows(scale: float, seed: int) -> Iterator[Row]:
    """One row for each kind of attack; afterwards an honest request gets the same answer."""

    def share(times: int) -> int:
        return max(1, round(times * scale))

    with tempfile.TemporaryDirectory() as path:
        folder = Path(path)
        with started(folder) as target:
            yield bodies(target, share(500), seed)
            yield forms.forms(target)
            yield forms.markup(target)
            yield files.names(target)
            yield files.contents(target, share(20), seed)
            yield jobs.keys(target, share(200), seed)
            yield jobs.pages(target)
            yield jobs.many(target, share(40))
            yield jobs.next_words(target, share(20))
            yield protocol.protocol(target, share(200), seed)
            yield protocol.origins(target)
            yield load.slow(target, share(50))
            yield load.crowd(target, idle=share(3_000), asking=share(1_500))
            yield load.leaving(target, share(200), seed)
            yield described.described(target, share(100), seed)
        yield load.endings(folder, share(2))
        with started(folder) as target:
            yield load.flat_memory(target, share(10_000), seed)
