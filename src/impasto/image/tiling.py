"""Pictures whose sides go on at the other end, as those of a texture or of a panorama of 360 degrees do."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from impasto.image.resize import SizeHW, resized

Wraps = tuple[bool, bool]
"""Whether a picture goes on at the other end: downwards (its rows), and to the right (its columns)."""

NO_WRAPS: Wraps = (False, False)

REACH_PX = 4  # of bicubic resampling to each side, in pixels of the coarser picture


def wraps_of(tileable: str) -> Wraps:
    """What the option says: "no", "x", "y" or "xy"."""
    return "y" in tileable, "x" in tileable


def wrapped(image: Tensor, margins_hw: SizeHW) -> Tensor:
    """`image` `(b, c, h, w)` with margins above and below, and left and right, that go on at the other end."""
    for axis, margin in zip((-2, -1), margins_hw, strict=True):
        if margin:
            places = torch.arange(-margin, image.shape[axis] + margin, device=image.device) % image.shape[axis]
            image = image.index_select(axis, places)
    return image


def resized_wrapped(
    image: Tensor, size_hw: SizeHW, *, wraps: Wraps, mode: str = "bicubic", clamp: bool = True
) -> Tensor:
    """`resized`, with pixels from the other end where the picture wraps: a rolled picture gives a rolled result."""
    if tuple(image.shape[-2:]) == tuple(size_hw) or not any(wraps):
        return resized(image, size_hw, mode=mode, clamp=clamp)
    margins, outer = [0, 0], [0, 0]
    for axis, (before, after) in enumerate(zip(image.shape[-2:], size_hw, strict=True)):
        if wraps[axis]:
            unit = before // math.gcd(before, after)  # so many pixels become a whole number of pixels
            margins[axis] = math.ceil(REACH_PX * max(1.0, before / after) / unit) * unit
            outer[axis] = margins[axis] * after // before
    whole = (size_hw[0] + 2 * outer[0], size_hw[1] + 2 * outer[1])
    found = resized(wrapped(image, (margins[0], margins[1])), whole, mode=mode, clamp=clamp)
    return found[..., outer[0] : outer[0] + size_hw[0], outer[1] : outer[1] + size_hw[1]].contiguous()


def rounded(size_hw: SizeHW, *, wraps: Wraps, multiple: int) -> SizeHW:
    """`size_hw` with the sides that wrap at the nearest multiple, at least one."""
    height, width = (
        max(1, round(side / multiple)) * multiple if wrap else side for side, wrap in zip(size_hw, wraps, strict=True)
    )
    return height, width
