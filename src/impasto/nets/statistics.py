"""What a network knows of features: kinds of statistics, each with the change of features to those of a style."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from torch import Tensor

from impasto.nets.moments import RunningMoments, given_covariance, given_moments, moments
from impasto.nets.quantiles import LEVELS, RunningQuantiles, given_quantiles, quantiles


class Running(Protocol):
    """The statistics of a part of a picture, which join to those of the whole."""

    def joined(self, other: Any) -> Any:
        """With those of the part below."""

    def value(self) -> Tensor:
        """The statistics of all parts at once `(b, n, c)`."""


@dataclass(frozen=True)
class CodeStatistic:
    """A kind of statistics of features `(b, c, h, w)`, `(b, rows(c), c)`."""

    name: str
    """As messages say it."""
    of: Callable[[Tensor], Tensor]
    running: Callable[[Tensor], Running]
    rows: Callable[[int], int]
    given: Callable[..., Tensor]
    """Of features and their own statistics: the features with those of `target` instead."""


DEVIATIONS = CodeStatistic("means and standard deviations", moments, RunningMoments.of, lambda width: 2, given_moments)
COVARIANCES = CodeStatistic(
    "means and covariances",
    partial(moments, covariances=True),
    partial(RunningMoments.of, covariances=True),
    lambda width: 1 + width,
    given_covariance,
)
QUANTILES = CodeStatistic("quantiles", quantiles, RunningQuantiles.of, lambda width: LEVELS, given_quantiles)


def joined_running(
    before: Mapping[str, Running], feats: Mapping[str, Tensor], *, statistic: CodeStatistic
) -> dict[str, Running]:
    """The statistics of the parts so far and of the one below; a part without places of a layer adds nothing."""
    both = dict(before)
    for layer, part in feats.items():
        if part.shape[-2] and part.shape[-1]:
            own = statistic.running(part)
            both[layer] = both[layer].joined(own) if layer in both else own
    return both
