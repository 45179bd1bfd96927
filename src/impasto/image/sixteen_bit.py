"""What Pillow cannot do: colour with more than 8 bits a channel, in PNG and TIFF.

FFmpeg (by PyAV) reads PNG and the LZW and PackBits kinds of TIFF, tifffile reads and writes the other kinds. Samples
are `(h, w, c)`: grey, grey and alpha, RGB or RGB and alpha, as uint16, or float32 in `[0, 1]`.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from impasto.core.errors import ImageUnreadable
from impasto.image.metadata import as_text, png_text
from impasto.image.profiles import srgb_profile

Samples = NDArray[Any]

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_COLOUR_TYPE = {3: 2, 4: 6}  # RGB, RGBA
_PNG_FILTER_UP = 2
_ORIENTATION, _ICC_PROFILE = 274, 34675
_WHITE_IS_ZERO, _PREMULTIPLIED = 0, 1
_TIFFFILE_READS = (1, 8, 32946)  # plain, two numbers for Deflate
_FFMPEG_READS = (5, 32773)  # LZW, PackBits


def png_samples(data: bytes) -> Samples:
    """The samples of a 16-bit PNG file, uint16. Raises what PyAV raises when the data are damaged."""
    return _from_ffmpeg(data, "png")


def png_file(strips: Iterable[Samples], notes: Mapping[str, str], *, size_hw: tuple[int, int]) -> bytes:
    """A PNG file of 16 bits a channel from strips `(rows, w, 3 or 4)` of uint16 that add up to `size_hw`."""
    height, width = size_hw
    packer, packed, above, channels = zlib.compressobj(6), list[bytes](), None, 3
    for samples in strips:
        channels = samples.shape[-1]
        rows = samples.astype(">u2").view(np.uint8).reshape(len(samples), -1)
        filtered = np.empty((len(rows), rows.shape[1] + 1), dtype=np.uint8)
        filtered[:, 0] = _PNG_FILTER_UP
        filtered[0, 1:] = rows[0] if above is None else rows[0] - above  # modulo 256, as the filter is defined
        np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
        packed.append(packer.compress(filtered.tobytes()))
        above = rows[-1].copy()
    packed.append(packer.flush())
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes((16, _PNG_COLOUR_TYPE[channels], 0, 0, 0))
    text = b"".join(_png_chunk(entry[0], entry[1]) for entry in png_text(notes).chunks)
    pixels = b"".join(_png_chunk(b"IDAT", part) for part in packed if part)
    return _PNG_SIGNATURE + _png_chunk(b"IHDR", header) + text + pixels + _png_chunk(b"IEND", b"")


def tiff_is_deep(page: Any) -> bool:
    """Whether a tifffile page is for this module; grey or RGB with 16 bits or floats. Pillow reads the others."""
    if page.photometric not in (0, 1, 2) or page.dtype is None:
        return False
    if page.dtype.kind == "i" or (page.bitspersample == 32 and page.dtype.kind == "u"):
        raise ImageUnreadable(f"holds {page.dtype} samples; 8-bit, 16-bit or float samples are needed. Convert it.")
    return bool(page.dtype.kind == "f" or page.bitspersample == 16)


def tiff_samples(page: Any, file: IO[bytes]) -> Samples | None:
    """The samples of a deep tifffile page of `file`, alpha not premultiplied; None when only Pillow has the codec."""
    end = max(o + n for o, n in zip(page.dataoffsets, page.databytecounts, strict=True))
    if end > file.seek(0, 2):
        raise ImageUnreadable("is cut short; copy the file again.")
    if page.compression in _FFMPEG_READS:
        samples = _tiff_from_ffmpeg(page, file)
    else:
        samples = _tiff_from_tifffile(page) if page.compression in _TIFFFILE_READS else None
    if samples is None:
        return None
    colours = 3 if page.photometric == 2 else 1
    has_alpha = len(page.extrasamples) > 0 and page.extrasamples[0] in (1, 2)
    samples = samples[..., : colours + has_alpha]
    if samples.dtype.kind == "f":
        samples = _display_range(samples)
    premultiplied = has_alpha and page.extrasamples[0] == _PREMULTIPLIED
    return _unmultiplied(samples) if premultiplied else samples


def tiff_tags(page: Any) -> tuple[bytes | None, int]:
    """ICC profile and EXIF orientation of a tifffile page."""
    icc, turn = page.tags.get(_ICC_PROFILE), page.tags.get(_ORIENTATION)
    return (None if icc is None else bytes(icc.value)), (1 if turn is None else int(turn.value))


def write_tiff(path: Path, samples: Samples, notes: Mapping[str, str]) -> None:
    """A Deflate TIFF tagged sRGB from `(h, w, 3 or 4)` uint8 or uint16."""
    import tifffile

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
    )


def _png_chunk(name: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")


def _from_ffmpeg(data: bytes, codec: str) -> Samples:
    """Samples `(h, w, c)` uint16 of the one picture in `data`."""
    import av

    context: Any = av.CodecContext.create(codec, "r")
    frame = [*context.decode(av.Packet(data)), *context.decode(None)][0]
    name = frame.format.name
    if name.startswith("ya16"):
        samples: Samples = frame.to_ndarray(format="rgba64le")[..., [0, 3]]
    elif name.startswith(("rgb48", "rgba64", "gray16")):
        samples = frame.to_ndarray()
    else:
        raise ValueError(f"FFmpeg gives {name}, which is not 16-bit grey or RGB")
    return samples if samples.ndim == 3 else samples[..., None]


def _tiff_from_ffmpeg(page: Any, file: IO[bytes]) -> Samples | None:
    import av

    file.seek(0)
    try:
        samples = _from_ffmpeg(file.read(), "tiff")
    except (av.FFmpegError, ValueError, IndexError):  # tiles, planes; a damaged file fails in Pillow, too
        return None
    return samples if samples.shape[:2] == (page.imagelength, page.imagewidth) else None


def _tiff_from_tifffile(page: Any) -> Samples:
    samples: Samples = page.asarray()
    if page.axes == "SYX":
        samples = np.moveaxis(samples, 0, -1)
    samples = samples[..., None] if page.axes == "YX" else samples
    samples = samples.astype(np.float32 if samples.dtype.kind == "f" else np.uint16)
    if page.photometric == _WHITE_IS_ZERO:
        samples[..., 0] = _greatest(samples) - samples[..., 0]
    return samples


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
