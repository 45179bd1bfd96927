"""Statistics of features as one tensor, and features given other statistics."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.encoders.padding import exported

EPS = 1e-5
"""Added to variances (Huang & Belongie 2017, code)."""

SUM_PX = 1 << 11
"""Places whose sums are taken in float32. With 16,000 of them a picture was off by 4e-4, with 2,000 by 4e-5; painted
whole with plain sums it is off by 3e-5 (1.2 megapixels, against float64)."""

PART = 8192  # with 90,000 places in one sum, covariances of four channels were off by 3e-4


def moments(feats: Tensor, *, covariances: bool = False) -> Tensor:
    """Mean and standard deviation `(b, 2, c)` of `feats` `(b, c, h, w)`, or mean and covariance `(b, 1 + c, c)`."""
    if exported():
        return _moments_by_rows(feats.float(), covariances=covariances)
    pixels = feats.float().flatten(2)  # (b, c, n)
    mean = pixels.mean(2, keepdim=True)
    centred = pixels - mean
    if covariances:
        spread = _products(centred) / pixels.shape[2]
        return torch.cat([mean.mT, spread], dim=1)
    std = (centred.square().mean(2, keepdim=True) + EPS).sqrt()
    return torch.stack([mean[..., 0], std[..., 0]], dim=1)


def _moments_by_rows(feats: Tensor, *, covariances: bool) -> Tensor:
    """`moments` in few operators: sums of rows, then of these, are short enough for float32 and parallel on GPUs."""
    mean = feats.mean(3, keepdim=True).mean(2, keepdim=True)
    centred = feats - mean
    if covariances:
        rows = centred.transpose(1, 2)  # (b, h, c, w)
        products = rows @ rows.transpose(2, 3)
        return torch.cat([mean[..., 0].transpose(1, 2), products.mean(1) / feats.shape[3]], dim=1)
    std = (centred.square().mean(3).mean(2) + EPS).sqrt()
    return torch.stack([mean[..., 0, 0], std], dim=1)


def _products(centred: Tensor) -> Tensor:
    """Sums of products of channels `(b, c, c)` of `(b, c, n)`: of parts, since long sums in float32 lose digits."""
    with torch.autocast(centred.device.type, enabled=False):  # in bfloat16 they are off by 0.2 %
        b, c, n = centred.shape
        whole = n // PART * PART
        parts = centred[:, :, :whole].reshape(b, c, whole // PART, PART).transpose(1, 2)
        rest = centred[:, :, whole:]
        products: Tensor = (parts @ parts.mT).sum(1) + rest @ rest.mT
        return products


@dataclass(frozen=True)
class RunningMoments:
    """Moments of a part of a picture, which join to the moments of the whole, in float64.

    `count` places; their `mean` `(b, c)`; `spread`, the sums of squared deviations from it `(b, c)`, or of products of
    deviations `(b, c, c)`. Tallies of parts are joined as Chan et al. 1979 do, without the difference of large sums.
    """

    count: int
    mean: Tensor
    spread: Tensor

    @classmethod
    def of(cls, feats: Tensor, *, covariances: bool = False) -> RunningMoments:
        """The moments of `feats` `(b, c, h, w)`."""
        pixels = feats.float().flatten(2)
        mean = pixels.mean(2, keepdim=True)
        centred = pixels - mean
        spread = _products(centred) if covariances else centred.square().sum(2)
        return cls(pixels.shape[2], mean[..., 0].double(), spread.double())

    def joined(self, other: RunningMoments) -> RunningMoments:
        """The moments of both parts."""
        count = self.count + other.count
        away = other.mean - self.mean
        product = away[:, :, None] * away[:, None] if self.spread.ndim == 3 else away.square()
        spread = self.spread + other.spread + product * (self.count * other.count / count)
        return RunningMoments(count, self.mean + away * (other.count / count), spread)

    def value(self) -> Tensor:
        """What `moments` gives for all parts at once, in float32."""
        spread = self.spread / self.count
        if spread.ndim == 3:
            return torch.cat([self.mean[:, None], spread], dim=1).float()
        return torch.stack([self.mean, (spread + EPS).sqrt()], dim=1).float()


@torch.no_grad()
def place_moments(feats: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance `(c,)` of `feats` `(1, c, h, w)` over its places, in float64.

    Sums in float32 are those of at most about `SUM_PX` places. On a processor channels-last features are passed over
    once, by torch's own statistics of batch norms: 20 to 100 times as fast as `var_mean`.
    """
    places = feats.permute(0, 2, 3, 1).reshape(-1, feats.shape[1])  # (n, c): no copy of channels-last features
    count, channels = places.shape
    groups = max(1, count // SUM_PX)
    size = count // groups
    first = places[: groups * size].reshape(size, groups * channels)  # each group: every so-many-th place
    if feats.device.type != "cpu":
        variances, means = torch.var_mean(first.float(), dim=0, correction=0)
    else:  # without float32 buffers the statistics would have the type of the features
        none = torch.zeros(groups * channels)
        means, variances = torch.batch_norm_update_stats(first[None].mT[:, :, None], none, none.clone(), 0.0)
    means, variances = (value.view(groups, channels).double() for value in (means, variances))
    mean = means.mean(0)
    spread = size * (variances + (means - mean).square()).sum(0)
    if rest := count - groups * size:
        last = places[-rest:].double()
        whole = mean + (last.mean(0) - mean) * (rest / count)
        spread += groups * size * (mean - whole).square() + (last - whole).square().sum(0)
        mean = whole
    return mean, spread / count


def given_moments(feats: Tensor, stats: Tensor, *, target: Tensor) -> Tensor:
    """AdaIN: `feats` with means and deviations of `target` in place of `stats` (Huang & Belongie 2017, eq. 8)."""
    scale = target[:, 1] / stats[:, 1]
    shift = target[:, 0] - stats[:, 0] * scale
    return feats * scale[:, :, None, None].to(feats.dtype) + shift[:, :, None, None].to(feats.dtype)


def given_covariance(feats: Tensor, stats: Tensor, *, target: Tensor) -> Tensor:
    """Whitened by `stats`, coloured by `target`, both `(b, 1 + c, c)` (Li et al., Universal Style Transfer, 2017)."""
    with torch.autocast(feats.device.type, enabled=False):
        map_ = power(target[:, 1:], 0.5).float() @ power(stats[:, 1:], -0.5).float()  # (b, c, c)
        pixels = feats.float().flatten(2) - stats[:, 0, :, None]
        mapped = map_ @ pixels + target[:, 0, :, None]
    return mapped.view(feats.shape).to(feats.dtype)


def power(spread: Tensor, exponent: float, *, floor: float = 1e-5) -> Tensor:
    """A power of symmetric matrices `(b, c, c)`, in float64.

    Directions that vary by less than the part `floor` of the one that varies most are left out.
    """
    values, vectors = torch.linalg.eigh(spread.double())
    least = floor * values[:, -1:].clamp(min=EPS)
    powered = torch.where(values > least, values.clamp(min=least) ** exponent, 0)
    powers: Tensor = (vectors * powered[:, None]) @ vectors.mT
    return powers
