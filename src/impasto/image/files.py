"""Reading and writing of picture files: the only place where bytes become pixels and back."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from impasto.core.errors import ImageError, ImageUnwritable, OptionError
from impasto.core.paths import written_whole
from impasto.image import metadata, png, tiff
from impasto.image.decoding import decoded, notes_in, size_in
from impasto.image.formats import READABLE_SUFFIXES, Format, carries_notes, check_writable, pictures_in, writable_format
from impasto.image.pixels import check_finite, from_bytes, over_white, to_bytes
from impasto.image.profiles import srgb_profile
from impasto.image.strips import LARGE_PX, strips

__all__ = [
    "READABLE_SUFFIXES",
    "Picture",
    "carries_notes",
    "check_writable",
    "pictures_in",
    "read",
    "read_notes",
    "read_size",
    "write",
]


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture as it was read: upright, RGB, sRGB-encoded, in `[0, 1]`, float32.

    An 8-bit picture above 24 megapixels (`strips.LARGE_PX`) is float16, which has room for all 256 levels.
    """

    pixels: Tensor  # (1, 3, h, w)
    alpha: Tensor | None = None  # (1, 1, h, w), None when the file has no alpha
    bits: int = 8  # depth of the file, 8 or 16
    notes: Mapping[str, str] = field(default_factory=dict)  # text found in the file
    exif: Mapping[str, str] = field(default_factory=dict)  # date, camera and copyright, by EXIF name

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.pixels.shape[-2], self.pixels.shape[-1]

    @property
    def opaque(self) -> Tensor:
        """The pixels composited over white, `(1, 3, h, w)`: what networks see of a picture with alpha."""
        return over_white(self.pixels, self.alpha)


def read(path: str | Path, *, max_pixels: int = 200_000_000) -> Picture:
    """The picture in a JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF or (with the extra "heic") HEIC file.

    Of several it is the first one that is not a thumbnail. Turned upright as EXIF says, converted to sRGB by its ICC
    profile or the gamma of a PNG (a broken profile, or one for another kind of picture, is ignored), alpha apart
    (transparent pixels keep their colour). Grey, palette, 1-bit, CMYK and Lab become RGB. PNG and TIFF keep 16 bits; a
    TIFF of tiles in LZW, or a 16-bit picture whose profile has no matrix form, comes back with 8 bits, and `bits` says
    so. Float TIFF is taken as sRGB-encoded in `[0, 1]`.

    Raises `ImageUnreadable` (missing, not a regular file, empty, cut short, not a picture), `ImageTooLarge` before
    anything is decoded when the file claims more than `max_pixels` or more memory than a picture of that size needs,
    `MissingExtra` for HEIC without its package.
    """
    result = decoded(Path(path), max_pixels=max_pixels)
    alpha = None if result.alpha is None else from_bytes(result.alpha)
    return Picture(from_bytes(result.rgb), alpha, result.bits, result.notes, result.exif)


def read_size(path: str | Path) -> tuple[int, int]:
    """Height and width of the picture that `read` gives, without decoding its pixels; raises as `read` does."""
    return size_in(Path(path))


def read_notes(path: str | Path) -> dict[str, str]:
    """The text in a picture file, written by `write` or by others, without decoding its pixels."""
    return notes_in(Path(path))


def write(
    path: str | Path,
    pixels: Tensor,
    *,
    alpha: Tensor | None = None,
    bits: int = 8,
    quality: int = 95,
    notes: Mapping[str, str] | None = None,
    exif: Mapping[str, str] | None = None,
    strip: bool = False,
) -> None:
    """Store `(1, 3, h, w)` or grey `(1, 1, h, w)` pixels in the format of the suffix, whole or not at all.

    Clamped and rounded to the nearest level, tagged sRGB (GIF and BMP have no tag). `bits=16` is for PNG and TIFF.
    `quality`, 1 to 100, is for JPEG, WebP and AVIF. JPEG and BMP have no alpha: the picture is composited over white.
    GIF reduces to 256 colours and alpha to on or off. `notes` go into the metadata; formats where `carries_notes` is
    false drop them. `exif` has entries of `metadata.EXIF_TAGS`; GIF and BMP drop them. `strip` leaves both out.

    Raises `OptionError` (suffix, bits, quality, names of notes or EXIF entries), `NotFinite`, `ImageUnwritable`, and
    `ImageError` when the shapes do not fit.
    """
    path, size_hw = Path(path), (int(pixels.shape[-2]), int(pixels.shape[-1]))
    kind = _checked_format(path, bits, size_hw=size_hw, quality=quality)
    texts = {} if strip else metadata.checked_notes(notes or {})
    entries = {} if strip else metadata.checked_exif(exif or {})
    _check_pixels(pixels, alpha)
    parts = _levels(pixels, alpha, bits=bits, keep_alpha=kind.alpha)
    try:
        with written_whole(path) as temporary:
            if kind.name == "TIFF":
                tiff.write_tiff(temporary, np.concatenate(list(parts)), notes=texts, exif=entries)
            elif bits == 16:
                temporary.write_bytes(png.deep_png(parts, size_hw=size_hw, notes=texts, exif=entries))
            else:
                settings = _settings(kind.name, quality, notes=texts, exif=entries)
                temporary.write_bytes(_encoded(kind, _joined(parts, size_hw), settings=settings))
    except OSError as error:
        raise ImageUnwritable(f"{path} cannot be written: {error.strerror or error}.") from error


