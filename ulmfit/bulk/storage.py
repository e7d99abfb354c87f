"""Files of a local folder or of an object store, by path or URL."""

import re
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ulmfit.base.atomic import atomic_write
from ulmfit.base.errors import UserError, listed
from ulmfit.data.formats import READ_ENDINGS

if TYPE_CHECKING:
    import pyarrow.fs as pafs

_WILD = "*?["
# Arrow has these file systems itself; packages of fsspec have others.
_OWN = ("file", "s3", "gs", "gcs", "hdfs", "abfs", "abfss")
_QUERY = re.compile(r"\?[\w.-]+=[^/]*")  # options of a URL; any other ? is a wildcard
_CREDENTIALS = re.compile(r"://[^/@]*@")
_OTHERS = tuple(ending for ending in READ_ENDINGS if ending != ".parquet")  # read one by one


@dataclass(frozen=True)
class Place:
    """A path in a file system; pickled, it is opened anew with the other machine's credentials.

    origin: the URL that names the file system, '' for this machine's. text: for messages.
    """

    fs: "pafs.FileSystem"
    path: str
    text: str
    origin: str = ""

    @property
    def is_local(self) -> bool:
        """Whether it is a path of this machine."""
        return self.fs.type_name == "local"

    def beside(self, name: str) -> "Place":
        """The file `name` below this folder."""
        path, text = (f"{start.rstrip('/')}/{name}" for start in (self.path, self.text))
        return Place(self.fs, path, text, self.origin)

    def __reduce__(self) -> Any:
        return _reopened, (self.origin, self.path, self.text)


def _reopened(origin: str, path: str, text: str) -> Place:
    return Place(_file_system(origin)[0], path, text, origin)


def is_url(text: str) -> bool:
    """Whether a file system is named, as in s3://bucket/folder."""
    return "://" in text


def is_several(text: str) -> bool:
    """Whether an input is a folder, a pattern or a URL, which is read shard by shard."""
    if is_url(text) or Path(text).is_dir():
        return True
    return any(sign in text for sign in _WILD) and not Path(text).exists()


def place_of_url(text: str) -> Place:
    """The place that a path or a URL names; it need not exist.

    Raises:
        UserError: the file system is unknown, or its package is not installed.
    """
    if not is_url(text):
        return Place(_file_system("")[0], str(Path(text).absolute()), text)
    # A pattern is no part of a URL: its signs would be quoted or refused.
    plain, _, query = text.partition("?") if _QUERY.search(text) else (text, "", "")
    head, tail = _split(plain)
    origin = f"{head}?{query}" if query else head
    found, path = _file_system(origin)
    whole = "/".join(filter(None, [path.rstrip("/"), tail]))
    return Place(found, whole, _CREDENTIALS.sub("://", plain), origin)


def _file_system(url: str) -> "tuple[pafs.FileSystem, str]":
    """The file system of a URL, of '' this machine's, and the path of the URL in it."""
    from pyarrow import fs as pafs

    if not url:
        return pafs.LocalFileSystem(), ""
    try:
        if url.partition("://")[0] in _OWN:
            return pafs.FileSystem.from_uri(url)
        import fsspec  # comes with torch

        found, path = fsspec.core.url_to_fs(url)
        return pafs.PyFileSystem(pafs.FSSpecHandler(found)), path
    except (ValueError, OSError, NotImplementedError, ImportError) as error:
        shown = _CREDENTIALS.sub("://", url.partition("?")[0])
        raise UserError(
            f"{shown}: this file system cannot be used ({' '.join(str(error).split())}); expected "
            "a path, or a URL such as s3://bucket/folder or gs://bucket/folder"
        ) from None


def _split(path: str) -> tuple[str, str]:
    """The part before the first component with a wildcard, and the rest, '' if there is none."""
    parts = path.split("/")
    wild = next((i for i, part in enumerate(parts) if any(s in part for s in _WILD)), len(parts))
    return "/".join(parts[:wild]), "/".join(parts[wild:])


class Found(NamedTuple):
    """The files of an input: their folder, and their names below it, sorted.

    left_out: names of files of the folder that are no parquet files. pattern: of all the names, ''
    for the whole folder.
    """

    folder: Place
    names: list[str]
    left_out: list[str]
    pattern: str


