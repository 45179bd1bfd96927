"""The colours of a style, given to a content before a network sees it."""

from __future__ import annotations

import torch
from torch import Tensor

from impasto.image.colour import tint_of_grey, tinted
from impasto.nets.moments import moments, power

COLOURS = "rgb"
"""The entry of a code that holds mean and covariance of the style's colours, `(b, 4, 3)`."""

HUES = "hues"
"""The optional entry of a code that holds the style's prevailing chroma by rank of luminance, `(b, 2, 32)`, as
`image.colour.palette_by_luminance` gives it; of use for grey contents only."""

SAMPLE_PX = 256  # side of the sample of a content that decides how much it is tinted

FLOOR = 1e-3  # added to variances: the noise of a flat picture is not stretched to the colours of a rich one


def colour_map(stats: Tensor, target: Tensor) -> Tensor:
    """The affine map `(b, 3, 4)` that moves colours of `stats` `(b, 4, 3)` to those of `target`, the shortest way.

    Between Gaussians this is optimal transport, whose linear part is symmetric and positive: light stays lighter than
    dark (Pitié & Kokaram, The linear Monge-Kantorovitch linear colour mapping, 2007). In float32.
    """
    eye = FLOOR * torch.eye(3, dtype=torch.float64, device=stats.device)
    linear = transport(*(value.double()[:, 1:] + eye for value in (stats, target)))
    shift = target[:, 0].double() - (linear @ stats[:, 0, :, None].double())[..., 0]
    return torch.cat([linear, shift[..., None]], dim=2).float()


def transport(here: Tensor, there: Tensor) -> Tensor:
    """The linear map `(b, 3, 3)` between Gaussians of these covariances, symmetric and positive, in float64."""
    root, back = power(here, 0.5, floor=0), power(here, -0.5, floor=0)
    return back @ power(root @ there @ root, 0.5, floor=0) @ back


def recoloured(image: Tensor, linear: Tensor, *, amount: float = 1) -> Tensor:
    """`image` `(b, 3, h, w)` through `(b, 3, 4)`, in `[0, 1]`; `amount` 0 leaves it as it is."""
    with torch.autocast(image.device.type, enabled=False):
        moved = torch.einsum("bij,bjhw->bihw", linear[..., :3], image.float()) + linear[..., 3, None, None]
        moved = moved if amount == 1 else torch.lerp(image.float(), moved, amount)
        return moved.clamp(0, 1).to(image.dtype)


def tinted_grey(image: Tensor, hues: Tensor) -> Tensor:
    """`image` `(1, 3, h, w)`, a whole picture, with the chroma of `hues` by its luminance as far as it is grey.

    A linear map of colours gives a grey picture one hue only. A coloured picture comes back as it is.
    """
    step = max(1, min(image.shape[-2:]) // SAMPLE_PX)
    return tinted(image, tint_of_grey(image[..., ::step, ::step].float(), hues))


def in_colours(image: Tensor, target: Tensor) -> Tensor:
    """`image` `(b, 3, h, w)`, a whole picture, in the colours of `target` `(b, 4, 3)`."""
    return recoloured(image, colour_map(moments(image, covariances=True), target))
