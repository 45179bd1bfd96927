"""Training pictures: lists of files, and reading one."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from impasto.core.errors import DataError, ImageError, MissingExtra
from impasto.image import files
from impasto.image.pixels import to_bytes
from impasto.image.resize import fit, resized

Bytes = NDArray[np.uint8]

LONGEST_ASPECT = 2.0  # longer pictures are cropped at both ends


@dataclass(frozen=True)
class Listed:
    """A picture file, its name within its source, its class, if known, and its row in a CSV, if it is of one."""

    path: Path
    name: str
    label: str | None = None
    row: Mapping[str, str] = field(default_factory=dict, compare=False)


def listed(source: Path) -> list[Listed]:
    """The pictures of a folder, or of a CSV with the columns `path` (relative to it) and, optionally, `class`.

    In a folder, the class is the name of the picture's sub-folder. Raises `DataError`.
    """
    if source.suffix.lower() == ".csv":
        return _from_csv(source)
    if not source.is_dir():
        raise DataError(f"{source} is neither a folder nor a .csv file.")
    items = [
        Listed(path, os.path.relpath(path, source), path.parent.name if path.parent != source else None)
        for path in files.pictures_in(source)
    ]
    if not items:
        raise DataError(f"{source} holds no picture. Known: {', '.join(sorted(files.READABLE_SUFFIXES))}.")
    return items


def _from_csv(source: Path) -> list[Listed]:
    if not source.is_file():
        raise DataError(f"{source} does not exist.")
    try:
        with source.open(newline="", encoding="utf-8-sig") as file:  # spreadsheets write a byte order mark
            rows = csv.DictReader(file)
            if "path" not in (rows.fieldnames or ()):
                raise DataError(f"{source} has the columns {rows.fieldnames}; a column path is needed.")
            items = [
                Listed(path, os.path.relpath(path, source.parent), row.get("class") or None, row)
                for row in rows
                if row["path"] and (path := source.parent / row["path"])
            ]
    except (UnicodeError, csv.Error) as error:
        raise DataError(f"{source} cannot be read ({error}); a CSV in UTF-8 is needed.") from error
    if not items:
        raise DataError(f"{source} lists no picture.")
    return items


def small(path: Path, short_side_px: int) -> Bytes | str:
    """A picture `(h, w, 3)` over white, scaled down to a short side of `short_side_px`; or why it is unreadable."""
    try:
        pixels = files.read(path).opaque
    except (ImageError, MissingExtra) as error:
        return str(error)
    h, w = pixels.shape[-2:]
    longest = int(LONGEST_ASPECT * min(h, w))
    top, left = max(0, h - longest) // 2, max(0, w - longest) // 2
    pixels = pixels[..., top : top + longest, left : left + longest]
    size = fit((pixels.shape[-2], pixels.shape[-1]), short_side_px=short_side_px, enlarge=False)
    samples: Bytes = to_bytes(resized(pixels, size))[0]
    return samples
