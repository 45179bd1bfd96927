"""A stylizer whose output is given colours or luminance of the content."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Generic

from torch import Tensor

from impasto.config.pictures import ColourOptions
from impasto.core.errors import OptionError
from impasto.image.colour import COLOUR_MATCHES, with_luminance_of
from impasto.image.resize import resized
from impasto.stylizers.protocol import Code, Mix, Step, Stylizer


@dataclass(frozen=True)
class Coloured(Generic[Code]):
    """`inner`, then colours matched to the content, then the content's chroma or luminance put in place."""

    inner: Stylizer[Code]
    options: ColourOptions

    def prepare(self, mix: Mix) -> Code:
        """As `inner` does."""
        if self.options.keep_colours != "no" and self.options.keep_luminance != "no":
            raise OptionError("`keep_colours` and `keep_luminance` together give the content back. Use one of them.")
        return self.inner.prepare(mix)

    def paint(self, content: Tensor, code: Code, *, strength: float = 1.0) -> Iterator[Step]:
        """Steps of `inner` whose `picture()` has the colours."""
        for step in self.inner.paint(content, code, strength=strength):
            yield replace(
                step, finish=(*step.finish, partial(with_content_colours, content=content, options=self.options))
            )


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
