"""Content losses as sums over the parts of a picture: each part's share is computed against the whole target."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

import torch
from torch import Tensor

from impasto.losses import distances
from impasto.losses.distances import NOTHING, Distance

PartDistance = Callable[[Tensor, Tensor], Tensor]
"""Maps `(output, target)` of one part to its share of the whole loss, a scalar."""

PLAIN: dict[str, Distance] = {"l2": distances.l2, "l1": distances.l1, "huber": distances.huber}


def plain_part(name: str, targets: Sequence[Tensor], *, reduction: str = "mean") -> PartDistance:
    """The parts of `PLAIN[name]` with the reduction "mean" or "sum" over a target with the parts `targets`.

    Batches of one picture, as are those of all functions here.
    """
    share = 1.0 if reduction == "sum" else 1 / sum(target.numel() for target in targets)
    return lambda output, target: share * PLAIN[name](output, target, reduction="sum")


def gatys_part() -> PartDistance:
    """The parts of `distances.gatys_content`."""
    return lambda output, target: distances.l2(output, target, reduction="sum") / 2


def relative_part(name: str, targets: Sequence[Tensor]) -> PartDistance:
    """The parts of `distances.relative(PLAIN[name])`: a sum of 1 is the distance of all-zero features."""
    plain, count = PLAIN[name], sum(target.numel() for target in targets)
    size = (_total(lambda part: part.square().sum(), targets) / count).sqrt()
    empty = bool(size < NOTHING)
    size = torch.ones_like(size) if empty else size
    nothing = partial(_from_nothing, plain=plain, size=size)
    norm = torch.ones_like(size) if empty else _total(nothing, targets) / count
    dtype = torch.float64 if targets[0].dtype == torch.float64 else torch.float32
    scale, size = (1 / (norm * count)).to(dtype), size.to(dtype)
    return lambda output, target: scale * plain(output.to(dtype) / size, target.to(dtype) / size, reduction="sum")


def _from_nothing(part: Tensor, *, plain: Distance, size: Tensor) -> Tensor:
    unit = part / size.to(part)
    return plain(torch.zeros_like(unit), unit, reduction="sum")


def _total(function: Callable[[Tensor], Tensor], parts: Iterable[Tensor]) -> Tensor:
    """The sum of `function` over parts, in float64."""
    shares = [function(part if part.dtype == torch.float64 else part.float()).double() for part in parts]
    return torch.stack(shares).sum()
