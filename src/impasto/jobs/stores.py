"""Folders of inputs and outputs: on this machine, or in an object store through fsspec.

Files are written whole or not at all: beside and renamed, or by one request.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impasto.core.errors import BatchError, MissingExtra
from impasto.core.paths import written_whole


@dataclass(frozen=True)
class Store:
    """A folder: local or mounted, by its path, or in a file system of fsspec, by its URL.

    Names in it are relative, with forward slashes.
    """

    text: str

    @property
    def local(self) -> Path | None:
        """The folder on this machine; None for a URL."""
        return None if is_url(self.text) else Path(self.text)

    @contextlib.contextmanager
    def _remote(self, name: str) -> Iterator[tuple[Any, str]]:
        """The file system and the path of a name in it, for a block whose errors name the store."""
        fs, folder = file_system(self.text)
        with errors_naming(self.text):
            yield fs, posixpath.join(folder, name)

    def read(self, name: str) -> bytes | None:
        """The bytes of a file; None if it does not exist."""
        try:
            if self.local:
                return (self.local / name).read_bytes()
            with self._remote(name) as (fs, path):
                return bytes(fs.cat_file(path))
        except FileNotFoundError:
            return None

    def write(self, name: str, data: bytes) -> None:
        """Write a whole file; in one request where it is remote."""
        if self.local:
            with written_whole(self.local / name) as temporary:
                temporary.write_bytes(data)
        else:
            with self._remote(name) as (fs, path):
                fs.pipe_file(path, data)

    def take(self, path: Path, name: str) -> None:
        """Move the local file at `path`, which is in `staging`, to `name`, atomically."""
        if self.local:
            place = self.local / name
            place.parent.mkdir(parents=True, exist_ok=True)
            path.replace(place)
        else:
            with self._remote(name) as (fs, remote):
                fs.put_file(str(path), remote)
            path.unlink()

    def names(self, folder: str) -> list[str]:
        """The names of the files in a subfolder, sorted; empty if it does not exist."""
        if self.local:
            place = self.local / folder
            return sorted(entry.name for entry in place.iterdir() if entry.is_file()) if place.is_dir() else []
        with contextlib.suppress(FileNotFoundError), self._remote(folder) as (fs, path):
            fs.invalidate_cache()
            rows = fs.ls(path, detail=True)
            return sorted(posixpath.basename(row["name"]) for row in rows if row["type"] == "file")
        return []

    def remove(self, name: str) -> None:
        """Remove a file if it exists."""
        with contextlib.suppress(FileNotFoundError):
            if self.local:
                (self.local / name).unlink()
            else:
                with self._remote(name) as (fs, path):
                    fs.rm_file(path)

    @contextlib.contextmanager
    def staging(self) -> Iterator[Path]:
        """A new local folder for files before `take`, hidden next to local outputs; removed at the end."""
        parent = self.local and self.local / STATE / "staging"
        if parent:
            parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="impasto-", dir=parent, ignore_cleanup_errors=True) as folder:
            yield Path(folder)


STATE = ".impasto"
"""The hidden subfolder of the outputs for the ledger."""


def store_at(text: str) -> Store:
    """The store of a folder's path or URL."""
    return Store(text.rstrip("/") if is_url(text) else os.path.abspath(text))


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
