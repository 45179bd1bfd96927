"""Distances between Gaussians fitted to the features by mean and covariance.

A statistic here is `(covariance (b, c, c), mean (b, c))`, as `statistics.covariance` gives it.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from impasto.losses.distances import NOTHING
from impasto.losses.precision import full_precision
from impasto.losses.statistics import Statistic

RIDGE = 1e-4
"""Added to both covariances, as a fraction of the target's mean variance: keeps square roots smooth at low rank."""

SPAN = 0.5
"""A direction belongs to the target's span where its variance is above this many ridges: rounding stays below that."""

FLOOR = 1e-3
"""Smallest size of a part, as a fraction of the target's energy: a mean near zero must not dominate the loss."""


@full_precision
def prepared(target: Statistic) -> Statistic:
    """The target in the form that `bures` needs: `(covariance (b, c, c), mean (b, c), factor (b, c, r), ridge (b,))`.

    The covariance has the ridge. The factor times its transpose is that covariance within the target's span: the
    directions in which it varies by more than `SPAN` ridges. There are fewer of them than channels where the style
    picture has fewer pixels than channels in this layer, and r is the largest number in the batch; columns of zeros
    fill up the others. Expensive (an eigendecomposition in float64): compute once per target.
    """
    spread, mean = target[:2]
    ridge = (RIDGE * _variances(spread).mean(-1)).clamp_min(NOTHING)
    blurred = spread + torch.diag_embed(ridge.unsqueeze(-1).expand(-1, spread.shape[-1]))
    values, vectors = eigh(_wide(blurred))
    spanned = values > (1 + SPAN) * ridge.to(values).unsqueeze(-1)
    rank = max(1, int(spanned.sum(-1).max()))
    factor = (vectors * torch.where(spanned, values, 0).sqrt().unsqueeze(-2))[..., -rank:]  # eigenvalues rise
    return blurred, mean, factor.to(spread), ridge


@full_precision
def bures(output: Statistic, target: Statistic) -> Tensor:
    """Squared Wasserstein-2 distance of two Gaussians, the mean over the batch; zero or more.

    |m1-m2|² + tr(S1 + S2 - 2 (S2^½ S1 S2^½)^½): Olkin & Pukelsheim, The distance between two random vectors with given
    dispersion matrices, 1982. `target` may be plain or `prepared`. Departs from the formula by the ridge on both sides,
    within the target's span; outside of it the target counts as having no variance.
    """
    return _bures(output, target if len(target) == 4 else prepared(target)).mean()


@full_precision
def relative_bures(output: Statistic, target: Statistic) -> Tensor:
    """`bures` divided by the target's energy |m|² + tr(S), which is its distance from zero."""
    ready = target if len(target) == 4 else prepared(target)
    return (_bures(output, ready) / _size(_energy(ready))).mean()


@full_precision
def relative_moments(output: Statistic, target: Statistic) -> Tensor:
    """Mean of two parts: squared difference of the covariances and of the means, each divided by the target's own.

    A part counts as at least `FLOOR` of the target's energy, so flat and centred targets give finite losses.
    """
    energy = _energy(target).detach()
    spread_size = _at_least(target[0].square().sum((-2, -1)), (FLOOR * energy).square())
    shift_size = _at_least(target[1].square().sum(-1), FLOOR * energy)
    spread = (output[0] - target[0]).square().sum((-2, -1)) / spread_size
    shift = (output[1] - target[1]).square().sum(-1) / shift_size
    return (spread + shift).mean() / 2


def _bures(output: Statistic, target: Statistic) -> Tensor:
    """`(b,)`; `target` is prepared."""
    _, mean, factor, ridge = target
    shift = (output[1] - mean).square().sum(-1)
    stretch = factor.square().sum(-2)  # (b, r): the target's variances along its span, with the ridge
    constant = stretch.sum(-1) + ridge * (stretch > 0).sum(-1)
    return (shift + constant + _unshared(output[0], factor, ridges=stretch * ridge.unsqueeze(-1))).clamp_min(0)


