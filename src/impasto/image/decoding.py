"""Decoding of picture files to arrays: upright, sRGB, alpha separate, at the depth of the file."""

from __future__ import annotations

import contextlib
import os
import stat
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from impasto.core.errors import ImageTooLarge, ImageUnreadable, ImpastoError
from impasto.core.extras import optional
from impasto.image import metadata, png, profiles, tiff
from impasto.image.formats import FORMATS, HEIC_BRANDS
from impasto.image.pixels import halves
from impasto.image.strips import LARGE_PX, strips

Samples = NDArray[Any]
Texts = tuple[dict[str, str], dict[str, str]]  # notes and EXIF entries

_PILLOW_FORMATS = tuple(kind.name for kind in FORMATS if kind.name != "HEIF")
_ORIENTATION = 274
_process_wide = threading.RLock()  # held while Pillow's limit or stderr is changed
_STDERR = 2

# EXIF orientation: how to turn `(h, w, c)` upright.
_TURNS: dict[int, Callable[[Samples], Samples]] = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, k=-1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, k=1),
}
_ON_ITS_SIDE = (5, 6, 7, 8)
_BACK = {6: 8, 8: 6}  # the others are their own inverse


@dataclass(frozen=True)
class Decoded:
    """A decoded file. Arrays are uint8, uint16, or float32 in `[0, 1]`; very large ones float16 in place of uint8."""

    rgb: Samples  # (h, w, 3)
    alpha: Samples | None  # (h, w, 1)
    bits: int
    notes: dict[str, str]
    exif: dict[str, str]


def decoded(path: Path, *, max_pixels: int) -> Decoded:
    """The picture in a file; raises as `files.read` says."""
    with _opened(path) as (file, start):
        if start.startswith(tiff.STARTS):
            return _tiff(file, start, max_pixels=max_pixels)
        image = _image(file, start)
        _check_size(image.size, max_pixels)
        return _by_pillow(image, file, start=start)


def size_in(path: Path) -> tuple[int, int]:
    """Height and width of the upright picture in a file, without decoding its pixels."""
    with _opened(path) as (file, start):
        if start.startswith(tiff.STARTS):
            with tiff.opened_page(file) as (_, page):
                (width, height), turn = (page.imagewidth, page.imagelength), tiff.page_profile_and_orientation(page)[1]
        else:
            image = _image(file, start)
            turn = _orientation(image) if isinstance(image, Image.Image) else 1  # pillow-heif turns the picture itself
            width, height = image.size
        return (width, height) if turn in _ON_ITS_SIDE else (height, width)


def notes_in(path: Path) -> dict[str, str]:
    """The notes of a file, without decoding its pixels."""
    with _opened(path) as (file, start):
        if start.startswith(tiff.STARTS):
            with tiff.opened_page(file) as (_, page):
                return _notes_of_page(page)
        return metadata.notes_of(_image(file, start))


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[IO[bytes], bytes]]:
    """The open file and its first bytes; any error inside is raised as one of ours, with `path`."""
    name = metadata.as_bytes(str(path)).decode()  # names need not be UTF-8
    try:
        _check_regular(path)
        # Pillow warns of damaged metadata, which are then left out
        with path.open("rb") as file, warnings.catch_warnings(action="ignore", category=UserWarning):
            start = file.read(32)
            file.seek(0)
            if not start:
                raise ImageUnreadable("is empty (0 bytes); a picture is needed.")
            yield file, start
    except ImpastoError as error:
        raise type(error)(f"{name} {error}") from error
    except FileNotFoundError as error:
        raise ImageUnreadable(f"{name} does not exist; check its name and folder.") from error
    except PermissionError as error:
        raise ImageUnreadable(f"{name} may not be read (permission denied); change its permissions.") from error
    except UnidentifiedImageError as error:
        names = ", ".join((*_PILLOW_FORMATS, "HEIC"))
        raise ImageUnreadable(f"{name} is not a picture in a known format ({names}), or is damaged.") from error
    except MemoryError as error:
        raise ImageTooLarge(f"{name} does not fit into memory; shrink the picture.") from error
    except Exception as error:  # decoders fed with damaged bytes raise nearly anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageUnreadable(f"{name} is damaged or cut short ({reason}); copy or save it again.") from error


def _check_regular(path: Path) -> None:
    """Refuse folders, and pipes and devices, which might never end and cannot be read twice."""
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise ImageUnreadable("is a folder; a picture file is needed.")
    if not stat.S_ISREG(mode):
        raise ImageUnreadable("is a pipe or a device, which cannot be read twice; save the picture to a file first.")


def _check_size(size_wh: tuple[int, int], max_pixels: int) -> None:
    width, height = size_wh
    if width * height > max_pixels:
        size, limit = f"{width}×{height} px ({width * height / 1e6:.4g} megapixels)", f"{max_pixels / 1e6:.4g}"
        raise ImageTooLarge(f"is {size}; at most {limit} megapixels are read. Shrink it first.")


def _image(file: IO[bytes], start: bytes) -> Any:
    """The opened, not yet decoded Pillow picture (or pillow-heif file)."""
    file.seek(0)
    if start[4:8] == b"ftyp" and start[8:12] in HEIC_BRANDS and b"avif" not in start[8:]:
        return optional("pillow_heif", "heic", purpose="is a HEIC picture and").open_heif(file)
    with _any_size():
        return Image.open(file, formats=_PILLOW_FORMATS)


@contextlib.contextmanager
def _any_size() -> Iterator[None]:
    """The caller's limit replaces Pillow's, which is one for the process."""
    with _process_wide:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


