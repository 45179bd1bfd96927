"""Distances between features or statistics: `(output, target) -> scalar`, 0 when equal.

The first axis is the batch; a target of batch 1 is broadcast. Means are over all elements, so that the scale depends on
neither size nor batch.
"""

from __future__ import annotations

from typing import Any, Literal, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from impasto.losses.precision import full_precision
from impasto.losses.statistics import Statistic

Reduction = Literal["mean", "sum", "each"]
"""Mean or sum over all numbers; `each` gives the mean of each batch item, `(b,)`."""

NOTHING = 1e-12
"""Targets with a smaller root mean square are compared absolutely, not relatively."""


class Distance(Protocol):
    """A distance between two tensors `(b, …)`."""

    def __call__(self, output: Tensor, target: Tensor, *, reduction: Reduction = "mean") -> Tensor:
        """A scalar, or `(b,)` for `each`."""


class StatisticDistance(Protocol):
    """A distance between two statistics: a scalar, the mean over the batch."""

    def __call__(self, output: Statistic, target: Statistic) -> Tensor:
        """Zero when equal, about 1 at the distance of all-zero features."""


@full_precision
def l2(output: Tensor, target: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    """Squared difference."""
    return reduced((output - target).square(), reduction)


@full_precision
def l1(output: Tensor, target: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    """Absolute difference."""
    return reduced((output - target).abs(), reduction)


@full_precision
def huber(output: Tensor, target: Tensor, *, reduction: Reduction = "mean", delta: float = 1.0) -> Tensor:
    """Half the squared difference below `delta`, and `delta` times the difference less `delta`/2 above it."""
    size = (output - target).abs()
    return reduced(torch.where(size < delta, size.square() / 2, delta * (size - delta / 2)), reduction)


@full_precision
def coral(output: Tensor, target: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    """Squared Frobenius distance of covariances `(b, c, c)`, divided by 4 c².

    Sun & Saenko, Deep CORAL: Correlation Alignment for Deep Domain Adaptation, 2016, eq. 1.
    """
    return l2(output, target, reduction=reduction) / 4


@full_precision
def gatys_content(output: Tensor, target: Tensor) -> Tensor:
    """½ Σ (F - P)² over features `(b, c, h, w)`, the mean over the batch (Gatys et al. 2016, eq. 1)."""
    return (output - target).square().flatten(1).sum(1).mean() / 2


@full_precision
def gatys_style(output: Tensor, target: Tensor) -> Tensor:
    """1/(4 N² M²) Σ (G - A)² of one layer, the mean over the batch (eq. 4 there), of `gram` matrices.

    They are `(b, c, c)`. N is the number of channels and M of pixels. The paper's G and A are sums over pixels; those
    here are means, that is G/M and A/M, so M² cancels. The result is the paper's where both pictures have one size, and
    its natural extension where they do not.
    """
    return (output - target).square().sum((-2, -1)).mean() / (4 * output.shape[-1] ** 2)


def relative(distance: Distance) -> Distance:
    """`distance` divided by the distance of zeros from the target, for each batch item.

    So 0 is equal and 1 is the distance of all-zero features, for any scale of the layer. Both sides are first divided
    by the target's root mean square, which makes the threshold of `huber` relative too. For l2 this is mean((f-t)²) /
    mean(t²), for l1 mean|f-t| / mean|t|. For a target of zeros the distance is absolute. The normalisation has no
    gradient.
    """

    @full_precision
    def scaled(output: Tensor, target: Tensor, *, reduction: Reduction = "mean") -> Tensor:
        size = target.detach().flatten(1).square().mean(1).sqrt()  # (b,)
        empty = size < NOTHING
        size = torch.where(empty, 1, size).view(-1, *[1] * (target.ndim - 1))
        unit = target / size
        norm = distance(torch.zeros_like(unit), unit.detach(), reduction="each")
        ratio = distance(output / size, unit, reduction="each") / torch.where(empty, 1, norm)
        return reduced(ratio, reduction)

    return scaled


def relative_l2(output: Tensor, target: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    """`relative(l2)`, |f-t|² / |t|², ten times as fast; the target gets no gradient."""
    wide = target.detach() if target.dtype == torch.float64 else target.detach().float()
    size = _mean_square(wide)
    ratio = MeanSquare.apply(output, wide) / torch.where(size < NOTHING**2, 1, size)  # type: ignore[no-untyped-call]
    return reduced(ratio, reduction)


class MeanSquare(torch.autograd.Function):
    """Mean squared difference `(b,)` of features in any precision and a target in float32; no gradient by the target.

    Keeps one float32 tensor for the gradient, which has the features' type.
    """

    @staticmethod
    def forward(ctx: Any, output: Tensor, target: Tensor) -> Tensor:
        """Accumulated in the target's type."""
        difference = output.to(target.dtype) - target
        ctx.save_for_backward(difference)
        ctx.own = output.dtype
        return _mean_square(difference)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        """The gradient by the features."""
        (difference,) = ctx.saved_tensors
        share = 2 * grads[0] * len(difference) / difference.numel()
        return (difference * share.view(-1, *[1] * (difference.ndim - 1))).to(ctx.own), None


def _mean_square(values: Tensor) -> Tensor:
    """`(b, …)` to `(b,)`; no reshaping, which would copy channels-last features."""
    return values.square().mean(tuple(range(1, values.ndim)))


def joined(distance: Distance) -> StatisticDistance:
    """`distance` over all parts of a statistic as one vector; for parts that have the same unit."""

    def over_all(output: Statistic, target: Statistic) -> Tensor:
        return distance(_row(output), _row(target))

    return over_all


def of_first(distance: Distance) -> StatisticDistance:
    """`distance` over the first part of a statistic; the others are ignored."""

    def over_first(output: Statistic, target: Statistic) -> Tensor:
        return distance(output[0], target[0])

    return over_first


def reduced(values: Tensor, reduction: Reduction) -> Tensor:
    """`(b, …)` to a scalar, or to `(b,)` for `each`."""
    if reduction == "each":
        return values.reshape(values.shape[0], -1).mean(1)
    if reduction not in ("mean", "sum"):
        raise ValueError(f"reduction is {reduction!r}; 'mean', 'sum' or 'each' is needed.")
    return values.mean() if reduction == "mean" else values.sum()


def _row(statistic: Statistic) -> Tensor:
    """All parts as `(b, n)`."""
    return torch.cat([part.flatten(1) for part in statistic], dim=1)
