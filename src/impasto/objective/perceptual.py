"""The perceptual objective: content and style of a picture as an encoder sees them, and its smoothness."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from impasto.losses.statistics import Statistic
from impasto.losses.table import StyleLoss

Features = Mapping[str, Tensor]


class Encoder(Protocol):
    """`encoder(image, layers) -> {layer: features}`."""

    def __call__(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Features `(b, c, h, w)` of `image` `(b, 3, h, w)` in `[0, 1]`."""
        ...


@dataclass(frozen=True)
class Terms:
    """A scalar `total` to be minimised, and the weighted `parts` that add up to it."""

    total: Tensor
    parts: dict[str, Tensor]


@dataclass(frozen=True)
class ContentTerm:
    """The features of one layer are to stay near `target`."""

    layer: str
    target: Tensor
    weight: float
    distance: Callable[[Tensor, Tensor], Tensor]

    def __call__(self, feats: Features) -> Tensor:
        """The weighted loss."""
        return self.weight * self.distance(feats[self.layer], self.target)


@dataclass(frozen=True)
class StyleTerm:
    """The statistic of one layer is to come near `target`, in the region that `mask` `(1, 1, h, w)` gives."""

    layer: str
    target: Statistic
    weight: float
    loss: StyleLoss
    mask: Tensor | None = None

    def __call__(self, feats: Features) -> Tensor:
        """The weighted loss."""
        return self.weight * self.loss(feats[self.layer], self.target, weights=self.mask)


@dataclass(frozen=True)
class PixelTerm:
    """A loss of the picture's pixels: `function(image) -> scalar`."""

    name: str
    weight: float
    function: Callable[[Tensor], Tensor]

    def __call__(self, image: Tensor) -> Tensor:
        """The weighted loss."""
        return self.weight * self.function(image)


@dataclass(frozen=True)
class Perceptual:
    """`objective(image) -> Terms`, with the parts `content`, `style` and one for each pixel term."""

    encoder: Encoder
    content: tuple[ContentTerm, ...] = ()
    style: tuple[StyleTerm, ...] = ()
    pixels: tuple[PixelTerm, ...] = ()

    @property
    def layers(self) -> frozenset[str]:
        """The layers that the encoder is asked for."""
        return frozenset([*(term.layer for term in self.content), *(term.layer for term in self.style)])

    def __call__(self, image: Tensor) -> Terms:
        """The losses of `image` `(b, 3, h, w)`; no deeper layer is computed than a term needs."""
        feats = self.encoder(image, self.layers) if self.layers else {}
        losses = [
            *(("content", term(feats)) for term in self.content),
            *(("style", term(feats)) for term in self.style),
            *((term.name, term(image)) for term in self.pixels),
        ]
        parts: dict[str, Tensor] = {}
        for name, loss in losses:
            parts[name] = parts[name] + loss if name in parts else loss
        if not parts:
            return Terms(image.sum() * 0, {})
        return Terms(torch.stack(list(parts.values())).sum(), parts)


def out_of_range(image: Tensor) -> Tensor:
    """Mean squared distance of pixel values from `[0, 1]`: what saving would clip."""
    return ((-image).clamp(min=0) + (image - 1).clamp(min=0)).square().mean()
