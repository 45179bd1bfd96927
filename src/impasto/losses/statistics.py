"""Spatially invariant statistics of a layer's features, which describe style.

Each takes `feats (b, c, h, w)` and optional spatial `weights (b|1, 1, h, w)`, zero or more, and returns a `Statistic`:
a tuple of tensors whose first axis is the batch. Weights are normalised to sum 1 inside and all values are means over
pixels, so pictures of different sizes can be compared. Computed in float32 (float64 for float64 features).
"""

from __future__ import annotations

import torch
from torch import Tensor

from impasto.core.errors import ImageError
from impasto.losses.moments import centred_moment, second_moment
from impasto.losses.precision import full_precision

Statistic = tuple[Tensor, ...]

QUANTILES = 512
"""Bins of equal mass in a quantile function."""

SORTED_PIXELS = 2**18
"""Pixels that `sliced` sorts at most (a 512×512 map); sorting 64 directions of so many takes about 2 s on one core."""


def gram(feats: Tensor, weights: Tensor | None = None) -> Statistic:
    """Second raw moment E[f fᵀ] as `((b, c, c),)`.

    Gatys et al., Image Style Transfer Using Convolutional Neural Networks, CVPR 2016, eq. 3, divided by the number of
    pixels, which the paper does in the loss.
    """
    if weights is None and feats.ndim == 4:
        return (second_moment(feats),)
    return _weighted_gram(feats, weights)


@full_precision
def _weighted_gram(feats: Tensor, weights: Tensor | None) -> Statistic:
    pixels, mass = flattened(feats, weights)
    return (_second_moment(pixels, mass),)


@full_precision
def mean_std(feats: Tensor, weights: Tensor | None = None, *, eps: float = 1e-10) -> Statistic:
    """Mean and standard deviation of each channel as `((b, c), (b, c))`.

    `eps` is added to the variance, so that the gradient is finite on flat channels. Huang & Belongie, Arbitrary Style
    Transfer in Real-time with Adaptive Instance Normalization, ICCV 2017. Their 1e-5 protects a division; here it would
    hide the spread of small features.
    """
    pixels, mass = flattened(feats, weights)
    mean = _mean(pixels, mass)
    variance = _mean((pixels - mean).square(), mass)
    return mean.squeeze(-1), (variance + eps).sqrt().squeeze(-1)


def covariance(feats: Tensor, weights: Tensor | None = None) -> Statistic:
    """Covariance (divided by n, not n-1) and mean of the channels as `((b, c, c), (b, c))`."""
    if weights is None and feats.ndim == 4:
        return centred_moment(feats)
    return _weighted_covariance(feats, weights)


@full_precision
def _weighted_covariance(feats: Tensor, weights: Tensor | None) -> Statistic:
    pixels, mass = flattened(feats, weights)
    mean = _mean(pixels, mass)
    return _second_moment(pixels - mean, mass), mean.squeeze(-1)


@full_precision
def histogram(feats: Tensor, weights: Tensor | None = None, *, bins: int = QUANTILES) -> Statistic:
    """Quantile function of each channel as `((b, c, bins),)`, rising along the last axis.

    Bin k holds the mean of the channel's sorted values between the probabilities k/bins and (k+1)/bins. So every pixel
    gets a gradient, any size gives the same shape, and repeating the pixels changes nothing. This is the sorting form
    of the histogram loss of Risser et al., Stable and Controllable Neural Texture Synthesis and Style Transfer Using
    Histogram Losses, 2017; the paper remaps values through binned counts instead.
    """
    pixels, mass = flattened(feats, weights)
    return (_quantiles(pixels, mass, bins=bins),)


