"""Compressed text files, .gz and .zst: unpacked as they are read, in memory that does not grow.

How large the unpacked file is cannot be known before: what strangers send is unpacked by a process
with limits (`ulmfit.serve.unpack`).
"""

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ulmfit.base.errors import UserError

PACKED = (".gz", ".zst")


def unpacked_name(path: Path) -> str:
    """The file's name without an ending of `PACKED`."""
    return path.stem if path.suffix.lower() in PACKED else path.name


@contextmanager
def open_bytes(path: Path) -> Iterator[Any]:
    """The bytes of a file, unpacked if its ending says that it is packed.

    Raises:
        UserError: the packed file is damaged or cut short.
        OSError: the file cannot be read.
    """
    try:
        with _opened(path) as file:
            yield file
    except (EOFError, zlib.error) as error:
        raise _damaged(path, error) from None
    except OSError as error:
        # An error of the system has a number, one of the unpacking has none.
        if path.suffix.lower() in PACKED and error.errno is None:
            raise _damaged(path, error) from None
        raise


def _opened(path: Path) -> Any:
    ending = path.suffix.lower()
    if ending == ".gz":
        return gzip.open(path)
    if ending == ".zst":
        import pyarrow as pa  # unpacks zstd, which Python learns in 3.14

        return io.BufferedReader(pa.CompressedInputStream(pa.OSFile(str(path)), "zstd"))
    return path.open("rb")


def _damaged(path: Path, error: Exception) -> UserError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return UserError(
        f"{path}: found a damaged {path.suffix} file ({reason}); pack it again, or give the "
        "unpacked file"
    )
