"""A stylizer whose pictures are finished with the content: its colours or luminance, or a part of it left as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Generic

import torch
from torch import Tensor

from impasto.config.pictures import ColourOptions
from impasto.core.errors import OptionError
from impasto.image.colour import COLOUR_MATCHES, with_luminance_of
from impasto.image.resize import resized
from impasto.image.strips import by_strips
from impasto.stylizers.protocol import Code, Mix, Step, Stylizer


@dataclass(frozen=True)
class Finished(Generic[Code]):
    """`inner`, then `finish(image, content)` of the pictures of its steps; the content may have another size."""

    inner: Stylizer[Code]
    finish: Callable[[Tensor, Tensor], Tensor]

    def prepare(self, mix: Mix) -> Code:
        """As `inner` does."""
        return self.inner.prepare(mix)

    def paint(self, content: Tensor, code: Code, *, strength: float = 1.0) -> Iterator[Step]:
        """Steps of `inner` whose `picture()` is finished."""
        for step in self.inner.paint(content, code, strength=strength):
            yield replace(step, finish=(*step.finish, lambda image: self.finish(image, content)))


def coloured(inner: Stylizer[Code], options: ColourOptions) -> Finished[Code]:
    """`inner`, then colours matched to the content, then the content's chroma or luminance put in place."""
    if options.keep_colours != "no" and options.keep_luminance != "no":
        raise OptionError("`keep_colours` and `keep_luminance` together give the content back. Use one of them.")
    return Finished(inner, partial(with_content_colours, options=options))


def masked(inner: Stylizer[Code], cover: Tensor) -> Finished[Code]:
    """`inner` where `cover` `(1, 1, h, w)` is 1, the content where it is 0."""
    return Finished(inner, partial(covered, cover=cover))


def with_content_colours(image: Tensor, content: Tensor, *, options: ColourOptions) -> Tensor:
    """`image` `(1, 3, h, w)` with colours taken from `content`, which may have another size."""
    content = resized(content, (image.shape[-2], image.shape[-1]))
    if options.match_output != "no":
        image = COLOUR_MATCHES[options.match_output](image, content)
    if options.keep_colours != "no":
        image = with_luminance_of(content, image, space=options.keep_colours)
    if options.keep_luminance != "no":
        image = with_luminance_of(image, content, space=options.keep_luminance)
    return image


def covered(image: Tensor, content: Tensor, *, cover: Tensor) -> Tensor:
    """`image` over `content`, as far as `cover` reaches."""
    size = (image.shape[-2], image.shape[-1])
    return by_strips(torch.lerp, resized(content, size), image, resized(cover, size, mode="bilinear"))
