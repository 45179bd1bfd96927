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
    """Independently sampled batches of both; a pure function of the step, like `Crops`."""

    contents: Crops
    styles: Crops

    def __call__(self, step: int) -> Pair:
        """The batch of this step."""
        return Pair(self.contents(step).images, self.styles(step).images)
