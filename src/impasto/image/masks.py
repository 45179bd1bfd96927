"""Masks, the weight of a style at each pixel: `(1, 1, h, w)` in `[0, 1]`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from skimage import filters
from torch import Tensor

from impasto.core.errors import ImageError, OptionError
from impasto.image.colour import luminance
from impasto.image.files import read
from impasto.image.resize import SizeHW
from impasto.image.tiling import NO_WRAPS, Wraps, resized_wrapped, wrapped

TRUNCATED = 4.0  # standard deviations of a Gaussian


def read_mask(path: str | Path, size_hw: SizeHW, *, wraps: Wraps = NO_WRAPS) -> Tensor:
    """A mask `(1, 1, h, w)` from a picture, resized: its alpha where that varies, else its luminance (white is 1).

    A mask that is black everywhere raises `ImageError`; an unreadable file raises as `files.read` does.
    """
    picture = read(path)
    shares = shares_of(picture.pixels, picture.alpha)
    mask = resized_wrapped(shares, size_hw, wraps=wraps, mode="bilinear")
    _check_not_empty(mask, f"the mask {path}")
    return mask


def shares_of(pixels: Tensor, alpha: Tensor | None) -> Tensor:
    """The mask `(1, 1, h, w)` in a picture: its alpha where that varies, else the luminance of `pixels`."""
    if alpha is None or bool((alpha == alpha.flatten()[0]).all()):
        return luminance(pixels)
    return alpha


def feathered(mask: Tensor, radius_px: float, *, wraps: Wraps = NO_WRAPS) -> Tensor:
    """`(b, 1, h, w)` blurred by a Gaussian of standard deviation `radius_px`; 0 changes nothing.

    Mirrored at borders that do not wrap: a constant mask stays constant. Values stay in `[0, 1]`. Without gradient.
    """
    if not radius_px >= 0:
        raise OptionError(f"the feather radius is {radius_px:g} px; it must be 0 or more.")
    if radius_px == 0:
        return mask
    sigma = (0, 0, radius_px, radius_px)
    gaussian: Any = filters.gaussian  # skimage gives it no types
    exact = mask.detach().cpu().to(torch.float32 if mask.dtype == torch.float16 else torch.float64)  # half: very large
    top, left = (math.ceil(TRUNCATED * radius_px) if wrap else 0 for wrap in wraps)
    around = wrapped(exact, (top, left)).numpy()
    blurred = torch.from_numpy(gaussian(around, sigma=sigma, mode="reflect", preserve_range=True, truncate=TRUNCATED))
    blurred = blurred[..., top : top + mask.shape[-2], left : left + mask.shape[-1]]
    return blurred.to(mask.device, mask.dtype).clamp(0, 1)


def normalised(masks: Sequence[Tensor]) -> Tensor:
    """Masks `(1, 1, h, w)` of one size as weights `(n, 1, h, w)` that sum to 1 at every pixel.

    A pixel that no mask covers is weighted equally. No mask, an all-black one or differing sizes raise `ImageError`.
    """
    if not masks:
        raise ImageError("no mask is given; one or more are needed.")
    for index, mask in enumerate(masks):
        if mask.shape != masks[0].shape or mask.shape[:2] != (1, 1):
            shapes = f"{tuple(mask.shape)} and {tuple(masks[0].shape)}"
            raise ImageError(f"mask {index + 1} and mask 1 have shapes {shapes}; (1, 1, h, w) of one size is needed.")
        _check_not_empty(mask, f"mask {index + 1}")
    stacked = torch.cat(list(masks))  # (n, 1, h, w)
    total = stacked.sum(dim=0, keepdim=True)
    bare = total < 1e-6
    return torch.where(bare, torch.full_like(stacked, 1 / len(masks)), stacked / total.masked_fill(bare, 1))


def rest_of(masks: Sequence[Tensor]) -> Tensor:
    """The area outside `masks` `(1, 1, h, w)`: 1 minus their sum, at least 0."""
    return (1 - torch.cat(list(masks)).sum(dim=0, keepdim=True)).clamp(min=0)


def pooled(mask: Tensor, size_hw: SizeHW) -> Tensor:
    """`(b, 1, h, w)` averaged over areas to the size of a feature map; weights that sum to 1 still do."""
    return F.adaptive_avg_pool2d(mask, size_hw)


def _check_not_empty(mask: Tensor, name: str) -> None:
    if not bool((mask > 0).any()):
        height, width = mask.shape[-2:]
        raise ImageError(f"{name} is black everywhere at {width}×{height} px; paint the area of the style white.")
