"""Memory that painting by optimisation takes, by size, and the fastest way of computing that fits."""

from __future__ import annotations

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
"""Pictures of the canvas's size that an optimiser holds while a loss is computed."""

PICTURES = 3
"""Others: the picture that is shown, the canvas that the scale began with, and the picture when it is finished."""

PYRAMID = 3
"""Additional pictures when the levels of the canvas's pyramid are optimised."""

SAVED = 3.7
"""Times that the activations of a VGG are held for a gradient, with padded copies and gradients on their way. Measured
with the bundled encoder in float32: 3.6 at 1 and at 2.25 megapixels, 3.7 with blocks of 1.2."""

UNKNOWN_FLOATS = 150
"""Activations for each pixel of an encoder that is not a sequence of stages."""

BLOCKS_PX = (BLOCK_PX, BLOCK_PX // 2, BLOCK_PX // 4)
"""Sizes of blocks that are tried; smaller ones would be computed mostly for what surrounds them."""


@dataclass(frozen=True)
class Computation:
    """How a scale is computed: whole or in blocks, and how L-BFGS keeps its memory (`curvature.KEEPS`)."""

    bytes: int
    block_px: int = 0
    keep: str = "float32"

    @property
    def whole(self) -> bool:
        """Whether all features are in memory at once."""
        return self.block_px == 0


@dataclass(frozen=True)
class Footprint:
    """The memory of optimisation with these losses and options; `masks` are the number of masks."""

    encoder: Encoder
    losses: LossOptions
    options: OptimiseOptions
    masks: int = 0

    def chosen(self, size_hw: SizeHW, memory_bytes: int | None) -> Computation:
        """The fastest way to compute a scale of `size_hw` that fits, or the one that takes the least memory.

        Without a bound it is the first: the whole picture at once.
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
        """From the fastest to the one that takes the least memory."""
        area = math.prod(size_hw)
        history = 2 * 3 * self.options.history * area if self.options.optimizer == "lbfgs" else 0  # numbers
        held = BASE_BYTES + self._held(area)
        ways = [Computation(held + self._features(area) + self._activations(area) + BYTES["float32"] * history)]
        if is_separable(self.losses, self.encoder):
            for block_px in BLOCKS_PX:
                block = held + self._features(area) + self._activations(min(area, block_px))
                ways += [Computation(block + BYTES[keep] * history, block_px, keep) for keep in BYTES]
        return [way for number, way in enumerate(ways) if all(way.bytes < before.bytes for before in ways[:number])]

    def _held(self, area: int) -> int:
        """Tensors of the picture's size that are always needed: canvases, content, masks."""
        content = PICTURE // 2 if area > LARGE_PX else PICTURE
        more = PYRAMID if self.options.variables == "laplacian" else 0
        canvases = PICTURE * (CANVASES[self.options.optimizer] + PICTURES + more)
        layers = sum(4 / self.encoder.stride(layer) ** 2 for layer in self.losses.style_layers)
        return round(area * (canvases + content + self.masks * (2 * 4 + layers)))

    def _features(self, area: int) -> int:
        """The content's features that the canvas is compared with."""
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
