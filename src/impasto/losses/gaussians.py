"""Distances between the Gaussians that have the features' mean and covariance.

A statistic here is `(covariance (b, c, c), mean (b, c))`, as `statistics.covariance` gives it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from impasto.losses.distances import NOTHING
from impasto.losses.precision import full_precision
from impasto.losses.statistics import Statistic

RIDGE = 1e-4
"""Added to both covariances, as a share of the target's mean variance: keeps square roots smooth where rank is low."""

FLOOR = 1e-3
"""Smallest size of a part, as a share of the target's energy: a mean near zero must not outweigh all else."""


@full_precision
def prepared(target: Statistic) -> Statistic:
    """The target as `bures` wants it: `(covariance, mean, root (b, c, c), ridge (b,))`, both matrices with the ridge.

    Dear (an eigendecomposition in float64, about 0.05 s for 512 channels on one core): do it once for a target.
    """
    spread, mean = target[:2]
    ridge = (RIDGE * _variances(spread).mean(-1)).clamp_min(NOTHING)
    blurred = _with_ridge(spread, ridge)
    values, vectors = torch.linalg.eigh(_wide(blurred))
    root = (vectors * values.clamp_min(0).sqrt().unsqueeze(-2)) @ vectors.mT
    return blurred, mean, root.to(device=spread.device, dtype=spread.dtype), ridge


@full_precision
def bures(found: Statistic, target: Statistic) -> Tensor:
    """Squared Wasserstein-2 distance of two Gaussians, the mean over the batch; zero or more.

    |m1-m2|² + tr(S1 + S2 - 2 (S2^½ S1 S2^½)^½): Olkin & Pukelsheim, The distance between two random vectors with given
    dispersion matrices, 1982. `target` may be plain or `prepared`. Departs from the formula by the ridge on both sides.
    """
    return _bures(found, target if len(target) == 4 else prepared(target)).mean()


@full_precision
def relative_bures(found: Statistic, target: Statistic) -> Tensor:
    """`bures` divided by the target's energy |m|² + tr(S), which is its distance from nothing."""
    ready = target if len(target) == 4 else prepared(target)
    return (_bures(found, ready) / _size(_energy(ready))).mean()


@full_precision
def relative_moments(found: Statistic, target: Statistic) -> Tensor:
    """Mean of two parts: squared difference of the covariances and of the means, each divided by the target's own.

    A part counts as at least `FLOOR` of the target's energy, so flat and centred targets give finite losses.
    """
    energy = _energy(target).detach()
    spread_size = _at_least(target[0].square().sum((-2, -1)), (FLOOR * energy).square())
    shift_size = _at_least(target[1].square().sum(-1), FLOOR * energy)
    spread = (found[0] - target[0]).square().sum((-2, -1)) / spread_size
    shift = (found[1] - target[1]).square().sum(-1) / shift_size
    return (spread + shift).mean() / 2


def _bures(found: Statistic, target: Statistic) -> Tensor:
    """`(b,)`; `target` is prepared."""
    spread, mean, root, ridge = target
    blurred = _with_ridge(found[0], ridge)
    shift = (found[1] - mean).square().sum(-1)
    traces = (_variances(blurred) + _variances(spread)).sum(-1)
    overlap = _trace_of_root(_wide(root) @ _wide(blurred) @ _wide(root))
    return (shift + traces - 2 * overlap.to(traces)).clamp_min(0)


class TraceOfRoot(torch.autograd.Function):
    """tr(M^½) of symmetric `(b, c, c)` float64, with the gradient ½ M^-½.

    On the CPU the eigenvectors come from NumPy's LAPACK: at 256 channels that took 4.5 ms where torch's took 19.
    """

    @staticmethod
    def forward(ctx: Any, matrix: Tensor) -> Tensor:
        """`(b,)`."""
        if matrix.device.type == "cpu":
            values, vectors = (torch.from_numpy(part) for part in np.linalg.eigh(matrix.detach().numpy()))
        else:
            values, vectors = torch.linalg.eigh(matrix)
        roots = values.clamp_min(torch.finfo(values.dtype).tiny).sqrt()
        ctx.save_for_backward(roots, vectors)
        return roots.sum(-1)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        """The gradient by the matrix; no eigenvalue, no gradient."""
        roots, vectors = ctx.saved_tensors
        least = math.sqrt(torch.finfo(roots.dtype).tiny)
        slopes = torch.where(roots > least, 0.5 / roots, 0) * grads[0][:, None]
        found: Tensor = (vectors * slopes[:, None]) @ vectors.mT
        return found


def _trace_of_root(matrix: Tensor) -> Tensor:
    """tr(M^½) of symmetric `(b, c, c)`; NaN where M is not finite, as the eigenvalues would raise."""
    if not bool(matrix.isfinite().all()):
        return matrix.sum((-2, -1)) * torch.nan
    found: Tensor = TraceOfRoot.apply((matrix + matrix.mT) / 2)  # type: ignore[no-untyped-call]
    return found


def _wide(matrix: Tensor) -> Tensor:
    """In float64: the root turns a rounding error e of the largest eigenvalue into √e, for each small one.

    Where the device has no float64 the work is done on the CPU.
    """
    return (matrix.cpu() if matrix.device.type == "mps" else matrix).double()


def _with_ridge(spread: Tensor, ridge: Tensor) -> Tensor:
    return spread + torch.diag_embed(ridge.unsqueeze(-1).expand(-1, spread.shape[-1]))


def _variances(spread: Tensor) -> Tensor:
    return spread.diagonal(dim1=-2, dim2=-1)


def _energy(statistic: Statistic) -> Tensor:
    """|m|² + tr(S), `(b,)`: the mean squared norm of a pixel's features."""
    return statistic[1].square().sum(-1) + _variances(statistic[0]).sum(-1)


def _size(energy: Tensor) -> Tensor:
    """1 where there is nothing to be relative to."""
    known = energy.detach()
    return torch.where(known < NOTHING, 1, known)


def _at_least(own: Tensor, floor: Tensor) -> Tensor:
    return _size(torch.maximum(own.detach(), floor))
