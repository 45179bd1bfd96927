"""Statistics of a whole picture from the statistics of its parts: the basis of blockwise style losses.

A join takes the statistics of `k` parts, each tensor of a statistic stacked along a new first axis, and the mass
fraction of each part, `(k,)` of sum 1. It is differentiable, so that the gradient of a loss by the statistic of
each part follows from the loss of the whole (Galerne et al. 2023, "Scaling painting style transfer", for Gram
matrices, means and standard deviations).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from impasto.losses.statistics import Statistic

Join = Callable[[Statistic, Tensor], Statistic]


def joined_means(parts: Statistic, shares: Tensor) -> Statistic:
    """Of statistics that are means over places: `gram`."""
    return tuple(_mean(part, shares) for part in parts)


def joined_covariances(parts: Statistic, shares: Tensor) -> Statistic:
    """Of `covariance`: within parts and between them (Chan et al. 1979), without the difference of large sums."""
    spreads, means = parts
    mean = _mean(means, shares)
    away = means - mean
    return _mean(spreads + away.unsqueeze(-1) * away.unsqueeze(-2), shares), mean


def joined_deviations(parts: Statistic, shares: Tensor) -> Statistic:
    """Of `mean_std`. Its `eps` is in the variance of each part, and therefore once in the variance of the whole."""
    means, deviations = parts
    mean = _mean(means, shares)
    variance = _mean(deviations.square() + (means - mean).square(), shares)
    return mean, variance.sqrt()


def _mean(parts: Tensor, shares: Tensor) -> Tensor:
    joined_sum: Tensor = torch.tensordot(shares.to(parts), parts, dims=1)
    return joined_sum
