"""Sizes as plain arithmetic, and antialiased resampling. Every size is `(h, w)` in pixels."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.core.errors import OptionError
from impasto.image.strips import LARGE_PX, strips

SizeHW = tuple[int, int]


def fit(
    size_hw: SizeHW,
    *,
    long_side_px: int | None = None,
    short_side_px: int | None = None,
    megapixels: float | None = None,
    enlarge: bool = True,
) -> SizeHW:
    """The size asked for by at most one of the options; `size_hw` itself without any.

    The aspect is kept to the nearest pixel and no side falls under 1 px. One megapixel is 10⁶ pixels. `enlarge=False`
    gives `size_hw` back where the result would be larger. Two options, or one that is not above zero, raise
    `OptionError`.
    """
    _check_size(size_hw, "the size")
    options = {"long_side_px": long_side_px, "short_side_px": short_side_px, "megapixels": megapixels}
    given = {name: value for name, value in options.items() if value is not None}
    if len(given) > 1:
        raise OptionError(f"{' and '.join(given)} are given together; give one of them.")
    for name, value in given.items():
        if not (value > 0 and math.isfinite(value)):
            raise OptionError(f"{name} is {value:g}; it must be above 0.")
    scale = 1.0
    if long_side_px is not None:
        scale = long_side_px / max(size_hw)
    elif short_side_px is not None:
        scale = short_side_px / min(size_hw)
    elif megapixels is not None:
        scale = math.sqrt(megapixels * 1e6 / math.prod(size_hw))
    if scale > 1 and not enlarge:
        return size_hw
    return _scaled(size_hw, scale)


def resized(image: Tensor, size_hw: SizeHW, *, mode: str = "bicubic", clamp: bool = True) -> Tensor:
    """`(b, c, h, w)` resampled to `size_hw`, antialiased when it shrinks; the same tensor when the size is right.

    Half precision stays only in results of more pixels than `strips.LARGE_PX`.

    `mode` is "bicubic" or "bilinear". Bicubic overshoots at edges: `clamp` brings it back to `[0, 1]`; pass
    `clamp=False` for anything that is not a picture.
    """
    _check_size(size_hw, "the size")
    if tuple(image.shape[-2:]) == tuple(size_hw):
        return image
    sampled = _by_sides if image.dtype == torch.float16 else _interpolated
    result = sampled(image, size_hw, mode=mode)
    return result.clamp_(0, 1) if clamp else result


def pyramid_sizes(size_hw: SizeHW, *, smallest_px: int, factor: float) -> list[SizeHW]:
    """Sizes from coarse to fine, each about `factor` times the one before, the last exactly `size_hw`.

    `smallest_px` bounds the long side of the coarsest from below; a picture no larger than that gives one size. Long
    sides rise strictly, short sides never fall. `factor` must be above 1.
    """
    _check_size(size_hw, "the size")
    if not (factor > 1 and math.isfinite(factor)):
        raise OptionError(f"the pyramid's factor is {factor:g}; it must be above 1.")
    if smallest_px < 1:
        raise OptionError(f"the pyramid's smallest side is {smallest_px} px; it must be 1 or more.")
    sizes, scale = [size_hw], 1 / factor
    while scale * max(size_hw) >= smallest_px:
        smaller = _scaled(size_hw, scale)
        if max(smaller) < max(sizes[-1]):
            sizes.append(smaller)
        scale /= factor
    return sizes[::-1]


def _interpolated(image: Tensor, size_hw: SizeHW, *, mode: str) -> Tensor:
    if size_hw[1] > 1:
        shrinks = size_hw[0] < image.shape[-2] or size_hw[1] < image.shape[-1]
        # a bilinear filter that only enlarges is the same with and without, which takes a fifth of the time
        antialias = shrinks or mode != "bilinear"
        return F.interpolate(image, size=size_hw, mode=mode, align_corners=False, antialias=antialias)
    # torch 2.13 resamples the height of a result of one column wrongly: make it two, and take one
    column = F.interpolate(image, size=(image.shape[-2], 1), mode=mode, align_corners=False, antialias=True)
    two = column.expand(-1, -1, -1, 2).contiguous()
    return F.interpolate(two, size=(size_hw[0], 2), mode=mode, align_corners=False, antialias=True)[..., :1]


def _by_sides(image: Tensor, size_hw: SizeHW, *, mode: str) -> Tensor:
    """`_interpolated` of widths, then of heights (its filters are separable), a strip at a time in float32."""
    height, width = size_hw
    before = image.shape[-2]
    narrow = _room(image, (before, width))
    for rows in strips(before, max(width, image.shape[-1])):
        narrow[..., rows, :] = _interpolated(image[..., rows, :].float(), (rows.stop - rows.start, width), mode=mode)
    result = _room(image, size_hw)
    for columns in strips(width, max(height, before)):
        part = narrow[..., columns].float()
        result[..., columns] = _interpolated(part, (height, columns.stop - columns.start), mode=mode)
    return result


def _room(image: Tensor, size_hw: SizeHW) -> Tensor:
    """An empty tensor like the half-precision `image`, in float32 unless it is large."""
    dtype = image.dtype if size_hw[0] * size_hw[1] > LARGE_PX else torch.float32
    return torch.empty((*image.shape[:2], *size_hw), dtype=dtype, device=image.device)


def _scaled(size_hw: SizeHW, scale: float) -> SizeHW:
    height, width = size_hw
    return max(1, math.floor(height * scale + 0.5)), max(1, math.floor(width * scale + 0.5))


def _check_size(size_hw: SizeHW, name: str) -> None:
    if len(size_hw) != 2 or min(size_hw) < 1:
        raise OptionError(f"{name} is {tuple(size_hw)}; height and width of 1 px or more are needed.")
