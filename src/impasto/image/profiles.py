"""ICC profiles: any of them to sRGB.

Eight-bit pictures go through LittleCMS. It offers Pillow no deeper path, so 16-bit pictures are converted here when
their profile is a matrix with curves, or a grey curve (Adobe RGB, Display P3, ProPhoto, Rec. 2020, Dot Gain).
"""

from __future__ import annotations

import functools
import io
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

Floats = NDArray[np.float32]
Curve = Callable[[Floats], Floats]

_BROKEN = (ImageCms.PyCMSError, OSError, ValueError, TypeError)
_MODES = {"RGB": ("RGB", "L"), "GRAY": ("L",), "CMYK": ("CMYK",)}  # profile's colours: pictures it can mean
_HEADER_BYTES = 128
_LEVELS = 256


@functools.cache
def srgb_profile() -> bytes:
    """The sRGB profile that is put into files: always the same bytes (LittleCMS would put the time of day into it)."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    data[24:36] = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)  # date of creation
    data[84:100] = bytes(16)  # checksum, may be zero
    return bytes(data)


def gamma_profile(exponent: float) -> bytes:
    """An RGB profile with the primaries of sRGB whose light is the sample to the power of `exponent`."""
    data = bytearray(srgb_profile())
    for name in (b"rTRC", b"gTRC", b"bTRC"):  # each a `para` curve of five numbers; form 0 has one
        struct.pack_into(">4sIHHi", data, _tags(data)[name], b"para", 0, 0, 0, round(exponent * 65536))
    return bytes(data)


def srgb_picture(image: Image.Image, icc: bytes | None) -> Image.Image:
    """An RGB picture from one of mode L, RGB, CMYK or LAB, 8 bits a channel.

    Relative colorimetric with black point compensation. A profile that is broken or belongs to another kind of picture
    is ignored: the picture is then taken as sRGB (Lab, or plain CMYK).
    """
    if image.mode == "LAB":
        return _transformed(image, ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")))
    profile = _opened(icc)
    try:
        if profile is None or image.mode not in _MODES.get(_colours(profile), ()):
            return image.convert("RGB")
        if image.mode != "CMYK":
            image = image if _colours(profile) == "GRAY" else image.convert("RGB")
            if _is_srgb(profile, image.mode):
                return image.convert("RGB")
        return _transformed(image, profile)
    except _BROKEN:
        return image.convert("RGB")


def srgb_floats(colour: Floats, icc: bytes | None) -> Floats | None:
    """An RGB picture `(h, w, 3)` from `(h, w, 1 or 3)` floats in `[0, 1]`, without rounding to 8 bits.

    A broken profile is ignored. None when the profile has no matrix form: the picture must go through 8 bits.
    """
    rgb: Floats = np.broadcast_to(colour, (*colour.shape[:2], 3))
    profile = _opened(icc)
    mode = "L" if colour.shape[-1] == 1 else "RGB"
    try:
        if icc is None or profile is None or mode not in _MODES.get(_colours(profile), ()):
            return rgb
        grey = _colours(profile) == "GRAY"
        if _is_srgb(profile, "L" if grey else "RGB"):
            return rgb
    except _BROKEN:
        return rgb
    try:
        with np.errstate(all="ignore"):
            result = _grey(colour, icc) if grey else _matrix(rgb, icc)
    except (KeyError, struct.error, ValueError, IndexError):
        return None
    return result if np.isfinite(result).all() else rgb  # a curve that is undefined somewhere: broken


def _opened(icc: bytes | None) -> ImageCms.ImageCmsProfile | None:
    if not icc:
        return None
    try:
        return ImageCms.ImageCmsProfile(io.BytesIO(icc))
    except _BROKEN:
        return None


def _colours(profile: ImageCms.ImageCmsProfile) -> str:
    return str(profile.profile.xcolor_space).strip()


def _transformed(image: Image.Image, profile: ImageCms.ImageCmsProfile) -> Image.Image:
    transform = ImageCms.buildTransform(
        profile,
        ImageCms.ImageCmsProfile(io.BytesIO(srgb_profile())),
        image.mode,
        "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    result = ImageCms.applyTransform(image, transform)
    if result is None:
        raise ValueError("the colour transform gave no picture")
    return result


def _is_srgb(profile: ImageCms.ImageCmsProfile, mode: str) -> bool:
    """Whether the profile moves no colour of a lattice by more than one level: sRGB files then come back unchanged."""
    steps = np.linspace(0, _LEVELS - 1, 18).round().astype(np.uint8)
    if mode == "L":
        lattice = np.arange(_LEVELS, dtype=np.uint8)[None]
    else:
        lattice = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, -1, 3)
    image = Image.fromarray(lattice)
    moved = np.asarray(_transformed(image, profile), dtype=np.int16)
    return int(np.abs(moved - np.asarray(image.convert("RGB"), dtype=np.int16)).max()) <= 1


def _grey(colour: Floats, icc: bytes) -> Floats:
    tags = _tags(icc)
    light = _curve(icc, tags[b"kTRC"])(colour)
    if icc[20:24] == b"Lab ":  # the curve gives lightness L*, not light
        light = np.where(light > 0.08, ((light + 0.16) / 1.16) ** 3, light / 9.033).astype(np.float32)
    return np.broadcast_to(_encoded(light), (*colour.shape[:2], 3))


def _matrix(rgb: Floats, icc: bytes) -> Floats:
    tags = _tags(icc)
    if b"A2B0" in tags or icc[20:24] != b"XYZ ":
        raise ValueError("a table profile")
    curves = [_curve(icc, tags[name]) for name in (b"rTRC", b"gTRC", b"bTRC")]
    light = np.stack([curve(rgb[..., i]) for i, curve in enumerate(curves)], axis=-1)
    to_srgb = np.linalg.inv(_primaries(srgb_profile())) @ _primaries(icc)
    return _encoded(light @ to_srgb.T.astype(np.float32))


def _encoded(light: Floats) -> Floats:
    """The sRGB transfer curve (IEC 61966-2-1) of linear light."""
    light = light.clip(0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055).astype(np.float32)


def _tags(icc: bytes | bytearray) -> dict[bytes, int]:
    """Offset of each tag in an ICC profile, by its four letters."""
    (count,) = struct.unpack_from(">I", icc, _HEADER_BYTES)
    entries = (struct.unpack_from(">4sII", icc, _HEADER_BYTES + 4 + 12 * i) for i in range(min(count, 100)))
    return {name: offset for name, offset, _ in entries}


def _primaries(icc: bytes) -> NDArray[np.float64]:
    """Matrix from linear RGB to the profile connection space XYZ (D50)."""
    tags = _tags(icc)
    return np.stack([_fixed(icc, tags[name] + 8, count=3) for name in (b"rXYZ", b"gXYZ", b"bXYZ")], axis=-1)


def _fixed(icc: bytes, offset: int, *, count: int) -> NDArray[np.float64]:
    return np.array(struct.unpack_from(f">{count}i", icc, offset), dtype=np.float64) / 65536


def _curve(icc: bytes, offset: int) -> Curve:
    """The transfer curve of a `curv` or `para` tag, `[0, 1]` to `[0, 1]` (ICC.1:2022, 10.6 and 10.18)."""
    if icc[offset : offset + 4] == b"para":
        (kind,) = struct.unpack_from(">H", icc, offset + 8)
        return functools.partial(_parametric, _para(icc, offset + 12, kind=kind))
    if icc[offset : offset + 4] != b"curv":
        raise ValueError("an unknown kind of curve")
    (count,) = struct.unpack_from(">I", icc, offset + 8)
    if count == 0:
        return lambda x: x
    table = np.frombuffer(icc, dtype=">u2", count=count, offset=offset + 12).astype(np.float64)
    if count == 1:
        return lambda x: (x ** np.float32(table[0] / 256)).astype(np.float32)
    return lambda x: np.interp(x, np.linspace(0, 1, count), table / np.iinfo(np.uint16).max).astype(np.float32)


def _para(icc: bytes, offset: int, *, kind: int) -> tuple[float, ...]:
    """All five parametric forms as g, a, b, c, d, e, f of the last: `(aX + b)^g + e` from d on, below it `cX + f`."""
    count = (1, 3, 4, 5, 7)[kind]
    g, a, b, c, d, e, f = (float(v) for v in (*_fixed(icc, offset, count=count), *[0.0] * (7 - count)))
    if kind == 0:
        return g, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0
    if kind in (1, 2):
        return g, a, b, 0.0, -b / a if a else 0.0, c, c
    return g, a, b, c, d, e, f


def _parametric(numbers: tuple[float, ...], x: Floats) -> Floats:
    g, a, b, c, d, e, f = numbers
    power: NDArray[Any] = np.maximum(a * x + b, 0) ** g + e
    return np.where(x >= d, power, c * x + f).astype(np.float32)
