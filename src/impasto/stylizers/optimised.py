"""Painting by optimisation (Gatys, Ecker & Bethge 2015, 2016), coarse to fine."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from impasto.config.optimise import LossOptions, OptimiseOptions
from impasto.core.errors import ImageTooSmall, StateError
from impasto.encoders.table import Encoder
from impasto.image.resize import SizeHW, pyramid_sizes, resized
from impasto.stylizers.canvas import started
from impasto.stylizers.minimise import Adam, Lbfgs, Minimiser, Objective, State
from impasto.stylizers.protocol import Mix, Step, check_strength
from impasto.stylizers.targets import checked, objective_for


@dataclass(frozen=True)
class Paused:
    """Where painting stood after a step: enough to go on exactly."""

    scale: int
    step: int
    state: State

    def to_dict(self) -> State:
        """Plain values and tensors, for `torch.save`."""
        return {"scale": self.scale, "step": self.step, "state": self.state}


@dataclass(frozen=True)
class PaintedStep(Step):
    """A step of painting by optimisation. `pause()`, called before the next step is asked for, keeps its state."""

    pause: Callable[[], Paused] | None = None


@dataclass(frozen=True)
class Optimised:
    """A stylizer that moves the pixels themselves; slow, and the most faithful to the style."""

    encoder: Encoder
    losses: LossOptions = field(default_factory=LossOptions)
    options: OptimiseOptions = field(default_factory=OptimiseOptions)
    init_picture: Tensor | None = None
    resume: Paused | None = None  # a `pause()` of the same content, mix and options, to go on from

    def prepare(self, mix: Mix) -> Mix:
        """The mix itself, once options and pictures are known to fit: targets depend on the size of the canvas."""
        checked(self.losses, self.encoder)
        mix.check_no_negative(by="--method optimise")
        need = self.encoder.smallest_px(self.losses.style_layers)
        for style in mix.styles:
            h, w = style.seen().shape[-2:]
            if min(h, w) < need:
                raise ImageTooSmall(
                    f"the style {style.name} is {w}×{h} px; {need} px a side are needed. Use a larger picture of it."
                )
        return mix

    def sizes(self, size_hw: SizeHW) -> list[SizeHW]:
        """The canvas sizes that a content of `size_hw` is painted at, coarse to fine."""
        layers = [*self.losses.content_layers, *self.losses.style_layers]
        need = self.encoder.smallest_px(layers)
        if min(size_hw) < need:
            h, w = size_hw
            deepest = max(layers, key=self.encoder.stride)
            raise ImageTooSmall(f"content is {w}×{h} px; {deepest} needs {need} px a side. Use a larger --size.")
        factor = self.options.scale_factor
        about = round(self.options.smallest_px / math.sqrt(factor))  # the coarsest is the one nearest to smallest_px
        sizes = pyramid_sizes(size_hw, smallest_px=max(1, about), factor=factor)
        sizes = [size for size in sizes if min(size) >= need]
        return sizes[-self.options.scales :] if self.options.scales else sizes

    def paint(self, content: Tensor, code: Mix, *, strength: float = 1.0) -> Iterator[PaintedStep]:
        """Yield every step of every scale that is left to do."""
        check_strength(strength)
        content, resume = content.float(), self.resume  # very large pictures are read in half precision
        sizes = self.sizes((content.shape[-2], content.shape[-1]))
        if strength == 0:
            yield PaintedStep(1, 1, sizes[-1], content.clamp(0, 1))
            return
        counts = [self.steps_at(scale) for scale in range(len(sizes))]
        first = resume.scale if resume else 0
        if first >= len(sizes):
            raise StateError(f"the saved state is of scale {first + 1}; there are {len(sizes)} at this size.")
        generator = torch.Generator().manual_seed(self.options.seed)
        canvas = started(
            self.options.init, resized(content, sizes[0]), mix=code, generator=generator, picture=self.init_picture
        )
        coarse: Minimiser | None = None
        for scale in range(first, len(sizes)):
            here = resized(content, sizes[scale])
            objective = objective_for(here, code, encoder=self.encoder, losses=self.losses, strength=strength)
            minimiser = self._minimiser(resized(canvas, sizes[scale]), objective, coarse)
            done = 0
            if resume and scale == first:
                minimiser.restore(resume.state)
                done = resume.step
            yield from self._scale(minimiser, scale=scale, done=done, counts=counts)
            canvas, coarse = minimiser.best.detach(), minimiser

    def steps_at(self, scale: int) -> int:
        """Steps at a scale: the numbers given are those of the coarsest scales, the last one serves all finer."""
        return self.options.steps[min(scale, len(self.options.steps) - 1)]

    def _minimiser(self, canvas: Tensor, objective: Objective, coarse: Minimiser | None) -> Minimiser:
        options = self.options
        if options.optimizer == "lbfgs":
            return Lbfgs(canvas, objective, history=options.history)
        adam = Adam(canvas, objective, learning_rate=options.learning_rate, average_decay=options.average_decay)
        if isinstance(coarse, Adam):
            adam.carry(coarse)
        return adam

    def _scale(self, minimiser: Minimiser, *, scale: int, done: int, counts: list[int]) -> Iterator[PaintedStep]:
        before, total = sum(counts[:scale]), sum(counts)
        if before + done == total:  # it was stopped after the very last step: there is only the picture to give
            yield PaintedStep(total, total, *_shown(minimiser))
        for index in range(done + 1, counts[scale] + 1):
            losses, note = minimiser.step()
            yield PaintedStep(
                before + index,
                total,
                *_shown(minimiser),
                losses,
                note,
                pause=lambda index=index: Paused(scale, index, minimiser.state()),  # type: ignore[misc]
            )


def _shown(minimiser: Minimiser) -> tuple[SizeHW, Tensor]:
    image = minimiser.best.detach().clamp(0, 1)
    return (image.shape[-2], image.shape[-1]), image
