"""Distributions of features as quantiles, and features given another distribution.

Zhang et al. 2022, "Exact Feature Distribution Matching for Arbitrary Style Transfer and Domain Generalization", sort
the features of content and style, and replace each value by the one of its rank. That needs as many places of both;
the quantiles of a style have one size for every picture, are small enough for a file, and mix linearly.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

LEVELS = 128
"""Quantiles of a channel, evenly spaced from its smallest to its largest value."""

MOST_PLACES = 1 << 14
"""Of larger feature maps every second, fourth … place is sorted: 16,384 are those of 1024×1024 px at `relu4_1`."""


def quantiles(feats: Tensor) -> Tensor:
    """The quantiles `(b, 128, c)` of each channel of `feats` `(b, c, h, w)`."""
    return RunningQuantiles.of(feats).value()


@dataclass(frozen=True)
class RunningQuantiles:
    """What a part of a picture, whole rows from the top, adds to the quantiles of the whole.

    `kept` `(b, c, n)` are the values at every `step`-th of `seen` places.
    """

    kept: Tensor
    seen: int
    step: int = 1

    @classmethod
    def of(cls, feats: Tensor) -> RunningQuantiles:
        """All values of `feats` `(b, c, h, w)`."""
        values = feats.float().flatten(2)
        return cls(values, values.shape[2])

    def joined(self, other: RunningQuantiles) -> RunningQuantiles:
        """The values of both parts; `other` is the part below, of which every place is kept."""
        more = other.kept[..., -self.seen % self.step :: self.step]
        return RunningQuantiles(torch.cat([self.kept, more], dim=2), self.seen + other.seen, self.step)._thinned()

    def value(self) -> Tensor:
        """The quantiles `(b, 128, c)`."""
        ordered = self._thinned().kept.sort(dim=2).values
        at = torch.linspace(0, ordered.shape[2] - 1, LEVELS, device=ordered.device)
        low = at.floor().long()
        high = (low + 1).clamp(max=ordered.shape[2] - 1)
        return torch.lerp(ordered[..., low], ordered[..., high], at - low).mT.contiguous()

    def _thinned(self) -> RunningQuantiles:
        kept, step = self.kept, self.step
        while kept.shape[2] > MOST_PLACES:
            kept, step = kept[..., ::2], 2 * step
        return RunningQuantiles(kept, self.seen, step)


def given_quantiles(feats: Tensor, stats: Tensor, *, target: Tensor) -> Tensor:
    """`feats` `(b, c, h, w)` with the quantiles `target` in place of `stats`, both `(1|b, 128, c)`.

    Values keep their order. Between quantiles the map is linear; a value that fills several (the zeros of a ReLU) has
    the middle one of them.
    """
    b, c, h, w = feats.shape
    values = feats.float().flatten(2).contiguous()
    knots, wanted = (table.float().mT.expand(b, c, -1).contiguous() for table in (stats, target))
    first, after = (torch.searchsorted(knots, values, right=right) for right in (False, True))
    high = first.clamp(1, LEVELS - 1)
    start, stop = knots.gather(2, high - 1), knots.gather(2, high)
    between = high - 1 + ((values - start) / (stop - start).clamp(min=1e-12)).clamp(0, 1)
    rank = torch.where(after > first, (first + after - 1) / 2, between)
    low = rank.nan_to_num().long().clamp(max=LEVELS - 2)
    given = torch.lerp(wanted.gather(2, low), wanted.gather(2, low + 1), rank - low)
    return given.view(b, c, h, w).to(feats.dtype)
