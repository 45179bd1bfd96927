"""The parts of PNG that Pillow does not read or write: 16 bits a channel, scaled transparent colours, gamma.

FFmpeg (through PyAV) reads 16-bit files. Our own writer stays: FFmpeg, OpenCV and imagecodecs write no text chunks,
pypng no iTXt, and Pillow has no 16-bit colour mode.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from impasto.image.metadata import exif_block, png_text
from impasto.image.profiles import gamma_profile

Samples = NDArray[Any]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPE = {3: 2, 4: 6}  # RGB, RGBA
_GREY = 0
_FILTER_UP = 2
_DEPTH_BYTE, _COLOUR_BYTE = 24, 25
_USUAL_GAMMA = 1 / 2.2  # of a file whose samples are sRGB
_GAMMA_RANGE = (0.1, 10.0)  # outside it the chunk is damaged


def is_deep_png(image: Image.Image, start: bytes) -> bool:
    """Whether an opened picture is a PNG of 16 bits; `start` holds the first 32 bytes of the file."""
    return image.format == "PNG" and start[_DEPTH_BYTE] == 16


def png_samples(data: bytes) -> Samples:
    """Samples `(h, w, c)` uint16 of a 16-bit PNG: grey, grey and alpha, RGB or RGBA. Raises PyAV's errors."""
    return ffmpeg_samples(data, "png")


def ffmpeg_samples(data: bytes, codec: str) -> Samples:
    """Samples `(h, w, c)` uint16 of the one 16-bit picture in `data`, decoded by FFmpeg."""
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


def scale_transparent_grey(image: Image.Image, start: bytes) -> None:
    """Give the transparent grey of a 2-bit or 4-bit PNG the scale of the decoded samples, which Pillow omits."""
    key = image.info.get("transparency")
    if image.format == "PNG" and start[_COLOUR_BYTE] == _GREY and image.mode == "L" and isinstance(key, int):
        depth = start[_DEPTH_BYTE]
        image.info["transparency"] = key * (2**8 - 1) // (2**depth - 1) if depth < 8 else key


def profile_of(image: Image.Image) -> bytes | None:
    """The ICC profile of an opened picture; for a PNG that has a gamma instead, the profile of that gamma."""
    icc: bytes | None = image.info.get("icc_profile")
    gamma = image.info.get("gamma")
    if icc or image.format != "PNG" or "srgb" in image.info or not isinstance(gamma, float):
        return icc
    low, high = _GAMMA_RANGE
    usual = abs(gamma / _USUAL_GAMMA - 1) < 0.05
    return gamma_profile(1 / gamma) if low <= gamma <= high and not usual else None


def deep_png(
    strips: Iterable[Samples], *, size_hw: tuple[int, int], notes: Mapping[str, str], exif: Mapping[str, str]
) -> bytes:
    """A PNG file of 16 bits a channel from strips `(rows, w, 3 or 4)` of uint16 that add up to `size_hw`."""
    height, width = size_hw
    packer, packed, above, channels = zlib.compressobj(6), list[bytes](), None, 3
    for samples in strips:
        channels = samples.shape[-1]
        rows = samples.astype(">u2").view(np.uint8).reshape(len(samples), -1)
        packed.append(packer.compress(_filtered(rows, above)))
        above = rows[-1].copy()
    packed.append(packer.flush())
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes((16, _COLOUR_TYPE[channels], 0, 0, 0))
    chunks = [(b"IHDR", header), *((entry[0], entry[1]) for entry in png_text(notes).chunks)]
    if exif:
        chunks.append((b"eXIf", exif_block(exif).removeprefix(b"Exif\0\0")))
    chunks += [*((b"IDAT", part) for part in packed if part), (b"IEND", b"")]
    return _SIGNATURE + b"".join(_chunk(name, data) for name, data in chunks)


def _filtered(rows: NDArray[np.uint8], above: NDArray[np.uint8] | None) -> bytes:
    """Rows of bytes, each after its filter type: differences from the row above, modulo 256."""
    filtered = np.empty((len(rows), rows.shape[1] + 1), dtype=np.uint8)
    filtered[:, 0] = _FILTER_UP
    filtered[0, 1:] = rows[0] if above is None else rows[0] - above
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    return filtered.tobytes()


def _chunk(name: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")
