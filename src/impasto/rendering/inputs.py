"""The pictures of a job, read, sized and colour-matched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from impasto.config.job import Job, StyleSource
from impasto.config.pictures import SizeOptions
from impasto.core.errors import ImageTooSmall
from impasto.image import files
from impasto.image.colour import COLOUR_MATCHES
from impasto.image.files import Picture
from impasto.image.masks import feathered, read_mask
from impasto.image.resize import SizeHW, fit, resized
from impasto.stylizers.protocol import Mix, Style

SMALLEST_SIDE_PX = 2  # of an input: below it there is nothing to see
STYLE_SHORT_SIDE_PX = 256  # kept of every style that has it: more than any encoder needs, however wide the style


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


def gathered(job: Job, *, content: Picture | None = None, styles: Sequence[Picture] | None = None) -> Inputs:
    """Read the files that `job` names, or take `content` and `styles` in their place. Raises `ImageError`."""
    picture = _seen(content or files.read(job.content), "content")
    size = output_size(picture.size_hw, job.size)
    pixels = resized(picture.pixels, size)
    alpha = None if picture.alpha is None else resized(picture.alpha, size, mode="bilinear")
    if alpha is not None and job.paint.alpha == "drop":
        pixels, alpha = over_white(pixels, alpha), None
    read = styles or (files.read(source.source) for source in job.styles)  # one at a time: they may be large
    radius = job.paint.feather * max(size)
    mix = Mix(tuple(_style(s, p, job, pixels, radius) for s, p in zip(job.styles, read, strict=True)))
    init = job.optimise.init_picture
    start = files.read(init).pixels if init is not None and job.optimise.init == "picture" else None
    return Inputs(pixels, alpha, picture.bits, mix, _cover(mix), start)


def output_size(size_hw: SizeHW, size: SizeOptions) -> SizeHW:
    """The output's `(h, w)` for a content of `size_hw`."""
    if size.exact is not None:
        return size.exact[1], size.exact[0]
    if size.megapixels is not None:
        return fit(size_hw, megapixels=size.megapixels)
    if size.short_side is not None:
        return fit(size_hw, short_side_px=size.short_side)
    return fit(size_hw, long_side_px=size.size) if size.size else size_hw


def over_white(pixels: Tensor, alpha: Tensor | None) -> Tensor:
    """`pixels` `(1, 3, h, w)` as they look on white; the very same tensor without `alpha` `(1, 1, h, w)`."""
    return pixels if alpha is None else torch.lerp(torch.ones_like(pixels), pixels, alpha)


def _seen(picture: Picture, name: str) -> Picture:
    h, w = picture.size_hw
    if min(h, w) < SMALLEST_SIDE_PX:
        raise ImageTooSmall(f"{name} is {w}×{h} px; {SMALLEST_SIDE_PX} px a side or more are needed. Use another file.")
    return picture


def _style(source: StyleSource, picture: Picture, job: Job, content: Tensor, radius_px: float) -> Style:
    picture = _seen(picture, f"the style {Path(source.source).name}")
    pixels = over_white(picture.pixels, picture.alpha)  # what is transparent has no style
    size = style_size(picture.size_hw, (content.shape[-2], content.shape[-1]), scale=source.scale)
    pixels = resized(pixels, size)
    if job.colour.match_style != "no":
        pixels = COLOUR_MATCHES[job.colour.match_style](pixels, content)
    mask = None
    if source.mask is not None:
        mask = feathered(read_mask(source.mask, (content.shape[-2], content.shape[-1])), radius_px)
    return Style(pixels, source.weight, source.scale, mask, Path(source.source).name)


def style_size(size_hw: SizeHW, output_hw: SizeHW, *, scale: float) -> SizeHW:
    """What is kept of a style picture of `size_hw`: no scale of painting looks at more, and no memory goes to the rest.

    The long side is that of the output times `scale`, unless the short side would then fall below 256 px: how small
    the picture may become is known to the encoder only, and `stylizers.targets.at_scale` goes on from here.
    """
    size = fit(size_hw, long_side_px=max(1, round(max(output_hw) * scale)), enlarge=False)
    if min(size) >= STYLE_SHORT_SIDE_PX:
        return size
    return fit(size_hw, short_side_px=STYLE_SHORT_SIDE_PX, enlarge=False)


def _cover(mix: Mix) -> Tensor | None:
    masks = [style.mask for style in mix.styles if style.mask is not None]
    return torch.cat(masks).amax(dim=0, keepdim=True) if masks else None
