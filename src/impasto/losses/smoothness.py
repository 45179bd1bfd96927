"""Losses on the pixels of the output."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from impasto.core.errors import ImageTooSmall, OptionError
from impasto.image.tiling import Wraps
from impasto.losses.distances import l2
from impasto.losses.precision import full_precision


@full_precision
def total_variation(image: Tensor, *, power: int = 2, wraps: Wraps = (False, False)) -> Tensor:
    """Mean of |difference|^`power` between neighbours, horizontal plus vertical; `image` is `(b, c, h, w)`.

    Each direction is a mean over its own pairs, so a constant slope gives the same value at every size, and a picture
    one pixel wide has no horizontal part. `power` is 1 or 2. `wraps`: whether the last row and the last column are
    neighbours of the first. Mahendran & Vedaldi, Understanding Deep Image
    Representations by Inverting Them, CVPR 2015, use a sum over pixels.
    """
    if power not in (1, 2):
        raise OptionError(f"total variation has power {power}; it must be 1 or 2.")
    parts = [
        image.roll(-1, axis) - image if wrap else image.diff(dim=axis)
        for axis, wrap in zip((-2, -1), wraps, strict=True)
        if image.shape[axis] > 1
    ]
    steps = [(part.square() if power == 2 else part.abs()).mean() for part in parts]
    return sum(steps, image.sum() * 0)


@full_precision
def laplacian_match(image: Tensor, content: Tensor, *, pool_px: int = 4, wraps: Wraps = (False, False)) -> Tensor:
    """Mean squared difference of the Laplacians of two pictures `(b, 3, h, w)` after average pooling by `pool_px`.

    Preserves the content's edges, but not its colours. Li et al., Laplacian-Steered Neural Style Transfer, 2017: a
    sum there, a mean here. Channels are compared one by one, so that opposite changes do not cancel. `wraps` as for
    `total_variation`.
    Raises `ImageTooSmall` below three pixels a side after pooling.
    """
    if image.shape[-2:] != content.shape[-2:]:
        raise ValueError(f"image is {_size(image)} and content {_size(content)}; one size is needed.")
    if min(image.shape[-2:]) < 3 * pool_px:
        raise ImageTooSmall(
            f"image is {_size(image)} px; the Laplacian loss needs {3 * pool_px} px a side. Use a larger `size`."
        )
    return l2(_laplacian(image, pool_px, wraps=wraps), _laplacian(content, pool_px, wraps=wraps))


def _laplacian(image: Tensor, pool_px: int, *, wraps: Wraps) -> Tensor:
    """Sum of the four neighbours less four times the pixel, without the border of sides that do not wrap."""
    small = functional.avg_pool2d(image, pool_px)
    for axis, wrap in zip((-2, -1), wraps, strict=True):
        if wrap:
            small = torch.cat([small.narrow(axis, -1, 1), small, small.narrow(axis, 0, 1)], dim=axis)
    around = small[..., :-2, 1:-1] + small[..., 2:, 1:-1] + small[..., 1:-1, :-2] + small[..., 1:-1, 2:]
    return around - 4 * small[..., 1:-1, 1:-1]


def _size(image: Tensor) -> str:
    return f"{image.shape[-1]}×{image.shape[-2]}"