@contextlib.contextmanager
def _silent_libtiff() -> Iterator[None]:
    """libtiff prints about damaged files to stderr, past Python; the errors come as exceptions, too."""
    with _process_wide, contextlib.ExitStack() as undo:
        with contextlib.suppress(OSError):  # no stderr: nothing to silence
            stderr = os.dup(_STDERR)
            undo.callback(os.close, stderr)
            nowhere = os.open(os.devnull, os.O_WRONLY)
            undo.callback(os.close, nowhere)
            os.dup2(nowhere, _STDERR)
            undo.callback(os.dup2, stderr, _STDERR)
        yield


def _by_pillow(image: Any, file: IO[bytes], *, start: bytes) -> Decoded:
    image = image if isinstance(image, Image.Image) else image.to_pillow()
    texts = metadata.notes_of(image), metadata.exif_of(image)
    image.load()
    png.scale_transparent_grey(image, start)
    icc, turn = png.profile_of(image), _orientation(image)
    if png.is_deep_png(image, start):
        file.seek(0)
        deep = _deep(png.png_samples(file.read()), icc, turn=turn, texts=texts)
        return _shallow(image, icc, turn=turn, texts=texts) if deep is None else deep
    return _shallow(image, icc, turn=turn, texts=texts)


def _tiff(file: IO[bytes], start: bytes, *, max_pixels: int) -> Decoded:
    with tiff.opened_page(file) as (index, page):
        _check_size((page.imagewidth, page.imagelength), max_pixels)
        tiff.check_page(page, file, max_pixels=max_pixels)
        texts = _notes_of_page(page), tiff.page_exif(page)
        samples = tiff.page_samples(page, file, index=index) if tiff.page_is_deep(page) else None
        icc, turn = tiff.page_profile_and_orientation(page)
        deep = None if samples is None else _deep(samples, icc, turn=turn, texts=texts)
        if deep is not None:
            return deep
    with _silent_libtiff(), _any_size():
        image = _image(file, start)
        image.seek(index)
        _check_size(image.size, max_pixels)
        image.load()
    return _shallow(image, image.info.get("icc_profile"), turn=_orientation(image), texts=texts)


def _orientation(image: Image.Image) -> int:
    """EXIF orientation 1 to 8; 1 when the EXIF block is damaged."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:
        return 1


def _shallow(image: Image.Image, icc: bytes | None, *, turn: int, texts: Texts) -> Decoded:
    colour, alpha = _apart(image)
    if image.width * image.height > LARGE_PX:
        rgb = _halves(colour, turn, samples=lambda strip: np.asarray(profiles.srgb_picture(strip, icc)))
        return Decoded(rgb, None if alpha is None else _halves(alpha, turn, samples=_one_channel), 8, *texts)
    rgb = _turned(np.asarray(profiles.srgb_picture(colour, icc)), turn)
    return Decoded(rgb, None if alpha is None else _turned(_one_channel(alpha), turn), 8, *texts)


def _one_channel(image: Image.Image) -> Samples:
    return np.asarray(image)[..., None]


def _halves(image: Image.Image, turn: int, *, samples: Callable[[Image.Image], Samples]) -> Samples:
    """The upright `samples` `(h, w, c)` of a picture as half floats, without ever holding all of them as bytes."""
    channels = samples(image.crop((0, 0, 1, 1))).shape[-1]
    size_hw = (image.width, image.height) if turn in _ON_ITS_SIDE else (image.height, image.width)
    upright = np.moveaxis(np.empty((channels, *size_hw), np.float16), 0, -1)
    as_stored = _turned(upright, _BACK.get(turn, turn))
    for rows in strips(image.height, image.width):
        as_stored[rows] = halves(samples(image.crop((0, rows.start, image.width, rows.stop))))
    return upright


def _apart(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Colour (L, RGB, CMYK or LAB) and alpha (L) of any 8-bit picture; transparent pixels keep their colour."""
    if image.mode == "La":
        image = image.convert("LA")
    elif image.has_transparency_data and image.mode not in ("LA", "RGBA"):
        image = image.convert("RGBA")
    if image.mode in ("LA", "RGBA"):
        return image.convert(image.mode[:-1]), image.getchannel("A")
    if image.mode in ("L", "RGB", "CMYK", "LAB"):
        return image, None
    if image.mode.startswith(("I", "F")):
        raise ImageUnreadable(f"holds samples of an unusual depth (mode {image.mode}); save it with 8 or 16 bits.")
    return image.convert("L" if image.mode == "1" else "RGB"), None


def _notes_of_page(page: Any) -> dict[str, str]:
    return metadata.from_text(page.description, "description")


def _deep(samples: Samples, icc: bytes | None, *, turn: int, texts: Texts) -> Decoded | None:
    """None when the profile can only be applied at 8 bits."""
    has_alpha = samples.shape[-1] in (2, 4)
    colour, alpha = (samples[..., :-1], samples[..., -1:]) if has_alpha else (samples, None)
    if icc:
        greatest = 1 if colour.dtype.kind == "f" else np.iinfo(colour.dtype).max
        rgb: Samples | None = profiles.srgb_floats(colour.astype(np.float32) / np.float32(greatest), icc)
    else:
        rgb = np.broadcast_to(colour, (*colour.shape[:2], 3))
    if rgb is None:
        return None
    return Decoded(_turned(rgb, turn), None if alpha is None else _turned(alpha, turn), 16, *texts)


def _turned(samples: Samples, orientation: int) -> Samples:
    turn = _TURNS.get(orientation)
    return samples if turn is None else turn(samples)
