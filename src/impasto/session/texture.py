"""Textures: the job that paints a style alone, without a content."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from impasto.config.job import Job, LookOptions, StyleSource
from impasto.image import files
from impasto.image.clouds import clouds_name
from impasto.session.inputs import CLOUDS_HW, output_size
from impasto.session.plan import Plan, plan_job
from impasto.styles.catalogue import StyleCatalogue
from impasto.styles.resolved import PictureStyle

LEAST_SCALE = 0.05  # of `StyleSource.scale`


def texture_plan(
    styles: Sequence[StyleSource], look: LookOptions, *, own_scale: bool, catalogue: StyleCatalogue | None = None
) -> Plan:
    """The plan of a texture: clouds in place of a content, and strokes as large as the style picture has them.

    The seed is that of the canvas (optimisation) or of the clouds (other methods). With `own_scale` a style picture
    that is smaller than the output keeps its size; otherwise its scale is the style's. Raises as `plan_job` does.
    """
    catalogue, seed = catalogue or StyleCatalogue(), look.optimise.seed
    if look.paint.method != "optimise":
        look = dataclasses.replace(look, optimise=dataclasses.replace(look.optimise, seed=0))
    if own_scale:
        long_side_px = max(output_size(CLOUDS_HW, look.size))
        styles = [_at_own_scale(style, long_side_px, catalogue=catalogue) for style in styles]
    job = Job(content=clouds_name(seed), styles=tuple(styles), **vars(look))
    return plan_job(job, catalogue=catalogue)


def _at_own_scale(style: StyleSource, long_side_px: int, *, catalogue: StyleCatalogue) -> StyleSource:
    """The style at the size of its file, or over the whole output where it is larger than that."""
    if not isinstance(catalogue.resolve(style), PictureStyle):
        return style
    own_px = max(files.read_size(style.source))
    return dataclasses.replace(style, scale=max(LEAST_SCALE, min(1.0, own_px / long_side_px)))
