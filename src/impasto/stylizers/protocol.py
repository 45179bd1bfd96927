"""The protocol of stylizers: `prepare` once, `paint` often."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from impasto.core.errors import OptionError

Code = TypeVar("Code")
BARE = 1e-6  # masks whose sum is below this paint nothing


@dataclass(frozen=True)
class Style:
    """One style of a mix: a picture, a saved `code`, or the name of a `trained` style.

    `picture` `(1, 3, h, w)` in `[0, 1]`; `code`: what a network needs to know of a picture, by name; `weight` is
    relative to the other styles'; `scale` multiplies the size of the style picture's strokes (2: twice as large);
    `mask` `(1, 1, h, w)` in `[0, 1]` is the region of the content that this style paints, of any size.
    """

    picture: Tensor | None = None
    weight: float = 1.0
    scale: float = 1.0
    mask: Tensor | None = None
    name: str = ""
    code: Mapping[str, Tensor] | None = None
    trained: str = ""

    def __post_init__(self) -> None:
        given = [self.picture is not None, self.code is not None, self.trained != ""]
        if sum(given) != 1:
            parts = [part for part, has in zip(("a picture", "a code", "a network"), given, strict=True) if has]
            parts_given = f"both {' and '.join(parts)}" if parts else "neither a picture nor a code nor a network"
            raise OptionError(f"the style {self.name!r} has {parts_given}. Give one of them.")

    def on(self, device: torch.device) -> Style:
        """The same style with its picture and mask on `device`."""
        picture = None if self.picture is None else self.picture.to(device)
        mask = None if self.mask is None else self.mask.to(device)
        return replace(self, picture=picture, mask=mask)

    def required_picture(self, *, by: str = "`method=optimise`") -> Tensor:
        """The picture; `OptionError` for a style without one, saying that `by` needs it."""
        if self.trained:
            raise OptionError(f"{by} needs the style's picture; {self.name!r} is a trained style, which has none.")
        if self.picture is None:
            raise OptionError(
                f"{by} needs the style's picture; {self.name!r} is a saved style, which has none. "
                "Give the picture that it was saved from."
            )
        return self.picture


@dataclass(frozen=True)
class Mix:
    """One or several styles. With masks, each style paints its own region; every style has one, or none has.

    Weights may be below 0 (away from a style) where the stylizer knows what that means; their sum is above 0.
    """

    styles: tuple[Style, ...]

    def __post_init__(self) -> None:
        if not self.styles:
            raise OptionError("no style is given. Name at least one: `style=picture.jpg`")
        for style in self.styles:
            if not math.isfinite(style.weight):
                raise OptionError(f"the weight of style {style.name!r} is {style.weight:g}; a number is needed.")
            if not (math.isfinite(style.scale) and style.scale > 0):
                raise OptionError(f"the scale of style {style.name!r} is {style.scale:g}; it must be above 0.")
        if sum(style.weight for style in self.styles) <= 0:
            total = sum(style.weight for style in self.styles)
            raise OptionError(f"the style weights add up to {total:g}; their sum must be above 0.")
        masked = [style.mask is not None for style in self.styles]
        if any(masked) and not all(masked):
            raise OptionError("some styles have a mask and some have none. Give each style a mask, or none.")

    def check_no_negative(self, *, by: str) -> None:
        """Raise `OptionError` where a weight is below 0, which `by` does not support."""
        for style in self.styles:
            if style.weight < 0:
                raise OptionError(
                    f"the weight of style {style.name!r} is {style.weight:g}; {by} needs 0 or more for each style."
                )

    @property
    def first(self) -> Style:
        """The first style that counts."""
        return next(style for style in self.styles if style.weight > 0)

    @property
    def style_weights(self) -> tuple[float, ...]:
        """The weights, scaled to sum 1; with masks, each style's own weight."""
        if self.styles[0].mask is not None:
            return tuple(style.weight for style in self.styles)
        total = sum(style.weight for style in self.styles)
        return tuple(style.weight / total for style in self.styles)


@dataclass(frozen=True)
class Step:
    """One step of painting.

    `index` counts from 1 to `total` over all scales; `size_hw` is the canvas's size now; `losses` are the weighted
    parts, `image` `(1, 3, h, w)` in `[0, 1]` is the picture so far, at the canvas's size; `note` is a message for the
    user. Wrappers add functions of pictures to `finish`.
    """

    index: int
    total: int
    size_hw: tuple[int, int]
    image: Tensor
    losses: Mapping[str, float] = field(default_factory=dict)
    note: str = ""
    finish: tuple[Callable[[Tensor], Tensor], ...] = ()

    def picture(self) -> Tensor:
        """The picture as it would be saved now: `image` after the functions in `finish`, which run on demand only."""
        image = self.image
        for function in self.finish:
            image = function(image)
        return image


def check_strength(strength: float) -> None:
    """Raise `OptionError` for a strength below 0 or not finite."""
    if not (math.isfinite(strength) and strength >= 0):
        raise OptionError(f"the strength is {strength:g}; it must be 0 or more.")


class Stylizer(Protocol[Code]):
    """Two verbs, no hidden state."""

    def prepare(self, mix: Mix) -> Code:
        """The styles as painting needs them; expensive, done once."""

    def paint(self, content: Tensor, code: Code, *, strength: float = 1.0) -> Iterator[Step]:
        """Paint `content` `(1, 3, h, w)`; the last step carries the result. `strength` 0 gives the content back."""
