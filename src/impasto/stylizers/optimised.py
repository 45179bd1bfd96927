"""Painting by optimisation (Gatys, Ecker & Bethge 2015, 2016), coarse to fine."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from impasto.config.optimise import LossOptions, OptimiseOptions
from impasto.core.errors import ImageTooSmall, OptionError, StateError
from impasto.encoders.table import Encoder
from impasto.image.colour import matched_chroma
from impasto.image.resize import SizeHW, pyramid_sizes
from impasto.image.tiling import NO_WRAPS, Wraps, check_multiples, resized_wrapped, rounded
from impasto.losses.table import MATCHED_LOSSES
from impasto.stylizers.blockwise import blockwise_for
from impasto.stylizers.budget import seconds_a_step, steps_within
from impasto.stylizers.canvas import enlarged, first_canvas, in_style_colours
from impasto.stylizers.curvature import KEEPS
from impasto.stylizers.footprint import Computation, Footprint
from impasto.stylizers.minimise import Adam, Lbfgs, Minimiser, Objective, State
from impasto.stylizers.protocol import Mix, Step, Stylizer, check_strength
from impasto.stylizers.pyramid import Pyramid
from impasto.stylizers.targets import check_losses, final_losses, objective_for
from impasto.stylizers.temporal import Temporal


@dataclass(frozen=True)
class Paused:
    """The state of painting after a step, to go on from exactly."""

    scale: int
    step: int
    state: State
    begin: Tensor | None = None  # the canvas that the scale began with

    def to_dict(self) -> State:
        """Plain values and tensors, for `torch.save`."""
        return {"scale": self.scale, "step": self.step, "state": self.state, "begin": self.begin}


@dataclass(frozen=True)
class PaintedStep(Step):
    """A step of painting by optimisation. `pause()`, called before the next step is painted, gives its state."""

    pause: Callable[[], Paused] | None = None


@dataclass(frozen=True)
class Optimised:
    """A stylizer that optimises the pixels themselves; slow, and the most faithful to the style.

    `one_pass` paints the start of `init=one-pass`; without it painting starts from the recoloured content.
    """

    encoder: Encoder
    losses: LossOptions = field(default_factory=LossOptions)
    options: OptimiseOptions = field(default_factory=OptimiseOptions)
    init_picture: Tensor | None = None
    resume: Paused | None = None  # a `pause()` of the same content, mix and options, to go on from
    one_pass: Stylizer[Any] | None = None
    temporal: Temporal | None = None  # the warped previous frame, for films
    memory_bytes: int | None = None  # the picture is computed in blocks where it takes more as a whole
    wraps: Wraps = NO_WRAPS  # the sides that continue at the opposite edge

    def prepare(self, mix: Mix) -> Mix:
        """The mix itself, after a check of options and pictures: targets depend on the size of the canvas."""
        check_losses(self.losses, self.encoder.wrapped(self.wraps))
        mix.check_no_negative(by="`method=optimise`")
        if self.options.final_steps and self.losses.style_loss not in MATCHED_LOSSES:
            raise OptionError(
                f"`final_steps` is for `style_loss={' or '.join(MATCHED_LOSSES)}`; the style loss is "
                f"{self.losses.style_loss}. Leave `final_steps` out."
            )
        need = self.encoder.smallest_px(self.losses.style_layers)
        for style in mix.styles:
            h, w = style.required_picture().shape[-2:]
            if min(h, w) < need:
                raise ImageTooSmall(
                    f"the style {style.name} is {w}×{h} px; {need} px a side are needed. Use a larger picture of it."
                )
        return mix

    def sizes(self, size_hw: SizeHW) -> list[SizeHW]:
        """The canvas sizes for a content of `size_hw`, coarse to fine; sides that wrap are multiples of the stride."""
        check_multiples(size_hw, self.wraps)
        layers = [*self.losses.content_layers, *self.losses.style_layers]
        need = self.encoder.smallest_px(layers)
        if min(size_hw) < need:
            h, w = size_hw
            deepest = max(layers, key=self.encoder.stride)
            raise ImageTooSmall(f"content is {w}×{h} px; {deepest} needs {need} px a side. Use a larger `size`.")
        factor = self.options.scale_factor
        about = round(self.options.smallest_px / math.sqrt(factor))  # the coarsest is the one nearest to smallest_px
        sizes = pyramid_sizes(size_hw, smallest_px=max(1, about), factor=factor)
        stride = max((self.encoder.stride(layer) for layer in layers), default=1)
        sizes = [*dict.fromkeys(rounded(size, wraps=self.wraps, multiple=stride) for size in sizes)]
        sizes = [size for size in sizes if min(size) >= need]
        return sizes[-self.options.scales :] if self.options.scales else sizes

    def paint(self, content: Tensor, code: Mix, *, strength: float = 1.0) -> Iterator[PaintedStep]:
        """Yield every remaining step of every scale."""
        check_strength(strength)
        resume = self.resume
        sizes = self.sizes((content.shape[-2], content.shape[-1]))
        if strength == 0:
            yield PaintedStep(1, 1, sizes[-1], content.float().clamp(0, 1))
            return
        counts = self.counts(len(sizes))
        if self.options.seconds:
            counts = list(self.within_seconds(content, code, strength=strength))
        sizes = [*sizes, *sizes[-1:]][: len(counts)]  # a final pass is one more at full size
        first = resume.scale if resume else 0
        if first >= len(sizes):
            raise StateError(f"the saved state is of scale {first + 1}; there are {len(sizes)} at this size.")
        start = self._start(content, code, strength=strength)
        canvas = self._first(start, self._sized(content, sizes[0]), mix=code)
        coarse: Adam | None = None
        chroma = partial(_with_chroma, mix=code, strength=strength, wraps=self.wraps)
        finish = (chroma,) if self.options.final_chroma else ()
        for scale in range(first, len(sizes)):
            canvas = canvas if scale == 0 else enlarged(canvas, sizes[scale], start=start, wraps=self.wraps)
            start = start if scale + 1 < len(sizes) else None  # release memory for very large pictures
            begin = self._canvas_at(canvas, scale)
            losses = final_losses(self.losses) if self.options.final_steps and scale == len(sizes) - 1 else self.losses
            way, here = self._way(sizes[scale], code, losses=losses), self._sized(content, sizes[scale])
            objective = self._objective(here, code, strength=strength, losses=losses, canvas=begin, way=way)
            minimiser = self._minimiser(begin, objective, coarse=coarse, keep=way.keep)
            done = 0
            if resume and scale == first:
                done = _restored(minimiser, resume, count=counts[scale])
            for step in self._scale(minimiser, scale=scale, done=done, counts=counts, begin=begin):
                yield replace(step, finish=finish)
            canvas, coarse = minimiser.best.detach(), minimiser if isinstance(minimiser, Adam) else None
            del minimiser, objective

    def _sized(self, image: Tensor, size_hw: SizeHW) -> Tensor:
        return resized_wrapped(image, size_hw, wraps=self.wraps)

    def _canvas_at(self, canvas: Tensor, scale: int) -> Tensor:
        """The canvas that a resumed scale began with, else `canvas`."""
        resume = self.resume
        if resume is None or resume.scale != scale or resume.begin is None or resume.begin.shape != canvas.shape:
            return canvas
        return resume.begin.to(canvas)

    def _way(self, size_hw: SizeHW, mix: Mix, *, losses: LossOptions) -> Computation:
        """How a scale is computed: as a whole, or block by block where that takes too much memory."""
        masks = sum(style.mask is not None for style in mix.styles)
        room = None if self.temporal is not None else self.memory_bytes  # frames are not that large
        return Footprint(self.encoder, losses, self.options, masks).chosen(size_hw, room)

    def _objective(
        self, content: Tensor, mix: Mix, *, strength: float, losses: LossOptions, canvas: Tensor, way: Computation
    ) -> Objective:
        if not way.whole:
            return blockwise_for(
                content,
                mix,
                encoder=self.encoder,
                losses=losses,
                strength=strength,
                block_px=way.block_px,
                graphs=way.graphs,
                on_disk=way.keep == "disk",
                wraps=self.wraps,
            )
        content = content.float()  # very large pictures are read in half precision
        objective = objective_for(
            content, mix, encoder=self.encoder, losses=losses, strength=strength, canvas=canvas, wraps=self.wraps
        )
        if self.temporal is None:
            return objective
        return replace(
            objective, pixels=(*objective.pixels, self.temporal.term((content.shape[-2], content.shape[-1])))
        )

    def _start(self, content: Tensor, mix: Mix, *, strength: float) -> Tensor | None:
        """The picture that painting starts from, at full size; None where the start has no detail to keep."""
        if self.options.init == "picture" and self.init_picture is not None:
            return self._sized(self.init_picture, (content.shape[-2], content.shape[-1]))
        if self.options.init == "one-pass" and self.one_pass is not None:
            *_, last = self.one_pass.paint(content, self.one_pass.prepare(mix), strength=strength)
            return last.picture().float()
        if self.options.init in ("one-pass", "recoloured"):
            return in_style_colours(content, mix, wraps=self.wraps)
        return None

    def _first(self, start: Tensor | None, content: Tensor, *, mix: Mix) -> Tensor:
        if start is not None:
            canvas = self._sized(start, (content.shape[-2], content.shape[-1])).clone()
        else:
            generator = torch.Generator().manual_seed(self.options.seed)
            canvas = first_canvas(self.options.init, content, mix=mix, generator=generator, wraps=self.wraps)
        return canvas.float() if canvas.dtype == torch.float16 else canvas  # contents of very large pictures are half

    def within_seconds(self, content: Tensor, mix: Mix, *, strength: float = 1.0) -> tuple[int, ...]:
        """The steps at each scale that fit into `options.seconds` on this machine now, measured by some small steps."""
        began = time.perf_counter()
        sizes = self.sizes((content.shape[-2], content.shape[-1]))
        self._start(self._sized(content, sizes[0]), mix, strength=strength)
        start_s = (time.perf_counter() - began) * math.prod(sizes[-1]) / math.prod(sizes[0])
        step_s = seconds_a_step(
            content,
            lambda here: objective_for(here.float(), mix, encoder=self.encoder, losses=self.losses, strength=strength),
            sizes=sizes,
            smallest_px=self.encoder.smallest_px([*self.losses.content_layers, *self.losses.style_layers]),
        )
        left = self.options.seconds - start_s - (time.perf_counter() - began)
        counts = self.counts(len(sizes))
        return steps_within(left, [*step_s, *step_s[-1:]][: len(counts)], steps=counts)

    def counts(self, scales: int) -> list[int]:
        """Steps of each of `scales` scales, then those of the final pass, if there is one."""
        final = [self.options.final_steps] if self.options.final_steps else []
        return [*(self.steps_at(scale) for scale in range(scales)), *final]

    def steps_at(self, scale: int) -> int:
        """Steps at a scale: `steps` begins at the coarsest, and its last number holds for all finer scales."""
        return self.options.steps[min(scale, len(self.options.steps) - 1)]

    def _minimiser(self, canvas: Tensor, objective: Objective, *, coarse: Adam | None, keep: str) -> Minimiser:
        options = self.options
        size = (canvas.shape[-2], canvas.shape[-1])
        pyramid = Pyramid.of(size, self.wraps) if options.variables == "laplacian" else Pyramid(size, 1, self.wraps)
        if options.optimizer == "lbfgs":
            return Lbfgs(canvas, objective, history=options.history, pyramid=pyramid, keep=KEEPS[keep])
        rate, decay = options.learning_rate, options.average_decay
        adam = Adam(canvas, objective, learning_rate=rate, average_decay=decay, pyramid=pyramid)
        if coarse is not None:
            adam.carry(coarse)
        return adam

    def _scale(
        self, minimiser: Minimiser, *, scale: int, done: int, counts: list[int], begin: Tensor
    ) -> Iterator[PaintedStep]:
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
                pause=lambda index=index: Paused(scale, index, minimiser.state(), begin),  # type: ignore[misc]
            )


def _restored(minimiser: Minimiser, resume: Paused, *, count: int) -> int:
    """Let `minimiser` go on from `resume`; the number of the scale's `count` steps that are done."""
    if resume.step > count:
        raise StateError(f"the saved state is of step {resume.step}; the scale has {count}. Begin again.")
    try:
        minimiser.restore(resume.state)
    except (AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise StateError(f"the saved state is damaged ({reason}). Delete it and begin again.") from error
    return resume.step


def _with_chroma(image: Tensor, *, mix: Mix, strength: float, wraps: Wraps) -> Tensor:
    return torch.lerp(image, in_style_colours(image, mix, match=matched_chroma, wraps=wraps), min(1.0, strength))


def _shown(minimiser: Minimiser) -> tuple[SizeHW, Tensor]:
    image = minimiser.best.detach().clamp(0, 1)
    return (image.shape[-2], image.shape[-1]), image
