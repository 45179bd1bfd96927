"""Pictures embedded in HTML."""

from __future__ import annotations

import base64
import io

from PIL import Image
from torch import Tensor

from impasto.image.pixels import to_bytes


def address(pixels: Tensor, kind: str, *, quality: int = 90) -> str:
    """A picture `(1, 3, h, w)` as a data URL (RFC 2397).

    `kind` is JPEG or PNG; `quality`, 1 to 95, is for JPEG.
    """
    buffer = io.BytesIO()
    Image.fromarray(to_bytes(pixels)[0]).save(buffer, format=kind, quality=quality)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
