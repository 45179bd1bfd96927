"""The pictures of a batch: from folders, lists, Parquet tables, WebDataset shards and object stores."""

from __future__ import annotations

import io
import os
import posixpath
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from impasto.core.errors import BatchError, ImageUnreadable
from impasto.core.extras import optional
from impasto.image.formats import READABLE_SUFFIXES, pictures_in
from impasto.jobs.stores import errors_naming, file_system, is_url

LISTS, TABLES, SHARDS = (".txt", ".lst", ".list"), (".parquet",), (".tar",)
COLUMNS = ("path", "url", "uri", "file", "filename", "image")
"""Names of the column of pictures in a table, by precedence."""


@dataclass(frozen=True)
class ManifestEntry:
    """A picture to paint.

    `key` is its path or URL, of a member of a shard as fsspec chains them; `stem` is what its outputs are called, with
    its subfolder; `place` is the file that holds it, from byte `start` on where `size_bytes` is given.
    """

    key: str
    stem: str
    place: str
    start: int = 0
    size_bytes: int | None = None

    @property
    def local(self) -> Path | None:
        """The local file; None for members of tar shards and pictures in stores."""
        return None if self.size_bytes is not None or is_url(self.place) else Path(self.place)

    def read(self) -> bytes:
        """The bytes of the picture. Raises `ImageUnreadable` if it does not exist."""
        end = None if self.size_bytes is None else self.start + self.size_bytes
        try:
            if not is_url(self.place):
                with open(self.place, "rb") as file:
                    file.seek(self.start)
                    return file.read() if self.size_bytes is None else file.read(self.size_bytes)
            fs, path = file_system(self.place)
            with errors_naming(self.place):
                return bytes(fs.cat_file(path, start=self.start if end else None, end=end))
        except FileNotFoundError as error:
            raise ImageUnreadable(f"{self.key} does not exist; check its name and folder.") from error


def manifest(inputs: Sequence[str], *, outputs: str = "") -> list[ManifestEntry]:
    """Every picture in `inputs`, each once, in order, without those in the folder `outputs`.

    An input is a picture, a folder, a text file with a path a line, a Parquet table with a column of paths, a tar shard
    or a pattern of any of these, on this machine or as a URL. Paths in lists and tables are relative to the file.
    Raises `BatchError` for an input without pictures.
    """
    entries_by_key: dict[str, ManifestEntry] = {}
    kept_out = None if not outputs or is_url(outputs) else os.path.realpath(outputs)
    for text in inputs:
        entries = list(_entries(text))
        if not entries:
            raise BatchError(f"{text} holds no pictures.")
        for entry in entries:
            inside = (
                kept_out and not is_url(entry.place) and os.path.realpath(entry.place).startswith(kept_out + os.sep)
            )
            if not inside:
                entries_by_key.setdefault(entry.key, entry)
    if not entries_by_key:
        raise BatchError(f"all pictures are in {outputs}, the folder of outputs. Name another one with -o.")
    return list(entries_by_key.values())


def _entries(text: str) -> Iterator[ManifestEntry]:
    suffix = posixpath.splitext(text)[1].lower()
    if any(sign in text for sign in "*?[") and not (not is_url(text) and os.path.exists(text)):
        for name in _matching(text):
            yield from _entries(name)
    elif suffix in LISTS:
        yield from _named_in(text, _text_of(text).splitlines())
    elif suffix in TABLES:
        yield from _named_in(text, _paths_in_table(text))
    elif suffix in SHARDS:
        yield from _members(text)
    elif suffix in READABLE_SUFFIXES and not (not is_url(text) and os.path.isdir(text)):
        yield _entry(text)
    elif is_url(text):
        yield from _remote_folder(text)
    elif os.path.isdir(text):
        for path in pictures_in(text):
            yield _entry(str(path), stem=path.relative_to(text).with_suffix("").as_posix())
    elif os.path.exists(text):
        known = ", ".join((*LISTS, *TABLES, *SHARDS))
        raise BatchError(f"{text} is neither a picture nor a folder, nor a list of pictures ({known}).")
    else:
        raise BatchError(f"{text} does not exist; name a folder, a picture or a list of pictures.")


def _entry(path: str, *, stem: str = "") -> ManifestEntry:
    key = path if is_url(path) else os.path.abspath(path)
    return ManifestEntry(key, stem or PurePosixPath(key).stem, key)