def _checked_format(path: Path, bits: int, *, size_hw: tuple[int, int], quality: int) -> Format:
    check_writable(path, bits, size_hw=size_hw)
    if not 1 <= quality <= 100:
        raise OptionError(f"quality is {quality}; it must be between 1 and 100.")
    return writable_format(path, bits)


def _check_pixels(pixels: Tensor, alpha: Tensor | None) -> None:
    if pixels.ndim != 4 or pixels.shape[0] != 1 or pixels.shape[1] not in (1, 3) or 0 in pixels.shape:
        raise ImageError(f"pixels have shape {tuple(pixels.shape)}; (1, 3, h, w) is needed to store a picture.")
    if alpha is not None and alpha.shape != (1, 1, *pixels.shape[-2:]):
        shapes = f"{tuple(alpha.shape)} for pixels {tuple(pixels.shape)}"
        raise ImageError(f"alpha has shape {shapes}; (1, 1, h, w) of the same size is needed.")
    check_finite(pixels)


def _levels(pixels: Tensor, alpha: Tensor | None, *, bits: int, keep_alpha: bool) -> Iterator[NDArray[Any]]:
    """Strips `(rows, w, 3 or 4)` of the samples to write, without a copy of the whole picture."""
    for rows in strips(pixels.shape[-2], pixels.shape[-1]):
        part = None if alpha is None else alpha[:, :, rows]
        yield to_bytes(_stored(pixels[:, :, rows], part, keep_alpha=keep_alpha), bits=bits)[0]


def _stored(pixels: Tensor, alpha: Tensor | None, *, keep_alpha: bool) -> Tensor:
    """The channels to write, `(1, 3 or 4, h, w)`."""
    rgb = pixels.detach().float().expand(-1, 3, -1, -1)
    if alpha is None:
        return rgb
    alpha = alpha.detach().to(rgb)
    if keep_alpha:
        return torch.cat([rgb, alpha], dim=1)
    return over_white(rgb.clamp(0, 1), alpha.clamp(0, 1))


def _joined(parts: Iterator[NDArray[np.uint8]], size_hw: tuple[int, int]) -> Image.Image:
    whole, top = None, 0
    for part in parts:
        strip = Image.fromarray(part)
        whole = whole or Image.new(strip.mode, (size_hw[1], size_hw[0]))
        whole.paste(strip, (0, top))
        top += strip.height
    assert whole is not None
    return whole


def _encoded(kind: Format, image: Image.Image, *, settings: dict[str, Any]) -> memoryview:
    """The bytes of an 8-bit file by Pillow."""
    buffer = io.BytesIO()
    if image.width * image.height > LARGE_PX:
        settings.pop("optimize", None)  # needs the memory of the whole file a second time
    image.save(buffer, format=kind.name, **settings)
    return buffer.getbuffer()


def _settings(name: str, quality: int, *, notes: dict[str, str], exif: dict[str, str]) -> dict[str, Any]:
    """The keyword arguments of Pillow's writer of a format."""
    if name == "GIF":
        return {"comment": metadata.as_text(notes).encode("ascii")} if notes else {}
    if name == "BMP":
        return {}
    block = {"exif": metadata.exif_block(exif)} if exif else {}
    if name == "PNG":
        return {"pnginfo": metadata.png_text(notes), **block}
    common = {"quality": quality, "icc_profile": srgb_profile()}
    if name == "JPEG":
        sampling = {"subsampling": "4:4:4"} if quality >= 90 else {}
        return {**common, **block, **sampling, "optimize": True, "extra": metadata.jpeg_comments(notes)}
    block = {"exif": metadata.exif_block(exif, notes=notes)} if exif or notes else {}
    if name == "AVIF":
        return {**common, **block, "subsampling": "4:4:4" if quality >= 90 else "4:2:0"}
    return {**common, **block, "exact": True}
