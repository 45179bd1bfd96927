"""Variables of optimisation: the pixels of the canvas, or the levels of its Laplacian pyramid.

A canvas is the sum of its levels, each enlarged to full size (Burt & Adelson 1983). A step in the levels moves large
areas as easily as single pixels. Kolkin et al., Style Transfer by Relaxed Optimal Transport, CVPR 2019, section 2.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from impasto.image.resize import SizeHW

COARSEST_PX = 4  # the shorter side of the last level


@dataclass(frozen=True)
class Pyramid:
    """The linear map from `levels` of variables to a canvas of `size_hw`; one level is the canvas itself."""

    size_hw: SizeHW
    levels: int

    @classmethod
    def of(cls, size_hw: SizeHW) -> Pyramid:
        """As many levels as halve the sides down to `COARSEST_PX`."""
        levels, side = 1, min(size_hw)
        while side // 2 >= COARSEST_PX:
            levels, side = levels + 1, side // 2
        return cls(size_hw, levels)

    def joined(self, levels: Sequence[Tensor]) -> Tensor:
        """The canvas `(1, 3, h, w)` of levels, fine to coarse."""
        *finer, canvas = levels
        for level in reversed(finer):
            size = level.shape[-2:]
            canvas = level + functional.interpolate(canvas, size, mode="bilinear", align_corners=False)
        return canvas

    def spread(self, gradient: Tensor) -> list[Tensor]:
        """The gradient by each level, of the gradient by the canvas: the adjoint of `joined`."""
        if self.levels == 1:
            return [gradient]
        with torch.enable_grad():
            zeros = [gradient.new_zeros(1, 3, *size).requires_grad_() for size in self._sizes()]
            return list(torch.autograd.grad(self.joined(zeros), zeros, gradient))

    def smoothed(self, gradient: Tensor) -> Tensor:
        """The step in the canvas of a plain step downhill in the levels, each of which counts alike.

        The gradient of a level is a sum over areas of 4, 16, … pixels, and is divided by their number: large areas else
        move a thousand times as far as single pixels.
        """
        if self.levels == 1:
            return gradient
        return self.joined([level / 4**index for index, level in enumerate(self.spread(gradient))])

    def _sizes(self) -> list[SizeHW]:
        sizes = [self.size_hw]
        for _ in range(self.levels - 1):
            h, w = sizes[-1]
            sizes.append((max(1, h // 2), max(1, w // 2)))
        return sizes
