"""From parquet, xlsx or a packed file to csv, in a process with bounded memory, time and disk.

    python -m ulmfit.serve.unpack SOURCE TARGET BYTES ROWS COLUMN

The stated size of a file cannot be trusted: some hundred bytes may unpack to gigabytes. The output
says how the file was read, one note a line. The exit status is 0, or 1 with one line `error: ...`
if the file is malformed; any other status means that it takes too much.
"""

import contextlib
import errno
import os
import sys
from pathlib import Path

from ulmfit.base.errors import UserError

_SECONDS = 60  # of computing
_MEMORY = 1 << 30  # bytes beyond what the libraries take
_TOO_MUCH = 2


def main(source: str, target: str, most: str, most_rows: str, text_col: str) -> None:
    """Write the table in `source` to `target`, a csv of at most `most` bytes.

    It ends with the block in which there are more than `most_rows`. Lists and bytes in `text_col`
    are refused here: in a csv they would look like texts.
    """
    # Arrow's own pool reserves a gigabyte of addresses at once, which is all that the limit leaves.
    os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"
    import pyarrow as pa
    import pyarrow.parquet  # loaded before memory is counted

    from ulmfit.data.formats import open_table, open_writer
    from ulmfit.data.formats_base import check_texts, place_of

    pa.set_cpu_count(1)
    _limit(int(most))
    try:
        table = open_table(Path(source))
        found = text_col in table.columns
        place = place_of(text_col, table.columns, source) if found else None
        with open_writer(Path(target), table.columns, table.schema) as writer:
            rows = 0
            for block in table.blocks():
                if place is not None:
                    check_texts(block[place], source, text_col, rows + 1)
                rows += len(block[0])
                writer.write(block)
                if rows > int(most_rows):
                    break
        print(*table.notes, sep="\n")  # noqa: T201
    except MemoryError:
        sys.exit(_TOO_MUCH)
    except UserError as error:
        reason = error.__cause__ or error.__context__
        too_much = isinstance(reason, MemoryError) or getattr(reason, "errno", 0) == errno.EFBIG
        if not too_much:
            print(f"error: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(_TOO_MUCH if too_much else 1)


def _limit(file_bytes: int) -> None:
    """Bound this process's resources from now on, if the system can (Linux, macOS)."""
    with contextlib.suppress(ImportError):
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
        resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS))
        statm = Path("/proc/self/statm")
        if statm.exists():
            taken = int(statm.read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
            resource.setrlimit(resource.RLIMIT_AS, (taken + _MEMORY, taken + _MEMORY))


if __name__ == "__main__":
    main(*sys.argv[1:])
