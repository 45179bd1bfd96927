"""The temporal loss of optimisation: the distance of a frame from the warped previous painting."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.image.resize import SizeHW, resized
from impasto.objective.perceptual import PixelTerm


@dataclass(frozen=True, eq=False)
class Temporal:
    """Ruder et al. 2016, equation 7: the mean of `trust · (x - carried)²`, times `weight`.

    `carried` `(1, 3, h, w)` is the output of the frame before, brought along the motion; `trust` `(1, 1, h, w)` in
    `[0, 1]` is 0 where the motion cannot be followed, as behind what moved away.
    """

    carried: Tensor
    trust: Tensor
    weight: float

    def term(self, size_hw: SizeHW) -> PixelTerm:
        """The term for a canvas of `size_hw`."""
        carried, trust = resized(self.carried, size_hw), resized(self.trust, size_hw, mode="bilinear")

        def apart(image: Tensor) -> Tensor:
            return (trust * (image - carried).square()).mean()

        return PixelTerm("temporal", self.weight, apart)

    def on(self, device: torch.device) -> Temporal:
        """The same on `device`."""
        return Temporal(self.carried.to(device), self.trust.to(device), self.weight)
