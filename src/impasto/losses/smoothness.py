"""Losses on the pixels of the output itself."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from impasto.core.errors import ImageTooSmall, OptionError
from impasto.losses.distances import l2
from impasto.losses.precision import full_precision


@full_precision
def total_variation(image: Tensor, *, power: int = 2) -> Tensor:
    """Mean of |difference|^`power` between neighbours, horizontal plus vertical; `image` is `(b, c, h, w)`.

    Each direction is a mean over its own pairs, so a constant slope gives the same number at every size, and a picture
    one pixel wide has no horizontal part. `power` is 1 or 2. Mahendran & Vedaldi, Understanding Deep Image
    Representations by Inverting Them, CVPR 2015, use a sum over pixels.
    """
    if power not in (1, 2):
        raise OptionError(f"total variation has power {power}; it must be 1 or 2.")
    parts = [image.diff(dim=axis) for axis in (-2, -1) if image.shape[axis] > 1]
    steps = [(part.square() if power == 2 else part.abs()).mean() for part in parts]
    return sum(steps, image.sum() * 0)


@full_precision
def laplacian_match(image: Tensor, content: Tensor, *, pool_px: int = 4) -> Tensor:
    """Mean squared difference of the Laplacians of two pictures `(b, 3, h, w)` after average pooling by `pool_px`.

    Keeps the content's lines without holding its colours. Li et al., Laplacian-Steered Neural Style Transfer, 2017: a
    sum there, a mean here. Channels are compared one by one, so that opposite changes do not cancel.
    Raises `ImageTooSmall` below three pixels a side after pooling.
    """
    if image.shape[-2:] != content.shape[-2:]:
        raise ValueError(f"image is {_size(image)} and content {_size(content)}; one size is needed.")
    if min(image.shape[-2:]) < 3 * pool_px:
        raise ImageTooSmall(
            f"image is {_size(image)} px; the Laplacian loss needs {3 * pool_px} px a side. Use a larger `size`."
        )
    return l2(_laplacian(image, pool_px), _laplacian(content, pool_px))


def _laplacian(image: Tensor, pool_px: int) -> Tensor:
    """Sum of the four neighbours less four times the pixel, without the border."""
    small = functional.avg_pool2d(image, pool_px)
    around = small[..., :-2, 1:-1] + small[..., 2:, 1:-1] + small[..., 1:-1, :-2] + small[..., 1:-1, 2:]
    return around - 4 * small[..., 1:-1, 1:-1]


def _size(image: Tensor) -> str:
    return f"{image.shape[-1]}×{image.shape[-2]}"
