"""Pictures into and out of the worker process."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

PREVIEW_PX = 1024
"""Long side of the previews that are sent while painting."""


def check_header(path: Path, most_pixels: int) -> None:
    """Raise `ImageError` if a picture's header declares more than `most_pixels` over all frames.

    Raises `MissingExtra` for a HEIC picture without its package.
    """
    from impasto.core.errors import ImageError, MissingExtra

    try:
        width, height, frames = _declared(path)
    except MissingExtra:
        raise
    except Exception as error:
        raise ImageError(
            "the file is damaged, or is not a picture. Choose another one, or save it as JPEG or PNG."
        ) from error
    if width * height * max(1, frames) > most_pixels:
        raise ImageError(
            f"the picture has {width}×{height} px"
            + (f" in {frames} frames" if frames > 1 else "")
            + f"; {most_pixels / 1e6:g} megapixels are allowed."
        )


def _declared(path: Path) -> tuple[int, int, int]:
    """Width, height and number of frames in a picture's header."""
    from PIL import Image

    from impasto.core.extras import optional

    if path.suffix == ".heic":
        heif = optional("pillow_heif", "heic", purpose="this server reads JPEG and PNG; for HEIC it")
        return (*heif.open_heif(path).size, 1)
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # our own limit has its own message
    try:
        with Image.open(path) as image:
            return (*image.size, min(getattr(image, "n_frames", 1), 10_000))
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def as_jpeg(pixels: Any, longest_px: int) -> bytes:
    """`(1, 3, h, w)` in `[0, 1]` as JPEG bytes, scaled down to a long side of `longest_px`."""
    from PIL import Image

    from impasto.image.pixels import to_bytes
    from impasto.image.resize import resized

    height, width = pixels.shape[-2:]
    ratio = longest_px / max(height, width)
    if ratio < 1:
        pixels = resized(pixels, (max(1, round(height * ratio)), max(1, round(width * ratio))))
    buffer = io.BytesIO()
    Image.fromarray(to_bytes(pixels.clamp(0, 1))[0]).save(buffer, "JPEG", quality=88)
    return buffer.getvalue()
