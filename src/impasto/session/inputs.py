"""The pictures of a job, read, sized and colour-matched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial, reduce
from pathlib import Path

import torch
from torch import Tensor

from impasto.config.job import Job, StyleSource
from impasto.config.pictures import SizeOptions
from impasto.core.errors import ImageError, ImageTooSmall
from impasto.encoders.table import Progress
from impasto.image import files
from impasto.image.clouds import clouds
from impasto.image.colour import COLOUR_MATCHES
from impasto.image.files import Picture
from impasto.image.masks import feathered, read_mask, rest_of
from impasto.image.pixels import over_white
from impasto.image.resize import SizeHW, fit, resized
from impasto.image.tiling import check_multiples, resized_wrapped, rounded, wraps_of
from impasto.session.job_cache import JobCache
from impasto.session.plan import Plan
from impasto.styles.resolved import CodeStyle, PictureStyle, ResolvedStyle, TrainedStyle
from impasto.stylizers.protocol import Mix, Style
from impasto.stylizers.temporal import Temporal

CLOUDS_HW = (512, 512)  # their own size, and so their shape
SMALLEST_SIDE_PX = 2  # of an input picture


@dataclass(frozen=True)
class Inputs:
    """The inputs of a stylizer.

    `content` `(1, 3, h, w)` and `alpha` `(1, 1, h, w)` have the output's size; `exif` is the
    content's date, camera and copyright; `cover` is the union of the masks, None where they cover all; `temporal`
    is the warped previous frame of a film.
    """

    content: Tensor
    alpha: Tensor | None
    bits: int
    mix: Mix
    exif: Mapping[str, str] = field(default_factory=dict)
    cover: Tensor | None = None
    init_picture: Tensor | None = None
    temporal: Temporal | None = None

    @property
    def size_hw(self) -> SizeHW:
        """The output's size."""
        return self.content.shape[-2], self.content.shape[-1]


def read_inputs(plan: Plan, *, cache: JobCache | None = None, progress: Progress | None = None) -> Inputs:
    """The pictures that the plan names, at the size that the stylizer needs.

    `cache` holds the inputs of earlier jobs; weights are loaded if a saved style needs them. Raises
    `ImageError`, and `WeightsError` for a saved style of another encoder.
    """
    cache, job = cache or JobCache(), plan.job
    content = cache.content(job, lambda: _content(plan)) if plan.content is None else _sized_content(plan.content, job)
    read_style = partial(_style, plan=plan, content=content.pixels, cache=cache, progress=progress)
    masks = _masks(job, (content.pixels.shape[-2], content.pixels.shape[-1]))
    mix = Mix(tuple(read_style(style, mask=mask) for style, mask in zip(plan.styles, masks, strict=True)))
    start = job.optimise.init_picture
    begins = files.read(start).pixels if start is not None and job.optimise.init == "picture" else None
    return Inputs(
        content.pixels,
        content.alpha,
        content.bits,
        mix,
        exif=content.exif,
        cover=cover_of(job.styles, [mask for mask in masks if mask is not None]),
        init_picture=begins,
    )


def _content(plan: Plan) -> Picture:
    job, seed = plan.job, plan.clouds_seed
    if seed is not None:
        size = output_size(CLOUDS_HW, job.size)
        return Picture(clouds(size, seed=seed, wraps=wraps_of(job.size.tileable)), None, 8)
    return _sized_content(files.read(job.content), job)


def _sized_content(picture: Picture, job: Job) -> Picture:
    """The content at the output's size, over white where its transparency is dropped."""
    _check_side(picture, "content")
    sized = partial(resized_wrapped, size_hw=output_size(picture.size_hw, job.size), wraps=wraps_of(job.size.tileable))
    pixels = sized(picture.pixels)
    alpha = None if picture.alpha is None else sized(picture.alpha, mode="bilinear")
    if alpha is not None and job.paint.alpha == "drop":
        pixels, alpha = over_white(pixels, alpha), None
    return Picture(pixels, alpha, picture.bits, exif=picture.exif)


def output_size(size_hw: SizeHW, size: SizeOptions) -> SizeHW:
    """The output's `(h, w)` for a content of `size_hw`; sides that wrap are rounded to multiples.

    Raises `OptionError` for an exact size that would have to be rounded.
    """
    wraps = wraps_of(size.tileable)
    if size.exact is not None:
        exact = size.exact[1], size.exact[0]
        check_multiples(exact, wraps)
        return exact
    if size.megapixels is not None:
        size_hw = fit(size_hw, megapixels=size.megapixels)
    elif size.short_side is not None:
        size_hw = fit(size_hw, short_side_px=size.short_side)
    elif size.size:
        size_hw = fit(size_hw, long_side_px=size.size)
    return rounded(size_hw, wraps=wraps)