def parquet_files(text: str) -> Found:
    """The parquet files of a file, a folder or a pattern, in the order of their names.

    Names that begin with a dot or an underscore are no data, as for Arrow and Spark.

    Raises:
        UserError: there is none, or the file system does not answer.
    """
    from pyarrow import fs as pafs

    place = place_of_url(text)
    with _errors(place):
        kind = place.fs.get_file_info(place.path).type
    if kind == pafs.FileType.File:
        head, _, name = place.path.rpartition("/")
        if name.lower().endswith(_OTHERS):
            raise UserError(
                f"{place.text}: found no .parquet file, which --engine and URLs need; write it as "
                "parquet, or give a path of this machine without --engine, and a file as --output"
            )
        shown = place.text.rpartition("/")[0] if "/" in place.text else "."
        return Found(Place(place.fs, head or "/", shown, place.origin), [name], [], name)
    base, pattern = (place.path, "") if kind == pafs.FileType.Directory else _split(place.path)
    shown = place.text if not pattern else _split(place.text)[0] or "."
    folder = Place(place.fs, base or "/", shown, place.origin)
    names = [name for name in _listed(folder) if is_taken(name, pattern)]
    kept = [name for name in names if name.endswith(".parquet")]
    if not kept:
        raise _none_there(place, names)
    left_out = [name for name in names if not name.endswith(".parquet")]
    return Found(folder, kept, left_out, pattern)


def _none_there(place: Place, names: Sequence[str]) -> UserError:
    found = f"{place.text}: found no .parquet file there"
    if tables := [name for name in names if name.lower().endswith(_OTHERS)]:
        return UserError(
            f"{found}, but {listed(tables)}; write them as parquet, or predict one after the "
            "other, each with a file as --input and as --output"
        )
    return UserError(
        f"{found}, and {len(names):,} others; give a folder with some, a file or a pattern such as "
        "'data/*.parquet'"
    )


def _listed(folder: Place) -> list[str]:
    """The names of all files below a folder, sorted."""
    from pyarrow import fs as pafs

    with _errors(folder):
        selector = pafs.FileSelector(folder.path, recursive=True, allow_not_found=True)
        infos = folder.fs.get_file_info(selector)
    start = len(folder.path.rstrip("/")) + 1
    return sorted(info.path[start:] for info in infos if info.type == pafs.FileType.File)


def is_taken(name: str, pattern: str) -> bool:
    """Whether a file below the folder of an input belongs to the input; '' takes all."""
    parts = name.split("/")
    hidden = any(part[:1] in "._" for part in parts)
    return not hidden and (not pattern or _matches(parts, pattern.split("/")))


def _matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether the components of a path fit those of a pattern, in which ** is any number."""
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(_matches(parts[i:], pattern[1:]) for i in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])


def files_in(folder: Place) -> list[str]:
    """The names of the files directly in a folder, '.'-files too; none if there is no folder."""
    from pyarrow import fs as pafs

    with _errors(folder):
        listing = pafs.FileSelector(folder.path, allow_not_found=True)
        infos = folder.fs.get_file_info(listing)
    return sorted(info.base_name for info in infos if info.type == pafs.FileType.File)


def opened(place: Place) -> Any:
    """A file for reading at any position (pyarrow.NativeFile)."""
    with _errors(place):
        return place.fs.open_input_file(place.path)


def read(place: Place) -> bytes:
    """The content of a small file."""
    with opened(place) as file, _errors(place):
        return bytes(file.read())


def write(place: Place, content: str) -> None:
    """Replace a small file in one step."""
    if place.is_local:
        atomic_write(Path(place.path), content)
        return
    with new_file(place) as path:
        path.write_text(content, encoding="utf-8")


def remove(folder: Place, names: Sequence[str]) -> None:
    """Delete files of a folder."""
    for name in names:
        with _errors(folder):
            folder.fs.delete_file(folder.beside(name).path)


@contextmanager
def new_file(place: Place) -> Iterator[Path]:
    """The path of a local file to write; after the block, its content is at `place`, whole.

    An object store gets the finished file under another name first, which a move replaces. If the
    block raises, nothing appears at `place`.
    """
    if place.is_local:
        yield Path(place.path)  # whoever writes there uses `atomic_file`
        return
    with tempfile.TemporaryDirectory(prefix="ulmfit-shard-") as folder:
        path = Path(folder, place.path.rpartition("/")[2])
        yield path
        head, _, name = place.path.rpartition("/")
        temporary = f"{head}/.{name}.{uuid.uuid4().hex[:8]}.tmp"
        with _errors(place):
            with path.open("rb") as source, place.fs.open_output_stream(temporary) as out:
                shutil.copyfileobj(source, out, 1 << 22)
            place.fs.move(temporary, place.path)


def make_folder(place: Place) -> None:
    """Create a folder where the file system has folders."""
    with _errors(place):
        place.fs.create_dir(place.path, recursive=True)


@contextmanager
def _errors(place: Place) -> Iterator[None]:
    try:
        yield
    except (OSError, ImportError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{place.text}: {reason or type(error).__name__}") from None