class Unshared(torch.autograd.Function):
    """tr(S) - 2 tr((Fᵀ S F + D)^½) of a covariance S `(b, c, c)`, a factor F `(b, c, r)` and D's diagonal `(b, r)`.

    The gradient by S is 1 - F (Fᵀ S F + D)^-½ Fᵀ; there is none by the others, and no second one. F is to have
    orthogonal columns that rise in length: rounding then is small against the entries of each row and column, and
    only the root needs float64.
    """

    @staticmethod
    def forward(ctx: Any, spread: Tensor, factor: Tensor, ridges: Tensor) -> Tensor:
        """`(b,)`."""
        within = _wide(factor.mT @ (spread @ factor)) + torch.diag_embed(_wide(ridges))
        values, vectors = eigh(within)
        roots = values.clamp_min(0).sqrt()
        ctx.save_for_backward(factor, roots, vectors)
        return _variances(spread).sum(-1) - 2 * roots.sum(-1).to(spread)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        """The gradient by the covariance; no eigenvalue, no gradient."""
        factor, roots, vectors = ctx.saved_tensors
        least = math.sqrt(torch.finfo(roots.dtype).tiny)
        slopes = torch.where(roots > least, roots, torch.inf).rsqrt()
        with torch.autocast(factor.device.type, enabled=False):
            halves = factor @ (vectors * slopes.unsqueeze(-2)).to(factor)  # (b, c, r)
            gradient = torch.eye(halves.shape[-2], device=halves.device, dtype=halves.dtype)
            gradient = torch.baddbmm(gradient, halves, halves.mT, alpha=-1)
        return gradient * grads[0][:, None, None], None, None


def _unshared(spread: Tensor, factor: Tensor, *, ridges: Tensor) -> Tensor:
    """NaN where S is not finite, since the eigendecomposition would raise."""
    if not bool(spread.isfinite().all()):
        return spread.sum((-2, -1)) * torch.nan
    batch = max(len(spread), len(factor))
    parts = (part.to(spread).expand(batch, *part.shape[1:]) for part in (spread, factor, ridges))
    energy: Tensor = Unshared.apply(*parts)  # type: ignore[no-untyped-call]
    return energy


def eigh(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Rising eigenvalues `(b, c)` and eigenvectors `(b, c, c)` of a symmetric matrix, found by one thread.

    LAPACK gains nothing from a second thread at these sizes. For 256 channels in float64 torch took 6.3 ms of processor
    time with one thread and 9.5 with two on a busy machine; NumPy's, whose threads spin on and keep torch's from
    working, took 25 ms on average.
    """
    if matrix.device.type != "cpu":
        values, vectors = torch.linalg.eigh(matrix)
        return values, vectors
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        values, vectors = torch.linalg.eigh(matrix)
    finally:
        torch.set_num_threads(threads)
    return values, vectors


def _wide(matrix: Tensor) -> Tensor:
    """In float64: the root turns a rounding error e of the largest eigenvalue into √e, for each small one.

    Where the device has no float64 the work is done on the CPU.
    """
    return (matrix.cpu() if matrix.device.type == "mps" else matrix).double()


def _variances(spread: Tensor) -> Tensor:
    return spread.diagonal(dim1=-2, dim2=-1)


def _energy(statistic: Statistic) -> Tensor:
    """|m|² + tr(S), `(b,)`: the mean squared norm of a pixel's features."""
    return statistic[1].square().sum(-1) + _variances(statistic[0]).sum(-1)


def _size(energy: Tensor) -> Tensor:
    """1 where the energy is zero."""
    known = energy.detach()
    return torch.where(known < NOTHING, 1, known)


def _at_least(own: Tensor, floor: Tensor) -> Tensor:
    return _size(torch.maximum(own.detach(), floor))