def _check_side(picture: Picture, name: str) -> None:
    h, w = picture.size_hw
    if min(h, w) < SMALLEST_SIDE_PX:
        raise ImageTooSmall(f"{name} is {w}×{h} px; {SMALLEST_SIDE_PX} px a side or more are needed. Use another file.")


def _masks(job: Job, size_hw: SizeHW) -> list[Tensor | None]:
    """The masks of the styles, None for a style without one."""
    feather_px, wraps = job.paint.feather * max(size_hw), wraps_of(job.size.tileable)
    files_of = [style.mask_file for style in job.styles]
    read = [
        None if file is None else feathered(read_mask(file, size_hw, wraps=wraps), feather_px, wraps=wraps)
        for file in files_of
    ]
    if not any(style.paints_rest for style in job.styles):
        return read
    rest = rest_of([mask for mask in read if mask is not None])
    if not bool((rest > 0).any()):
        raise ImageError("the masks cover the whole content, so `mask=rest` has no pixels. Make a mask smaller.")
    return [rest if style.paints_rest else mask for style, mask in zip(job.styles, read, strict=True)]


def _style(
    style: ResolvedStyle,
    *,
    mask: Tensor | None,
    plan: Plan,
    content: Tensor,
    cache: JobCache,
    progress: Progress | None,
) -> Style:
    source = style.source
    named = partial(Style, weight=source.weight, scale=source.scale, mask=mask, name=Path(source.source).name)
    match style:
        case TrainedStyle():
            return named(trained=source.source)
        case CodeStyle():
            return named(code=cache.saved_code(plan, style, progress=progress))
        case PictureStyle():
            return _picture_style(style, named, plan=plan, content=content, cache=cache, progress=progress)


def _picture_style(
    style: PictureStyle,
    named: partial[Style],
    *,
    plan: Plan,
    content: Tensor,
    cache: JobCache,
    progress: Progress | None,
) -> Style:
    """The picture, or its code where the cache keeps codes."""
    size, match_style = (content.shape[-2], content.shape[-1]), plan.job.colour.match_style

    def pixels() -> Tensor:
        picture = style.picture or files.read(style.source.source)
        least, enlarge = plan.method.style_short_side_px, plan.method.encodes
        return style_pixels(picture, style.source, output_hw=size, short_side_px=least, enlarge=enlarge)

    if match_style != "no":
        return named(picture=COLOUR_MATCHES[match_style](pixels(), content))
    code = cache.style_code(plan, style, long_side_px=max(size), read=pixels, progress=progress)
    return named(picture=pixels()) if code is None else named(code=code)


def style_pixels(
    picture: Picture, source: StyleSource, *, output_hw: SizeHW, short_side_px: int, enlarge: bool = False
) -> Tensor:
    """A style picture composited over white, at the size of `style_size`."""
    _check_side(picture, f"the style {Path(source.source).name}")
    pixels = over_white(picture.pixels, picture.alpha)
    size = style_size(picture.size_hw, output_hw, scale=source.scale, short_side_px=short_side_px, enlarge=enlarge)
    return resized(pixels, size)


def style_size(
    size_hw: SizeHW, output_hw: SizeHW, *, scale: float, short_side_px: int, enlarge: bool = False
) -> SizeHW:
    """The size at which a style picture of `size_hw` is used.

    The long side is the output's times `scale`, unless the short side would fall below `short_side_px`. The picture
    is not enlarged, which would add no detail, unless `enlarge` and the scale is above 1: an encoder then sees larger
    strokes, by that factor, for pictures of any size.
    """
    if enlarge and scale > 1:
        base = fit(size_hw, long_side_px=max(output_hw), enlarge=False)
        size_hw = fit(base, long_side_px=round(max(base) * scale))
        output_hw, scale = size_hw, 1.0
    size = fit(size_hw, long_side_px=max(1, round(max(output_hw) * scale)), enlarge=False)
    if min(size) >= short_side_px:
        return size
    return fit(size_hw, short_side_px=short_side_px, enlarge=False)


def cover_of(sources: Sequence[StyleSource], masks: Sequence[Tensor]) -> Tensor | None:
    """The union of `masks`; None without masks, or if one of the styles has the mask `rest`."""
    if not masks or any(source.paints_rest for source in sources):
        return None
    return reduce(torch.maximum, masks)
