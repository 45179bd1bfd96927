"""Training pictures from folders and lists, decoded once and kept small in memory."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from impasto.core.errors import DataError, ImageError, MissingExtra
from impasto.image import files
from impasto.image.pixels import to_bytes
from impasto.image.resize import fit, resized
from impasto.training.data import Bytes

UNLABELLED = -1
LONGEST_ASPECT = 2.0  # of a kept picture; what is longer is cut at both ends


@dataclass(frozen=True)
class Listed:
    """A picture file with its class, if it has one."""

    path: Path
    label: str | None = None


@dataclass(frozen=True)
class PictureSet:
    """Decoded pictures `(h, w, 3)`.

    `labels` index `classes`, -1 for a picture without a class; None where no picture has one. `skipped` says which
    files could not be read and why; `odds` how often each picture is to be drawn.
    """

    pictures: list[Bytes]
    labels: list[int] | None
    classes: tuple[str, ...]
    skipped: tuple[str, ...]
    odds: list[float] | None = None

    def labelled(self) -> tuple[list[Bytes], list[int]]:
        """The pictures that have a class, and their classes."""
        rows = [row for row in zip(self.pictures, self.labels or [], strict=False) if row[1] != UNLABELLED]
        return [picture for picture, _ in rows], [label for _, label in rows]

    @property
    def all_labelled(self) -> bool:
        """Whether every picture has a class."""
        return self.labels is not None and UNLABELLED not in self.labels


def listed(source: Path) -> list[Listed]:
    """The pictures of a folder, or of a CSV with the columns `path` (relative to it) and, optionally, `class`.

    In a folder the class is the name of the sub-folder that a picture lies in. Raises `DataError`.
    """
    if source.suffix.lower() == ".csv":
        return _from_csv(source)
    if not source.is_dir():
        raise DataError(f"{source} is neither a folder nor a .csv file.")
    found = [Listed(path, path.parent.name if path.parent != source else None) for path in files.pictures_in(source)]
    if not found:
        raise DataError(f"{source} holds no picture. Known: {', '.join(sorted(files.READABLE_SUFFIXES))}.")
    return found


def _from_csv(source: Path) -> list[Listed]:
    if not source.is_file():
        raise DataError(f"{source} is not there.")
    try:
        with source.open(newline="", encoding="utf-8-sig") as file:  # spreadsheets put a mark before UTF-8
            rows = csv.DictReader(file)
            if "path" not in (rows.fieldnames or ()):
                raise DataError(f"{source} has the columns {rows.fieldnames}; a column path is needed.")
            found = [Listed(source.parent / row["path"], row.get("class") or None) for row in rows if row["path"]]
    except (UnicodeError, csv.Error) as error:
        raise DataError(f"{source} cannot be read ({error}); a CSV in UTF-8 is needed.") from error
    if not found:
        raise DataError(f"{source} lists no picture.")
    return found


def decoded(
    items: Sequence[Listed],
    *,
    short_side_px: int,
    classes: Sequence[str] | None = None,
    odds: Sequence[float] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> PictureSet:
    """Read the pictures, scaled down to a short side of `short_side_px`; unreadable ones are left out and named.

    The classes are `classes` where given (pictures of others, or of none, are left out), else all that occur, sorted.
    A set in which no picture has a class keeps all, whatever `classes` are. `DataError` where nothing is left.
    """
    with ThreadPoolExecutor(2) as pool:
        read = []
        for count, result in enumerate(pool.map(lambda item: small(item.path, short_side_px), items), start=1):
            read.append(result)
            if progress:
                progress(count, len(items))
    drawn = odds or [1.0] * len(items)
    good = [row for row in zip(items, read, drawn, strict=True) if not isinstance(row[1], str)]
    skipped = tuple(result for result in read if isinstance(result, str))
    found = {item.label for item, _, _ in good if item.label is not None}
    names = tuple(classes or sorted(found)) if found else ()
    if classes is not None and found:
        good = [row for row in good if row[0].label in names]
    if not good:
        raise DataError(f"none of {len(items)} pictures can be used; the first: {(*skipped, 'no class is known')[0]}")
    index = {name: i for i, name in enumerate(names)}
    labels = [index.get(item.label or "", UNLABELLED) for item, _, _ in good] if names else None
    kept = [picture for _, picture, _ in good if not isinstance(picture, str)]
    return PictureSet(kept, labels, names, skipped, [odd for _, _, odd in good])


def small(path: Path, short_side_px: int) -> Bytes | str:
    """A picture `(h, w, 3)` scaled down to a short side of `short_side_px`, or why it cannot be read."""
    try:
        pixels = files.read(path).opaque
    except (ImageError, MissingExtra) as error:
        return str(error)
    h, w = pixels.shape[-2:]
    longest = int(LONGEST_ASPECT * min(h, w))
    top, left = max(0, h - longest) // 2, max(0, w - longest) // 2
    pixels = pixels[..., top : top + longest, left : left + longest]
    size = fit((pixels.shape[-2], pixels.shape[-1]), short_side_px=short_side_px, enlarge=False)
    kept: Bytes = to_bytes(resized(pixels, size))[0]
    return kept
