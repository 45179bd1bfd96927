"""Pictures inside pages are the pictures."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image

from impasto.image.inline import address
from impasto.image.pixels import to_bytes


@pytest.mark.parametrize(("kind", "start"), [("PNG", "data:image/png;base64,"), ("JPEG", "data:image/jpeg;base64,")])
def test_the_address_holds_the_picture(kind: str, start: str) -> None:
    pixels = torch.linspace(0, 1, 12)[None, None, :, None].expand(1, 3, 12, 16)
    found = address(pixels, kind, quality=95)
    assert found.startswith(start)
    held = Image.open(io.BytesIO(base64.b64decode(found.removeprefix(start))))
    assert held.format == kind
    wrong = np.abs(np.asarray(held, dtype=int) - to_bytes(pixels)[0])
    assert wrong.max() <= (0 if kind == "PNG" else 4)
