"""Variables of optimisation: the pixels of the canvas, or the levels of its Laplacian pyramid.

A canvas is the sum of its levels, each enlarged to full size (Burt & Adelson 1983). A step in the levels moves large
areas as easily as single pixels. Kolkin et al., Style Transfer by Relaxed Optimal Transport, CVPR 2019, section 2.5.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.image.resize import SizeHW
from impasto.image.tiling import NO_WRAPS, Wraps, bilinear

COARSEST_PX = 4  # the shorter side of the last level


@dataclass(frozen=True)
class Pyramid:
    """The linear map from `levels` of variables to a canvas of `size_hw`; one level is the canvas itself."""

    size_hw: SizeHW
    levels: int
    wraps: Wraps = NO_WRAPS

    @classmethod
    def of(cls, size_hw: SizeHW, wraps: Wraps = NO_WRAPS) -> Pyramid:
        """As many levels as halvings of the sides down to `COARSEST_PX`, those that wrap without a remainder."""
        levels, side = 1, min(size_hw)
        whole = math.gcd(*(side for side, wrap in zip(size_hw, wraps, strict=True) if wrap))
        while side // 2 >= COARSEST_PX and whole % 2**levels == 0:
            levels, side = levels + 1, side // 2
        return cls(size_hw, levels, wraps)

    def joined(self, levels: Sequence[Tensor]) -> Tensor:
        """The canvas `(1, 3, h, w)` of levels, fine to coarse."""
        *finer, canvas = levels
        for level in reversed(finer):
            canvas = level + bilinear(canvas, (level.shape[-2], level.shape[-1]), wraps=self.wraps)
        return canvas

    def spread(self, gradient: Tensor) -> list[Tensor]:
        """The gradient by each level, of the gradient by the canvas: the adjoint of `joined`."""
        sizes, levels = self._sizes(), [gradient]
        for finer, size in itertools.pairwise(sizes):  # level by level, which takes the memory of one canvas
            with torch.enable_grad():
                zeros = gradient.new_zeros(1, 3, *size).requires_grad_()
                enlarged = bilinear(zeros, finer, wraps=self.wraps)
            levels += torch.autograd.grad(enlarged, zeros, levels[-1])
        return levels

    def smoothed(self, gradient: Tensor) -> Tensor:
        """The change of the canvas by a gradient step in the levels, with equal weight for each level.

        The gradient of a level is a sum over areas of 4, 16, … pixels and is divided by their number; otherwise large
        areas would move a thousand times as far as single pixels.
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
