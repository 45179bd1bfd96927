"""Training pictures that need not all fit into memory."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import overload

from impasto.core.errors import DataError
from impasto.training.data import Bytes
from impasto.training.pictures import small


class ImageDataset(Sequence[Bytes]):
    """Pictures `(h, w, 3)` of files, scaled down to a short side, read when they are asked for.

    Pictures are kept as they come, until `memory_bytes` are full. In the place of a file that cannot be read stands the
    next one that can, and `skipped` says why: so what is seen at a step follows from the files alone, and neither from
    the memory nor from the order of reading. Safe to read from several threads.
    """

    def __init__(self, paths: Sequence[Path], *, short_side_px: int, memory_bytes: int) -> None:
        self._paths, self._short_side_px, self._room = list(paths), short_side_px, memory_bytes
        self._kept: dict[int, Bytes] = {}
        self._broken: dict[int, str] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._paths)

    @overload
    def __getitem__(self, index: int) -> Bytes: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Bytes]: ...

    def __getitem__(self, index: int | slice) -> Bytes | Sequence[Bytes]:
        """The picture at `index`, or the next that can be read; `DataError` where none can."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        first = range(len(self))[index]  # raises IndexError, which ends a loop over all
        for ahead in range(len(self)):
            picture = self.at((first + ahead) % len(self))
            if picture is not None:
                return picture
        raise DataError(f"none of {len(self)} pictures can be read; the first: {self.skipped[0]}")

    @property
    def skipped(self) -> tuple[str, ...]:
        """Which files could not be read so far, and why, in the order of the files."""
        with self._lock:
            return tuple(self._broken[i] for i in sorted(self._broken))

    @property
    def kept_bytes(self) -> int:
        """Size of the pictures that are kept."""
        with self._lock:
            return sum(picture.nbytes for picture in self._kept.values())

    def at(self, index: int) -> Bytes | None:
        """The picture at `index`, None where it cannot be read."""
        with self._lock:
            if index in self._broken:
                return None
            if index in self._kept:
                return self._kept[index]
        read = small(self._paths[index], self._short_side_px)  # outside the lock, so that several are read at once
        with self._lock:
            if isinstance(read, str):
                self._broken[index] = read
                return None
            if read.nbytes <= self._room and index not in self._kept:
                self._room -= read.nbytes
                self._kept[index] = read
        return read
