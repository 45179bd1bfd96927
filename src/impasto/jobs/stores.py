"""Folders of inputs and outputs: on this machine, or in an object store through fsspec.

Files are written whole or not at all: beside and renamed, or by one request.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from impasto.core.errors import BatchError, MissingExtra
from impasto.core.paths import written_whole


class Store(Protocol):
    """A folder. Names in it are relative, with forward slashes."""

    @property
    def text(self) -> str:
        """The folder's path or URL."""
        ...

    def read(self, name: str) -> bytes | None:
        """The bytes of a file; None if it does not exist."""
        ...

    def write(self, name: str, data: bytes) -> None:
        """Write a whole file."""
        ...

    def take(self, path: Path, name: str) -> None:
        """Move the local file at `path` to `name`, atomically."""
        ...

    def names(self, folder: str) -> list[str]:
        """The names of the files in a subfolder, sorted; empty if it does not exist."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file if it exists."""
        ...

    def staging(self) -> contextlib.AbstractContextManager[Path]:
        """A new local folder for files before `take`; removed at the end."""
        ...


@dataclass(frozen=True)
class LocalStore:
    """A local or mounted folder."""

    text: str

    def read(self, name: str) -> bytes | None:
        """The bytes of a file; None if it does not exist."""
        try:
            return (Path(self.text) / name).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, name: str, data: bytes) -> None:
        """Write a whole file."""
        with written_whole(Path(self.text) / name) as temporary:
            temporary.write_bytes(data)

    def take(self, path: Path, name: str) -> None:
        """Rename `path`; files in `staging` are on the same file system."""
        place = Path(self.text) / name
        place.parent.mkdir(parents=True, exist_ok=True)
        path.replace(place)

    def names(self, folder: str) -> list[str]:
        """The names of the files in a subfolder."""
        place = Path(self.text) / folder
        return sorted(entry.name for entry in place.iterdir() if entry.is_file()) if place.is_dir() else []

    def remove(self, name: str) -> None:
        """Remove a file."""
        (Path(self.text) / name).unlink(missing_ok=True)

    @contextlib.contextmanager
    def staging(self) -> Iterator[Path]:
        """A hidden folder next to the outputs."""
        parent = Path(self.text) / STATE / "staging"
        parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=parent))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class RemoteStore:
    """A folder in a file system of fsspec, by its URL."""

    text: str

    @property
    def _place(self) -> tuple[Any, str]:
        return file_system(self.text)

    def _path(self, name: str) -> str:
        return posixpath.join(self._place[1], name)

    def read(self, name: str) -> bytes | None:
        """The bytes of a file; None if it does not exist."""
        with errors_naming(self.text):
            try:
                return bytes(self._place[0].cat_file(self._path(name)))
            except FileNotFoundError:
                return None

    def write(self, name: str, data: bytes) -> None:
        """Write a whole file in one request."""
        with errors_naming(self.text):
            self._place[0].pipe_file(self._path(name), data)

    def take(self, path: Path, name: str) -> None:
        """Upload the file and remove the local one."""
        with errors_naming(self.text):
            self._place[0].put_file(str(path), self._path(name))
        path.unlink()

    def names(self, folder: str) -> list[str]:
        """The names of the files in a subfolder."""
        fs, _ = self._place
        fs.invalidate_cache()
        with errors_naming(self.text), contextlib.suppress(FileNotFoundError):
            rows = fs.ls(self._path(folder), detail=True)
            return sorted(posixpath.basename(row["name"]) for row in rows if row["type"] == "file")
        return []

    def remove(self, name: str) -> None:
        """Remove a file."""
        with errors_naming(self.text), contextlib.suppress(FileNotFoundError):
            self._place[0].rm_file(self._path(name))

    @contextlib.contextmanager
    def staging(self) -> Iterator[Path]:
        """A local temporary folder."""
        with tempfile.TemporaryDirectory(prefix="impasto-") as folder:
            yield Path(folder)


STATE = ".impasto"
"""The hidden subfolder of the outputs for the ledger."""


def store_at(text: str) -> Store:
    """The store of a folder's path or URL."""
    return RemoteStore(text.rstrip("/")) if is_url(text) else LocalStore(os.path.abspath(text))


def is_url(text: str) -> bool:
    """Whether the text is a URL of a file system of fsspec, as `s3://bucket/folder`."""
    return "://" in text


def file_system(url: str) -> tuple[Any, str]:
    """The file system of a URL, and the path in it. Raises `MissingExtra`, and `BatchError` for an unknown one."""
    import fsspec

    try:
        fs, path = fsspec.url_to_fs(url)
    except ImportError as error:
        raise MissingExtra(f"{url} needs a package ({error}): pip install 'impasto[batch]'.") from error
    except ValueError as error:
        raise BatchError(f"{url} is of no file system known to fsspec ({error}). Name a folder, or s3://…") from error
    return fs, str(path)


@contextlib.contextmanager
def errors_naming(url: str) -> Iterator[None]:
    """Raise failures of a store as `BatchError` with its URL; missing files stay `FileNotFoundError`."""
    try:
        yield
    except (FileNotFoundError, BatchError, MissingExtra):
        raise
    except Exception as error:  # each file system has its own
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise BatchError(f"{url} cannot be reached ({reason}). Check its name, network and permissions.") from error
