"""From a job and its inputs to the steps of painting."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from impasto.config.job import Job
from impasto.image.resize import SizeHW
from impasto.rendering.families import Loaded, Work, family_of
from impasto.rendering.inputs import Inputs
from impasto.stylizers.coloured import Coloured
from impasto.stylizers.masked import Masked
from impasto.stylizers.optimised import Paused
from impasto.stylizers.protocol import Step, Stylizer


def stylizer_for(job: Job, inputs: Inputs, loaded: Loaded, *, resume: Paused | None = None) -> Stylizer[Any]:
    """The job's stylizer with the wrappers that its options ask for."""
    stylizer = family_of(job).stylizer(job, inputs, loaded, resume)
    if any(choice != "no" for choice in (job.colour.keep_colours, job.colour.keep_luminance, job.colour.match_output)):
        stylizer = Coloured(stylizer, job.colour)
    return stylizer if inputs.cover is None else Masked(stylizer, inputs.cover)


def painted(job: Job, inputs: Inputs, loaded: Loaded, *, resume: Paused | None = None) -> Iterator[Step]:
    """Every step; the last step's `picture()` is the result."""
    stylizer = stylizer_for(job, inputs, loaded, resume=resume)
    code = stylizer.prepare(inputs.mix)
    yield from stylizer.paint(inputs.content, code, strength=job.paint.strength)


def work(job: Job, size_hw: SizeHW, loaded: Loaded) -> Work:
    """Canvas sizes in the order of painting, with the number of steps at each, for an output of `size_hw`."""
    return family_of(job).work(job, size_hw, loaded)
