"""The first canvas, and its enlargement from one scale to the next."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from impasto.core.errors import OptionError
from impasto.image.colour import matched_covariance
from impasto.image.masks import normalised
from impasto.image.resize import SizeHW, resized
from impasto.image.tiling import NO_WRAPS, Wraps, resized_wrapped
from impasto.stylizers.protocol import Mix


def first_canvas(
    init: str, content: Tensor, *, mix: Mix, generator: torch.Generator, wraps: Wraps = NO_WRAPS
) -> Tensor:
    """The first canvas of `init` options without a picture of their own, of the size of `content` `(1, 3, h, w)`.

    `content`; `style`: the first style picture of the mix, stretched; `noise`: white noise around grey; `grey`;
    `statistics`: smooth noise in the style's colours. `picture` without a picture raises `OptionError`.
    """
    size = (content.shape[-2], content.shape[-1])
    if init == "content":
        return content.clone()
    if init == "grey":
        return torch.full_like(content, 0.5)
    if init == "style":
        return resized(mix.first.required_picture(), size).clone()
    if init == "noise":
        return (0.5 + 0.1 * torch.randn(content.shape, generator=generator)).clamp(0, 1).to(content)
    if init == "statistics":
        coarse = torch.randn(1, 3, max(1, size[0] // 16), max(1, size[1] // 16), generator=generator)
        clouds = resized_wrapped(coarse, size, wraps=wraps, clamp=False)
        noise = 0.5 + 0.1 * clouds + 0.05 * torch.randn(content.shape, generator=generator)
        return matched_covariance(noise.clamp(0, 1), mix.first.required_picture()).to(content)
    raise OptionError("`init=picture` needs `init_picture=FILE`.")


Match = Callable[[Tensor, Tensor], Tensor]


def in_style_colours(
    content: Tensor, mix: Mix, *, match: Match = matched_covariance, wraps: Wraps = NO_WRAPS
) -> Tensor:
    """`content` `(1, 3, h, w)` with the colours of each style by `match`, blended as the mix says."""
    size = (content.shape[-2], content.shape[-1])
    styles = [style for style in mix.styles if style.weight > 0]
    weights = torch.tensor([style.weight for style in styles])
    weights = (weights / weights.sum()).view(-1, 1, 1, 1)
    if styles[0].mask is not None:
        given = [style.mask for style in styles if style.mask is not None]
        masks = [resized_wrapped(mask, size, wraps=wraps, mode="bilinear") for mask in given]
        weights = normalised(masks)  # (n, 1, h, w)
    parts = torch.cat([match(content, style.required_picture()) for style in styles])
    return (weights.to(parts) * parts).sum(0, keepdim=True).clamp(0, 1)


def enlarged(canvas: Tensor, size_hw: SizeHW, *, start: Tensor | None, wraps: Wraps = NO_WRAPS) -> Tensor:
    """`canvas` at the next scale, with the detail of the full-size `start` that the smaller canvas could not hold.

    So a canvas that nothing has changed equals its start at every scale.
    """
    sized = partial(resized_wrapped, wraps=wraps)
    if start is None:
        return sized(canvas, size_hw)
    before = sized(start, (canvas.shape[-2], canvas.shape[-1]))
    return (sized(start, size_hw) + sized(canvas - before, size_hw, clamp=False)).clamp(0, 1)
