"""The memory of optimisation by size, and the fastest computation that fits."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from impasto.config.optimise import LossOptions, OptimiseOptions
from impasto.core.memory import BASE_BYTES
from impasto.encoders.table import Encoder
from impasto.image.resize import SizeHW
from impasto.image.strips import LARGE_PX
from impasto.objective.blocks import BLOCK_PX
from impasto.stylizers.blockwise import is_separable
from impasto.stylizers.curvature import BYTES

PICTURE = 12
"""Bytes for each pixel of a picture in float32."""

CANVASES = {"lbfgs": 6, "adam": 8}
"""Pictures of the canvas's size that are held at any time: the canvas, the picture that is shown, the canvas that the
scale began with, and what the optimiser remembers of the last step."""

EVALUATION = 3
"""More of them while a loss is computed, besides the encoder's features: gradient, direction, last good canvas."""

DIRECTION = {"pixels": 3, "laplacian": 8}
"""More of them while a step is computed, by `variables`: with the levels of a pyramid and their sums on the way. At 64
megapixels the second step of L-BFGS had a peak of 11,013 MB, which 8 give."""

SAVED = 3.7
"""Times that the activations of a VGG are held for a gradient, with padded copies and gradients on their way. Measured
with the bundled encoder in float32: 3.6 at 1 and at 2.25 megapixels, 3.7 with blocks of 1.2."""

UNKNOWN_FLOATS = 150
"""Activations for each pixel of an encoder that is not a sequence of stages."""

GRAPHS = (4, 3, 2, 1)
"""Blocks that are not computed twice, where there is memory for them at the same time."""

BLOCKS_PX = (BLOCK_PX, BLOCK_PX // 2, BLOCK_PX // 4)
"""Block sizes to choose from; of smaller ones most would be halo."""


@dataclass(frozen=True)
class Computation:
    """How a scale is computed: whole or in blocks, and how L-BFGS keeps its memory (`curvature.KEEPS`).

    With "disk" the features of the content are in files, too. `graphs`: see `Blockwise`.
    """

    bytes: int
    block_px: int = 0
    keep: str = "float32"
    graphs: int = 1

    @property
    def whole(self) -> bool:
        """Whether the whole picture is computed at once."""
        return self.block_px == 0


@dataclass(frozen=True)
class Footprint:
    """The memory of optimisation with these losses and options; `masks` is the number of masks."""

    encoder: Encoder
    losses: LossOptions
    options: OptimiseOptions
    masks: int = 0

    def chosen(self, size_hw: SizeHW, memory_bytes: int | None) -> Computation:
        """The fastest computation of a scale of `size_hw` that fits, else the one with the least memory.

        Without a bound it is the whole picture at once.
        """
        for computation in self._ways(size_hw):
            if memory_bytes is None or computation.bytes <= memory_bytes:
                return computation
        return computation

    def least(self, size_hw: SizeHW) -> int:
        """Bytes below which a canvas of `size_hw` cannot be painted."""
        *_, last = self._ways(size_hw)
        return last.bytes

    def _ways(self, size_hw: SizeHW) -> Sequence[Computation]:
        """From the fastest to the one with the least memory."""
        area = math.prod(size_hw)
        history = 2 * 3 * self.options.history * area if self.options.optimizer == "lbfgs" else 0  # numbers
        held, feats = BASE_BYTES + self._held(area), self._features(area)
        whole = held + feats + self._working(area, self._activations(area))
        ways = [Computation(whole + BYTES["float32"] * history)]
        if is_separable(self.losses, self.encoder):
            for block_px, keep, graphs in itertools.product(BLOCKS_PX, BYTES, GRAPHS):
                block = graphs * self._activations(min(area, block_px))
                kept = BYTES[keep] * history + (0 if keep == "disk" else feats)
                if graphs == 1 or graphs * block_px < area:
                    ways.append(Computation(held + kept + self._working(area, block), block_px, keep, graphs))
        return [way for number, way in enumerate(ways) if all(way.bytes < before.bytes for before in ways[:number])]

    def _working(self, area: int, activations: int) -> int:
        """The larger of what computing a loss and computing a step take."""
        return max(PICTURE * EVALUATION * area + activations, PICTURE * DIRECTION[self.options.variables] * area)

    def _held(self, area: int) -> int:
        """Canvases, content and masks at full size."""
        content = PICTURE // 2 if area > LARGE_PX else PICTURE
        layers = sum(4 / self.encoder.stride(layer) ** 2 for layer in self.losses.style_layers)
        canvases = PICTURE * CANVASES[self.options.optimizer]
        return round(area * (canvases + content + self.masks * (2 * 4 + layers)))

    def _features(self, area: int) -> int:
        width = self.encoder.dtype.itemsize
        floats = sum(
            self.encoder.width(layer) / self.encoder.stride(layer) ** 2 for layer in self.losses.content_layers
        )
        return round(area * floats * width) if self.losses.content_weight else 0

    def _activations(self, area: int) -> int:
        """Activations that the encoder keeps for the gradient."""
        stages = self.encoder.stages
        each = UNKNOWN_FLOATS
        if stages is not None:
            each = sum(count * width / 4**level for level, (width, count) in enumerate(stages))
        return round(area * each * SAVED * self.encoder.dtype.itemsize)
