"""TIFF files: the page to read, checks before decoding, samples deeper than 8 bits, writing.

Pillow reads pages of 8 bits. FFmpeg (through PyAV) reads LZW and PackBits with 16 bits, tifffile all other deep pages.
Samples are `(h, w, c)`: grey, grey and alpha, RGB or RGBA, as uint16, or float32 in `[0, 1]`.
"""

from __future__ import annotations

import contextlib
import logging
import math
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from impasto.core.errors import ImageTooLarge, ImageUnreadable
from impasto.image.metadata import EXIF_TAGS, as_text, cleaned_exif
from impasto.image.png import ffmpeg_samples
from impasto.image.profiles import srgb_profile

Samples = NDArray[Any]

STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""The first bytes of a TIFF or BigTIFF file."""

_ORIENTATION, _ICC_PROFILE = 274, 34675
_WHITE_IS_ZERO, _SUBSAMPLED = 0, 6  # the second is YCbCr
_PREMULTIPLIED, _ALPHAS = 1, (1, 2)
_PLAIN, _DEFLATE = 1, (8, 32946)
_TIFFFILE_READS = (_PLAIN, *_DEFLATE)
_FFMPEG_READS = (5, 32773)  # LZW, PackBits
_MOST_PAGES = 16  # looked at for one that is not a thumbnail
_MOST_SAMPLES = 8  # per pixel
_MOST_BYTES_PER_PIXEL = 16  # RGBA in float32
_PIECE_BYTES = 1 << 20
_SILENT = logging.NullHandler()  # without a handler, Python prints tifffile's warnings to stderr


@contextlib.contextmanager
def opened_page(file: IO[bytes]) -> Iterator[tuple[int, Any]]:
    """Index and tifffile page of the first page that is not a thumbnail; of the first page where all are."""
    import tifffile

    logging.getLogger("tifffile").addHandler(_SILENT)
    file.seek(0)
    with tifffile.TiffFile(file) as tiff:
        pages: Any = tiff.pages
        index = 0
        with contextlib.suppress(IndexError):
            index = next((i for i in range(_MOST_PAGES) if not pages[i].is_reduced), 0)
        page = pages[index]
        numbers = page.imagewidth, page.imagelength, page.imagedepth, page.samplesperpixel, page.bitspersample
        if not all(isinstance(number, int) for number in numbers):  # damaged files have lists there
            raise ImageUnreadable("has a damaged TIFF header; copy or save it again.")
        yield index, page


def check_page(page: Any, file: IO[bytes], *, max_pixels: int) -> None:
    """Refuse, before decoding, a page that is too large, has too many samples, or has parts missing."""
    if page.imagedepth != 1 or page.samplesperpixel > _MOST_SAMPLES:
        size = f"{page.imagedepth} layers and {page.samplesperpixel} samples a pixel"
        raise ImageUnreadable(f"holds {size}; 1 layer and at most {_MOST_SAMPLES} samples are needed. Convert it.")
    size_bytes = page.imagewidth * page.imagelength * page.samplesperpixel * max(1, page.bitspersample // 8)
    if size_bytes > max_pixels * _MOST_BYTES_PER_PIXEL:
        raise ImageTooLarge(f"would take {size_bytes / 1e9:.3g} GB of memory; convert it to 8 or 16 bits.")
    expected, counts = math.prod(page.chunked), page.databytecounts
    if not (len(page.dataoffsets) == len(counts) == expected and all(counts)):
        stored = sum(count > 0 for count in counts)
        raise ImageUnreadable(f"holds {stored} of the {expected} strips or tiles that its size needs; copy it again.")
    row_bytes = (page.imagewidth * page.samplesperpixel * page.bitspersample + 7) // 8
    plain = page.compression == _PLAIN and page.photometric != _SUBSAMPLED
    if plain and sum(counts) < page.imagelength * row_bytes:
        raise ImageUnreadable("holds fewer bytes than its size needs; copy the file again.")
    if max(o + n for o, n in zip(page.dataoffsets, counts, strict=True)) > file.seek(0, 2):
        raise ImageUnreadable("is cut short; copy the file again.")


def page_is_deep(page: Any) -> bool:
    """Whether a page is grey or RGB with 16 bits or floats; Pillow reads the others."""
    if page.photometric not in (0, 1, 2) or page.dtype is None:
        return False
    if page.dtype.kind == "i" or (page.bitspersample == 32 and page.dtype.kind == "u"):
        raise ImageUnreadable(f"holds {page.dtype} samples; 8-bit, 16-bit or float samples are needed. Convert it.")
    return bool(page.dtype.kind == "f" or page.bitspersample == 16)


def page_samples(page: Any, file: IO[bytes], *, index: int) -> Samples | None:
    """The samples of the deep page number `index`, alpha not premultiplied; None when only Pillow has the codec."""
    if page.compression in _FFMPEG_READS:
        samples = _by_ffmpeg(page, file) if index == 0 else None
    else:
        samples = _by_tifffile(page, file) if page.compression in _TIFFFILE_READS else None
    if samples is None:
        return None
    colours = 3 if page.photometric == 2 else 1
    alphas = [i for i, kind in enumerate(page.extrasamples) if kind in _ALPHAS]
    samples = samples[..., [*range(colours), *(colours + i for i in alphas[:1])]]
    if samples.dtype.kind == "f":
        samples = _display_range(samples)
    premultiplied = bool(alphas) and page.extrasamples[alphas[0]] == _PREMULTIPLIED
    return _unmultiplied(samples) if premultiplied else samples


def page_profile_and_orientation(page: Any) -> tuple[bytes | None, int]:
    """ICC profile and EXIF orientation of a page."""
    icc, turn = page.tags.get(_ICC_PROFILE), page.tags.get(_ORIENTATION)
    profile = icc.value if icc is not None and isinstance(icc.value, bytes) else None
    return profile, turn.value if turn is not None and isinstance(turn.value, int) else 1


def page_exif(page: Any) -> dict[str, str]:
    """The kept EXIF entries of a page (`metadata.EXIF_TAGS`)."""
    block = page.tags.get("ExifTag")
    inner = block.value if block is not None and isinstance(block.value, dict) else {}
    tags = {name: page.tags.get(code) for name, code in EXIF_TAGS.items()}
    return cleaned_exif({name: inner.get(name) if tag is None else tag.value for name, tag in tags.items()})


def write_tiff(path: Path, samples: Samples, *, notes: Mapping[str, str], exif: Mapping[str, str]) -> None:
    """A Deflate TIFF tagged sRGB from `(h, w, 3 or 4)` uint8 or uint16.

    TIFF's own tags hold the EXIF entries; the date of exposure becomes the date of the file.
    """
    import tifffile

    exif = dict(exif)
    if taken := exif.pop("DateTimeOriginal", None):
        exif["DateTime"] = taken
    exif.pop("OffsetTimeOriginal", None)
    tifffile.imwrite(
        path,
        samples,
        photometric="rgb",
        compression="zlib",
        predictor=True,
        extrasamples=["unassalpha"] if samples.shape[-1] == 4 else None,
        description=as_text(notes) or None,
        iccprofile=srgb_profile(),
        metadata=None,
        software="impasto",
        extratags=[
            (EXIF_TAGS[name], "s", 0, text.encode("utf-8", "backslashreplace"), True) for name, text in exif.items()
        ],
    )


def _by_ffmpeg(page: Any, file: IO[bytes]) -> Samples | None:
    import av

    file.seek(0)
    try:
        samples = ffmpeg_samples(file.read(), "tiff")
    except (av.FFmpegError, ValueError, IndexError):  # tiles, planes; a damaged file fails in Pillow, too
        return None
    return samples if samples.shape[:2] == (page.imagelength, page.imagewidth) else None


def _by_tifffile(page: Any, file: IO[bytes]) -> Samples:
    if page.compression in _DEFLATE:
        _check_inflated(page, file)
    samples: Samples = page.asarray()
    if page.axes == "SYX":
        samples = np.moveaxis(samples, 0, -1)
    samples = samples[..., None] if page.axes == "YX" else samples
    samples = samples.astype(np.float32 if samples.dtype.kind == "f" else np.uint16)
    if page.photometric == _WHITE_IS_ZERO:
        samples[..., 0] = _greatest(samples) - samples[..., 0]
    return samples


def _check_inflated(page: Any, file: IO[bytes]) -> None:
    """Refuse strips that hold more than they should, which tifffile would inflate whole.

    Deflate packs 1032 bytes into one at most, so that small strips need no check.
    """
    room = math.prod(page.chunks) * page.dtype.itemsize + _PIECE_BYTES
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        if count * 1032 <= 32 * _PIECE_BYTES:
            continue
        file.seek(offset)
        inflate, inflated, rest = zlib.decompressobj(), 0, file.read(count)
        while rest and not inflate.eof:
            inflated += len(inflate.decompress(rest, _PIECE_BYTES))
            rest = inflate.unconsumed_tail
            if inflated > room:
                raise ImageTooLarge("holds more data than its size needs (a decompression bomb); use another file.")


def _greatest(samples: Samples) -> int:
    return 1 if samples.dtype.kind == "f" else int(np.iinfo(samples.dtype).max)


def _display_range(samples: Samples) -> Samples:
    low, high = float(samples.min()), float(samples.max())
    if not (low >= -1e-3 and high <= 1 + 1e-3):  # NaN, too, fails both
        raise ImageUnreadable(f"holds floats from {low:g} to {high:g}; 0 to 1 is needed. Scale it to that range.")
    return samples.clip(0, 1)


def _unmultiplied(samples: Samples) -> Samples:
    greatest = _greatest(samples)
    alpha = samples[..., -1:].astype(np.float32) / greatest
    colour = np.divide(samples[..., :-1], alpha, out=np.zeros(samples[..., :-1].shape, np.float32), where=alpha > 0)
    colour = colour.clip(0, greatest)
    colour = colour if samples.dtype.kind == "f" else np.floor(colour + 0.5)
    return np.concatenate([colour.astype(samples.dtype), samples[..., -1:]], axis=-1)
