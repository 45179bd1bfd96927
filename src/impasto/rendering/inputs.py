"""The pictures of a job, read, sized and colour-matched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from impasto.config.job import Job, StyleSource
from impasto.config.pictures import SizeOptions
from impasto.core.errors import ImageTooSmall
from impasto.encoders.table import Progress
from impasto.image import files
from impasto.image.colour import COLOUR_MATCHES
from impasto.image.files import Picture
from impasto.image.masks import feathered, read_mask
from impasto.image.pixels import over_white
from impasto.image.resize import SizeHW, fit, resized
from impasto.nets.fast import KIND as FAST
from impasto.rendering import families, learned, saved
from impasto.rendering.job_cache import JobCache
from impasto.stylizers.protocol import Mix, Style

SMALLEST_SIDE_PX = 2  # of an input: below it there is nothing to see


@dataclass(frozen=True)
class Inputs:
    """What a stylizer is given.

    `content` `(1, 3, h, w)` and `alpha` `(1, 1, h, w)` have the output's size; `cover` is the union of the masks.
    """

    content: Tensor
    alpha: Tensor | None
    bits: int
    mix: Mix
    cover: Tensor | None = None
    init_picture: Tensor | None = None


def gathered(
    job: Job,
    *,
    content: Picture | None = None,
    styles: Sequence[Picture | None] | None = None,
    shelf: JobCache | None = None,
    progress: Progress | None = None,
) -> Inputs:
    """Read the files that `job` names, or take `content` and `styles` in their place.

    `shelf` is what other jobs have read already; weights are loaded when a saved style asks for them. Raises
    `ImageError`, and `WeightsError` for a saved style of another encoder.
    """
    shelf = shelf or JobCache()
    if content is None:
        shown = shelf.content(job, lambda: _shown(files.read(job.content), job))
    else:
        shown = _shown(content, job)
    given: Sequence[Picture | None] = [None] * len(job.styles) if styles is None else styles
    gather = partial(_style, job=job, content=shown.pixels, shelf=shelf, progress=progress)
    mix = Mix(tuple(gather(source, picture) for source, picture in zip(job.styles, given, strict=True)))
    init = job.optimise.init_picture
    start = files.read(init).pixels if init is not None and job.optimise.init == "picture" else None
    return Inputs(shown.pixels, shown.alpha, shown.bits, mix, _cover(mix), start)


def _shown(picture: Picture, job: Job) -> Picture:
    """The content at the output's size, over white where its transparency is dropped."""
    picture = _seen(picture, "content")
    size = output_size(picture.size_hw, job.size)
    pixels = resized(picture.pixels, size)
    alpha = None if picture.alpha is None else resized(picture.alpha, size, mode="bilinear")
    if alpha is not None and job.paint.alpha == "drop":
        pixels, alpha = over_white(pixels, alpha), None
    return Picture(pixels, alpha, picture.bits)


def output_size(size_hw: SizeHW, size: SizeOptions) -> SizeHW:
    """The output's `(h, w)` for a content of `size_hw`."""
    if size.exact is not None:
        return size.exact[1], size.exact[0]
    if size.megapixels is not None:
        return fit(size_hw, megapixels=size.megapixels)
    if size.short_side is not None:
        return fit(size_hw, short_side_px=size.short_side)
    return fit(size_hw, long_side_px=size.size) if size.size else size_hw


def _seen(picture: Picture, name: str) -> Picture:
    h, w = picture.size_hw
    if min(h, w) < SMALLEST_SIDE_PX:
        raise ImageTooSmall(f"{name} is {w}×{h} px; {SMALLEST_SIDE_PX} px a side or more are needed. Use another file.")
    return picture


def _style(
    source: StyleSource, given: Picture | None, *, job: Job, content: Tensor, shelf: JobCache, progress: Progress | None
) -> Style:
    size = (content.shape[-2], content.shape[-1])
    mask = None
    if source.mask is not None:
        mask = feathered(read_mask(source.mask, size), job.paint.feather * max(size))
    named = partial(Style, weight=source.weight, scale=source.scale, mask=mask, name=Path(source.source).name)
    if families.method_of(job) == FAST:
        return named(learned=source.source)
    if given is None:
        learned.check_known(source.source)
    if given is None and saved.is_saved(source.source):
        return named(code=shelf.saved_code(job, source, progress=progress))

    def sized() -> Tensor:
        return style_pixels(given or files.read(source.source), source, size, short_side_px=least)

    least = families.family_of(job).style_short_side_px
    if given is None and job.colour.match_style == "no":
        code = shelf.style_code(job, source, max(size), sized, progress=progress)
        if code is not None:
            return named(code=code)
    pixels = sized()
    if job.colour.match_style != "no":
        pixels = COLOUR_MATCHES[job.colour.match_style](pixels, content)
    return named(picture=pixels)


def style_pixels(picture: Picture, source: StyleSource, output_hw: SizeHW, *, short_side_px: int) -> Tensor:
    """A style picture over white, for what is transparent has no style, at the size that `style_size` says."""
    picture = _seen(picture, f"the style {Path(source.source).name}")
    pixels = over_white(picture.pixels, picture.alpha)
    return resized(pixels, style_size(picture.size_hw, output_hw, scale=source.scale, short_side_px=short_side_px))


def style_size(size_hw: SizeHW, output_hw: SizeHW, *, scale: float, short_side_px: int) -> SizeHW:
    """What is kept of a style picture of `size_hw`: nothing looks at more, and no memory goes to the rest.

    The long side is that of the output times `scale`, unless the short side would then fall below `short_side_px`.
    It is never enlarged, since there are no finer strokes to be had.
    """
    size = fit(size_hw, long_side_px=max(1, round(max(output_hw) * scale)), enlarge=False)
    if min(size) >= short_side_px:
        return size
    return fit(size_hw, short_side_px=short_side_px, enlarge=False)


def _cover(mix: Mix) -> Tensor | None:
    masks = [style.mask for style in mix.styles if style.mask is not None]
    return torch.cat(masks).amax(dim=0, keepdim=True) if masks else None
