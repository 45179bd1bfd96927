"""Batches of contents and styles."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from impasto.training.data import Crops


@dataclass(frozen=True)
class Pair:
    """`contents` and `styles` `(b, 3, px, px)` in `[0, 1]`; the i-th content is painted in the i-th style."""

    contents: Tensor
    styles: Tensor


@dataclass(frozen=True)
class Pairs:
    """A batch of each, drawn apart; a pure function of the step, as `Crops` is."""

    contents: Crops
    styles: Crops

    def __call__(self, step: int) -> Pair:
        """The batch of this step."""
        return Pair(self.contents(step).images, self.styles(step).images)
