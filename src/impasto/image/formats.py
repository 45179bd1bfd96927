"""The picture formats: suffixes and capabilities."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from PIL import features

from impasto.core.errors import ImageUnreadable, ImageUnwritable, OptionError, UnknownName


@dataclass(frozen=True, kw_only=True)
class Format:
    """One picture format. `bits` are the depths that can be written (none: reading only)."""

    name: str  # as Pillow calls it
    suffixes: tuple[str, ...]
    bits: tuple[int, ...] = (8,)
    alpha: bool = False
    notes: bool = True
    longest_px: int | None = None  # greatest side the format allows
    feature: str | None = None  # what Pillow must have been built with


FORMATS: tuple[Format, ...] = (
    Format(name="JPEG", suffixes=(".jpg", ".jpeg", ".jpe", ".jfif"), longest_px=65_500),
    Format(name="PNG", suffixes=(".png",), bits=(8, 16), alpha=True),
    Format(name="WEBP", suffixes=(".webp",), alpha=True, longest_px=16_383, feature="webp"),
    Format(name="TIFF", suffixes=(".tif", ".tiff"), bits=(8, 16), alpha=True),
    Format(name="AVIF", suffixes=(".avif",), alpha=True, longest_px=65_536, feature="avif"),
    Format(name="GIF", suffixes=(".gif",), alpha=True, longest_px=65_535),
    Format(name="BMP", suffixes=(".bmp",), notes=False),
    Format(name="HEIF", suffixes=(".heic", ".heif"), bits=(), alpha=True, notes=False),
)

HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
"""The brands of HEIC files, after `ftyp`."""

_BY_SUFFIX = {suffix: kind for kind in FORMATS for suffix in kind.suffixes}
READABLE_SUFFIXES = frozenset(_BY_SUFFIX)


def writable_format(path: str | Path, bits: int = 8) -> Format:
    """The format that the suffix of `path` names; raises as `check_writable` does."""
    suffix = Path(path).suffix.lower()
    known = [s for s, kind in _BY_SUFFIX.items() if kind.bits]
    kind = _BY_SUFFIX.get(suffix)
    if kind is None or not kind.bits:
        raise UnknownName.of("picture format to write", suffix, known=known)
    if bits not in kind.bits:
        deep = ", ".join(s for s, other in _BY_SUFFIX.items() if bits in other.bits)
        raise OptionError(f"{suffix} cannot hold {bits} bits a channel; use 8" + (f", or {deep}." if deep else "."))
    if kind.feature is not None and not features.check(kind.feature):
        raise ImageUnwritable(f"this Pillow was built without {kind.name}; install a full Pillow or use .png.")
    return kind


def check_writable(path: str | Path, bits: int = 8, *, size_hw: tuple[int, int] | None = None) -> None:
    """Raise the errors of `files.write` before the work; writes nothing.

    `OptionError` for an unknown suffix or a depth that the format does not have; `ImageUnwritable` for a folder of that
    name, a folder without permission, or a size beyond the format's limit.
    """
    path = Path(path)
    kind = writable_format(path, bits)
    if path.is_dir():
        raise ImageUnwritable(f"{path} is a folder; name a file in it.")
    folder = path.absolute().parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise ImageUnwritable(f"{folder} is a file; a folder is needed to write {path}.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ImageUnwritable(f"the folder {folder} may not be written to; choose another one.")
    if size_hw is not None and kind.longest_px is not None and max(size_hw) > kind.longest_px:
        size = f"{size_hw[1]}×{size_hw[0]} px"
        raise ImageUnwritable(f"the picture is {size}; {kind.name} ends at {kind.longest_px}. Use .png or .tif.")


def carries_notes(path: str | Path) -> bool:
    """Whether a file of this suffix can hold notes; BMP and unknown suffixes cannot, and need a file beside them."""
    kind = _BY_SUFFIX.get(Path(path).suffix.lower())
    return kind is not None and kind.notes


def pictures_in(folder: str | Path, *, recursive: bool = True) -> list[Path]:
    """Files with a picture's suffix, sorted by path. Hidden files and everything in hidden folders are left out.

    Raises `ImageUnreadable` when `folder` is missing or a file. An empty list is no error here.
    """
    folder = Path(folder)
    if not folder.is_dir():
        problem = "is a file" if folder.exists() else "does not exist"
        raise ImageUnreadable(f"{folder} {problem}; a folder of pictures is needed.")
    paths = folder.rglob("*") if recursive else folder.glob("*")
    shown = (path for path in paths if not any(part.startswith(".") for part in path.relative_to(folder).parts))
    return sorted(path for path in shown if path.suffix.lower() in READABLE_SUFFIXES and path.is_file())