@full_precision
def sliced(
    feats: Tensor,
    weights: Tensor | None = None,
    *,
    projections: int | None = None,
    seed: int = 0,
    bins: int = QUANTILES,
    max_pixels: int = SORTED_PIXELS,
) -> Statistic:
    """Quantile functions of the features along random unit directions as `((b, projections, bins),)`.

    `projections` is the number of channels unless given. Directions depend on `seed` and the number of channels, so
    that both sides of a comparison use the same ones. Without weights, maps of more than `max_pixels` pixels are
    represented by a random subset of that size, the same at each call with this seed; with weights all pixels count.
    Heitz et al., A Sliced Wasserstein Loss for Neural Texture Synthesis, CVPR 2021; the paper draws new directions at
    each step: change `seed` on both sides for that.
    """
    pixels, mass = flattened(feats, weights)
    rays = directions(pixels.shape[1], projections or pixels.shape[1], seed=seed).to(pixels)  # (p, c)
    count = pixels.shape[-1]
    if mass is None and count > max_pixels:
        draw = torch.Generator().manual_seed(seed)
        pixels = pixels[..., torch.randperm(count, generator=draw)[:max_pixels].to(pixels.device)]
    return (_quantiles(rays @ pixels, mass, bins=bins),)


def directions(channels: int, count: int, *, seed: int) -> Tensor:
    """`(count, channels)` random unit vectors, evenly distributed on the sphere, the same for the same arguments."""
    draw = torch.Generator().manual_seed(seed)
    rays = torch.randn(count, channels, generator=draw)
    return torch.nn.functional.normalize(rays, dim=1)


def flattened(feats: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Pixels `(b, c, n)` and their mass `(b|1, 1, n)` of sum 1, or None for equal mass."""
    if feats.ndim != 4:
        raise ValueError(f"features have shape {tuple(feats.shape)}; (b, c, h, w) is needed.")
    pixels = feats.flatten(2)
    if weights is None:
        return pixels, None
    if weights.ndim != 4 or weights.shape[2:] != feats.shape[2:] or weights.shape[1] != 1:
        shape = f"weights have shape {tuple(weights.shape)}"
        raise ValueError(f"{shape}; features of shape {tuple(feats.shape)} need (b|1, 1, h, w).")
    mass = weights.to(pixels).flatten(2)
    total = mass.sum(-1, keepdim=True)
    if not bool((mass >= 0).all() & (total > 0).all() & total.isfinite().all()):
        size = f"{feats.shape[3]}×{feats.shape[2]}"
        raise ImageError(
            f"a mask keeps nothing of a {size} feature map, or has negative or infinite values; "
            "it needs one positive pixel there. Widen the mask or use a larger `size`."
        )
    return pixels, mass / total


def _mean(pixels: Tensor, mass: Tensor | None) -> Tensor:
    """`(b, c, n)` to `(b, c, 1)`."""
    return pixels.mean(-1, keepdim=True) if mass is None else (pixels * mass).sum(-1, keepdim=True)


def _second_moment(pixels: Tensor, mass: Tensor | None) -> Tensor:
    """`(b, c, n)` to `(b, c, c)`."""
    if mass is None:
        return pixels @ pixels.mT / pixels.shape[-1]
    scaled = pixels * mass.sqrt()
    return scaled @ scaled.mT


def _quantiles(values: Tensor, mass: Tensor | None, *, bins: int) -> Tensor:
    """`(b, c, n)` to `(b, c, bins)`: means of the sorted values over bins of equal mass.

    The integral of the quantile function is piecewise linear in the probability, so it is exact at the bins' edges.
    """
    count = values.shape[-1]
    centre = values.detach().mean(-1, keepdim=True)  # small numbers keep the running sums exact
    ranked, order = (values - centre).sort(-1)
    if mass is None:
        shares = values.new_full((count,), 1 / count)
        below = torch.arange(1, count + 1, device=values.device).to(values) / count
    else:
        shares = mass.expand_as(values).gather(-1, order)
        below = shares.cumsum(-1)
    area = (ranked * shares).cumsum(-1)
    edges = (torch.arange(1, bins, device=values.device) / bins).to(values)
    edges = edges.expand(*below.shape[:-1], -1).contiguous()
    at = torch.searchsorted(below, edges).clamp_max(count - 1)
    over = below.gather(-1, at) - edges  # mass of pixel `at` that lies beyond the edge
    at = at.expand(*values.shape[:-1], -1)
    inner = area.gather(-1, at) - over * ranked.gather(-1, at)
    steps = torch.cat([torch.zeros_like(centre), inner, area[..., -1:]], dim=-1).diff(dim=-1)
    return steps * bins + centre
