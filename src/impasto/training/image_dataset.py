"""Training pictures read on demand, with a cache in memory, and their classes."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

from impasto.core.errors import DataError
from impasto.training.pictures import Bytes, Listed, small

UNLABELLED = -1


class ImageDataset(Sequence[Bytes]):
    """Pictures `(h, w, 3)` of files, scaled down to a short side, read on demand.

    They are cached until `memory_bytes` are full. An unreadable file is replaced by the next readable one, and
    `skipped` gives the reason. The pictures of a step therefore depend on the files alone, neither on the memory nor on
    the order of reading. Thread-safe.
    """

    def __init__(self, paths: Sequence[Path], *, short_side_px: int, memory_bytes: int) -> None:
        self._paths, self._short_side_px, self._room = list(paths), short_side_px, memory_bytes
        self._cached: dict[int, Bytes] = {}
        self._broken: dict[int, str] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._paths)

    @overload
    def __getitem__(self, index: int) -> Bytes: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Bytes]: ...

    def __getitem__(self, index: int | slice) -> Bytes | Sequence[Bytes]:
        """The picture at `index`, or the next readable one. Raises `DataError` if there is none."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return self.readable(index)[1]

    def readable(self, index: int) -> tuple[int, Bytes]:
        """The first readable picture from `index` on, with its index. Raises `DataError` if there is none."""
        first = range(len(self))[index]  # raises IndexError, which ends a loop over all
        for ahead in range(len(self)):
            place = (first + ahead) % len(self)
            picture = self.at(place)
            if picture is not None:
                return place, picture
        raise DataError(f"none of {len(self)} pictures can be read; the first: {self.skipped[0]}")

    @property
    def skipped(self) -> tuple[str, ...]:
        """The reasons why files could not be read so far, in the order of the files."""
        with self._lock:
            return tuple(self._broken[i] for i in sorted(self._broken))

    @property
    def cached_bytes(self) -> int:
        """Size of the cached pictures."""
        with self._lock:
            return sum(picture.nbytes for picture in self._cached.values())

    def at(self, index: int) -> Bytes | None:
        """The picture at `index`, None if it is unreadable."""
        with self._lock:
            if index in self._broken:
                return None
            if index in self._cached:
                return self._cached[index]
        read = small(self._paths[index], self._short_side_px)  # outside the lock: several at once
        with self._lock:
            if isinstance(read, str):
                self._broken[index] = read
                return None
            if read.nbytes <= self._room and index not in self._cached:
                self._room -= read.nbytes
                self._cached[index] = read
        return read


class Selection(Sequence[Bytes]):
    """Some pictures of a dataset, by their indices."""

    def __init__(self, pictures: ImageDataset, indices: Sequence[int]) -> None:
        self._pictures, self._indices = pictures, list(indices)

    def __len__(self) -> int:
        return len(self._indices)

    @overload
    def __getitem__(self, index: int) -> Bytes: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Bytes]: ...

    def __getitem__(self, index: int | slice) -> Bytes | Sequence[Bytes]:
        """The picture at a place of the selection."""
        if isinstance(index, slice):
            return Selection(self._pictures, self._indices[index])
        return self._pictures[self._indices[index]]


@dataclass(frozen=True)
class LabelledSet:
    """Pictures with classes: `labels` index `classes`, -1 without a class; None if no picture has one."""

    pictures: ImageDataset
    labels: list[int] | None
    classes: tuple[str, ...]

    @property
    def all_labelled(self) -> bool:
        """Whether every picture has a class."""
        return self.labels is not None and UNLABELLED not in self.labels

    def readable(self, *, labelled: bool = False) -> tuple[Selection, list[int]]:
        """The readable pictures, or those with a class, and their labels. Reads every file."""
        labels = self.labels or [UNLABELLED] * len(self.pictures)
        chosen = [i for i, label in enumerate(labels) if not labelled or label != UNLABELLED]
        chosen = [i for i in chosen if self.pictures.at(i) is not None]
        return Selection(self.pictures, chosen), [labels[i] for i in chosen]


def labelled_set(
    items: Sequence[Listed], *, short_side_px: int, memory_gb: float, classes: Sequence[str] | None = None
) -> LabelledSet:
    """A set of listed pictures, read on demand.

    With `classes`, pictures of other classes, or of none, are left out, unless no picture has a class; without, the
    classes are all that occur, sorted. Raises `DataError` if nothing is left.
    """
    known = {item.label for item in items if item.label is not None}
    names = tuple(classes or sorted(known)) if known else ()
    used = [item for item in items if classes is None or not known or item.label in names]
    if not used:
        raise DataError(f"none of {len(items)} pictures has a known class: {', '.join(names)}.")
    index = {name: i for i, name in enumerate(names)}
    labels = [index.get(item.label or "", UNLABELLED) for item in used] if names else None
    paths = [item.path for item in used]
    pictures = ImageDataset(paths, short_side_px=short_side_px, memory_bytes=int(memory_gb * 1e9))
    return LabelledSet(pictures, labels, names)
