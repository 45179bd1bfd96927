"""Pictures that continue at the opposite edge: textures that repeat, and panoramas of 360 degrees."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.core.errors import OptionError
from impasto.image.resize import SizeHW, resized

Wraps = tuple[bool, bool]
"""Whether the bottom of a picture continues at its top, and its right edge at the left one."""

NO_WRAPS: Wraps = (False, False)

MULTIPLE_PX = 32
"""Sides that wrap are multiples of this, the coarsest grid of the encoders and networks: else a grid cell would lie
across the seam."""

REACH_PX = 4  # of bicubic resampling to each side, in pixels of the coarser picture


def wraps_of(tileable: str) -> Wraps:
    """The meaning of the option `tileable`: "no", "x", "y" or "xy"."""
    return "y" in tileable, "x" in tileable


def wrapped(image: Tensor, margins_hw: SizeHW) -> Tensor:
    """`image` `(b, c, h, w)` with margins above and below, and left and right, taken from the opposite edges."""
    for axis, margin in zip((-2, -1), margins_hw, strict=True):
        if margin:
            length = image.shape[axis]
            rounds, rest = divmod(margin, length)
            before, after = image.narrow(axis, length - rest, rest), image.narrow(axis, 0, rest)
            image = torch.cat([before, *[image] * (2 * rounds + 1), after], dim=axis)
    return image


def resized_wrapped(
    image: Tensor, size_hw: SizeHW, *, wraps: Wraps, mode: str = "bicubic", clamp: bool = True
) -> Tensor:
    """`resized`, with pixels from the opposite edge on sides that wrap: a rolled picture gives a rolled result."""
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


def bilinear(feats: Tensor, size_hw: SizeHW, *, wraps: Wraps) -> Tensor:
    """Bilinear upsampling of `feats` `(b, c, h, w)`; sides that wrap grow by a whole number."""
    top, left = (
        after // before if wrap else 0 for before, after, wrap in zip(feats.shape[-2:], size_hw, wraps, strict=True)
    )
    if not (top or left):
        return F.interpolate(feats, size_hw, mode="bilinear", align_corners=False)
    around = wrapped(feats, (min(top, 1), min(left, 1)))
    whole = (size_hw[0] + 2 * top, size_hw[1] + 2 * left)
    enlarged = F.interpolate(around, whole, mode="bilinear", align_corners=False)
    return enlarged[..., top : top + size_hw[0], left : left + size_hw[1]]


def rounded(size_hw: SizeHW, *, wraps: Wraps, multiple: int = MULTIPLE_PX) -> SizeHW:
    """`size_hw` with the sides that wrap at the nearest multiple, at least one."""
    height, width = (
        max(1, round(side / multiple)) * multiple if wrap else side for side, wrap in zip(size_hw, wraps, strict=True)
    )
    return height, width


def check_multiples(size_hw: SizeHW, wraps: Wraps) -> None:
    """Raise `OptionError` where a side that wraps is not a multiple of `MULTIPLE_PX`."""
    if size_hw == (fits := rounded(size_hw, wraps=wraps)):
        return
    sides = " and ".join(name for name, wrap in zip(("height", "width"), wraps, strict=True) if wrap)
    raise OptionError(
        f"the picture is {size_hw[1]}×{size_hw[0]} px; `tileable` needs a {sides} in multiples of {MULTIPLE_PX} px. "
        f"Use {fits[1]}×{fits[0]} px."
    )