def _matching(pattern: str) -> list[str]:
    import glob

    if not is_url(pattern):
        return sorted(glob.glob(pattern, recursive=True))
    fs, path = file_system(pattern)
    with errors_naming(pattern):
        return [fs.unstrip_protocol(name) for name in sorted(fs.glob(path))]


def _remote_folder(url: str) -> Iterator[ManifestEntry]:
    fs, folder = file_system(url)
    try:
        with errors_naming(url):
            names = sorted(fs.find(folder))
    except FileNotFoundError as error:
        raise BatchError(f"{url} does not exist; check its bucket and folder.") from error
    for name in names:
        inner = PurePosixPath(posixpath.relpath(name, folder))
        hidden = any(part.startswith(".") for part in inner.parts)
        if inner.suffix.lower() in READABLE_SUFFIXES and not hidden:
            yield _entry(fs.unstrip_protocol(name), stem=inner.with_suffix("").as_posix())


def _bytes_of(text: str) -> bytes:
    return ManifestEntry(text, "", text).read()


def _text_of(text: str) -> str:
    try:
        return _bytes_of(text).decode("utf-8")
    except UnicodeDecodeError as error:
        raise BatchError(f"{text} is not UTF-8 text; a list has a path a line.") from error


def _paths_in_table(text: str) -> list[str]:
    """The paths in a Parquet table: a column of `COLUMNS`, or the only column of strings."""
    parquet: Any = optional("pyarrow.parquet", "batch", purpose=f"reading {text}")
    data = io.BytesIO(_bytes_of(text))
    try:
        table = parquet.ParquetFile(data)
        fields = {field.name: str(field.type) for field in table.schema_arrow}
        texts = [name for name, kind in fields.items() if kind in ("string", "large_string", "string_view")]
        named = [name for name in COLUMNS if name in texts]
        if not named and len(texts) != 1:
            raise BatchError(
                f"{text} has columns {', '.join(fields)}; a string column named {' or '.join(COLUMNS[:2])} is needed."
            )
        column = (named or texts)[0]
        return [path for path in table.read([column])[column].to_pylist() if path]
    except OSError as error:
        raise BatchError(f"{text} is not a Parquet table, or is damaged ({error}).") from error
    except ValueError as error:  # pyarrow's errors
        raise BatchError(f"{text} is not a Parquet table, or is damaged ({error}).") from error


def _named_in(text: str, lines: Iterable[str]) -> Iterator[ManifestEntry]:
    """The pictures in a list, which may contain folders and shards."""
    folder = posixpath.dirname(text)
    for line in lines:
        name = line.strip()
        if not name or name.startswith("#"):
            continue
        whole = name if is_url(name) or os.path.isabs(name) or not folder else posixpath.join(folder, name)
        if posixpath.splitext(name)[1].lower() in READABLE_SUFFIXES:
            relative = not (is_url(name) or os.path.isabs(name) or ".." in PurePosixPath(name).parts)
            yield _entry(whole, stem=PurePosixPath(name).with_suffix("").as_posix() if relative else "")
        else:
            yield from _entries(whole)


def _members(text: str) -> Iterator[ManifestEntry]:
    """The pictures in a tar shard, with the positions of their bytes; only headers are read."""
    place = text if is_url(text) else os.path.abspath(text)
    shard = PurePosixPath(text).stem
    try:
        with _opened(place) as file, tarfile.open(fileobj=file, mode="r:") as tar:
            for member in tar:
                inner = PurePosixPath(member.name)
                if member.isfile() and inner.suffix.lower() in READABLE_SUFFIXES:
                    key = f"tar://{member.name}::{place}"
                    stem = f"{shard}/{inner.with_suffix('').as_posix().lstrip('./')}"
                    yield ManifestEntry(key, stem, place, member.offset_data, member.size)
    except FileNotFoundError as error:
        raise BatchError(f"{text} does not exist; a tar shard is needed.") from error
    except tarfile.TarError as error:
        raise BatchError(f"{text} cannot be read as a tar shard without compression ({error}). Unpack it.") from error


def _opened(place: str) -> Any:
    if not is_url(place):
        return open(place, "rb")
    fs, path = file_system(place)
    with errors_naming(place):
        return fs.open(path, "rb")
