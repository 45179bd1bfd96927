"""From a job and its inputs to the steps of painting."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from impasto.config.job import Job
from impasto.encoders import table
from impasto.encoders.table import Encoder
from impasto.image.resize import SizeHW
from impasto.rendering.inputs import Inputs
from impasto.stylizers.coloured import Coloured
from impasto.stylizers.masked import Masked
from impasto.stylizers.optimised import Optimised, Paused
from impasto.stylizers.protocol import Step, Stylizer


def encoder_of(job: Job, *, progress: table.Progress | None = None) -> Encoder:
    """The encoder that the job's losses look through; downloads it where it is not at hand."""
    return table.loaded(
        job.losses.encoder, pooling=job.losses.pooling, precision=job.optimise.precision, progress=progress
    )


def stylizer_for(job: Job, inputs: Inputs, encoder: Encoder, *, resume: Paused | None = None) -> Stylizer[Any]:
    """The job's stylizer with the wrappers that its options ask for."""
    stylizer: Stylizer[Any] = Optimised(encoder, job.losses, job.optimise, inputs.init_picture, resume)
    if any(choice != "no" for choice in (job.colour.keep_colours, job.colour.keep_luminance, job.colour.match_output)):
        stylizer = Coloured(stylizer, job.colour)
    return stylizer if inputs.cover is None else Masked(stylizer, inputs.cover)


def painted(job: Job, inputs: Inputs, encoder: Encoder, *, resume: Paused | None = None) -> Iterator[Step]:
    """Every step; the last step's `picture()` is the result."""
    stylizer = stylizer_for(job, inputs, encoder, resume=resume)
    code = stylizer.prepare(inputs.mix)
    yield from stylizer.paint(inputs.content, code, strength=job.paint.strength)


def work(job: Job, size_hw: SizeHW, encoder: Encoder) -> tuple[tuple[SizeHW, int], ...]:
    """Canvas size and number of steps of every scale, coarse to fine, for an output of `size_hw`."""
    stylizer = Optimised(encoder, job.losses, job.optimise)
    return tuple((size, stylizer.steps_at(scale)) for scale, size in enumerate(stylizer.sizes(size_hw)))
