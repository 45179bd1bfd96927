"""The perceptual objective: a weighted sum of losses of an image's features in an encoder, and of its pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from impasto.losses.statistics import Statistic

Features = Mapping[str, Tensor]


class Encoder(Protocol):
    """`encoder(image, layers) -> {layer: features}`."""

    def __call__(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Features `(b, c, h, w)` of `image` `(b, 3, h, w)` in `[0, 1]`."""
        ...


class TargetLoss(Protocol):
    """A row of the tables of style losses: `loss(features, target, weights=…) -> scalar`."""

    def __call__(self, feats: Tensor, target: Statistic, *, weights: Tensor | None = None) -> Tensor:
        """The loss of `feats` `(b, c, h, w)`; `weights` `(b|1, 1, h, w)` are shares of the places."""
        ...


@dataclass(frozen=True)
class Terms:
    """A scalar `total` to minimise, and its weighted `parts`."""

    total: Tensor
    parts: dict[str, Tensor]


@dataclass(frozen=True)
class ContentTerm:
    """The distance of one layer's features from `target`."""

    layer: str
    target: Tensor
    weight: float
    distance: Callable[[Tensor, Tensor], Tensor]

    def __call__(self, feats: Features) -> Tensor:
        """The weighted loss."""
        return self.weight * self.distance(feats[self.layer], self.target)


@dataclass(frozen=True)
class StyleTerm:
    """The distance of one layer's statistic from `target`, within the region `mask` `(1, 1, h, w)`."""

    layer: str
    target: Statistic
    weight: float
    loss: TargetLoss
    mask: Tensor | None = None

    def __call__(self, feats: Features) -> Tensor:
        """The weighted loss."""
        return self.weight * self.loss(feats[self.layer], self.target, weights=self.mask)


@dataclass(frozen=True)
class FeatureTerm:
    """A loss of one layer's features, of the part `name`: `function(features) -> scalar`."""

    name: str
    layer: str
    weight: float
    function: Callable[[Tensor], Tensor]

    def __call__(self, feats: Features) -> Tensor:
        """The weighted loss."""
        return self.weight * self.function(feats[self.layer])


@dataclass(frozen=True)
class PixelTerm:
    """A loss of the image's pixels, of the part `name`: `function(image) -> scalar`."""

    name: str
    weight: float
    function: Callable[[Tensor], Tensor]

    def __call__(self, image: Tensor) -> Tensor:
        """The weighted loss."""
        return self.weight * self.function(image)


@dataclass(frozen=True)
class Perceptual:
    """`objective(image) -> Terms`, with the parts `content`, `style` and those that feature and pixel terms name.

    Terms of weight 0 are not computed.
    """

    encoder: Encoder
    content: tuple[ContentTerm, ...] = ()
    style: tuple[StyleTerm, ...] = ()
    pixels: tuple[PixelTerm, ...] = ()
    features: tuple[FeatureTerm, ...] = ()

    @property
    def layers(self) -> frozenset[str]:
        """The layers that the encoder computes."""
        terms: list[ContentTerm | StyleTerm | FeatureTerm] = [*self.content, *self.style, *self.features]
        return frozenset(term.layer for term in terms if term.weight)

    def __call__(self, image: Tensor) -> Terms:
        """The losses of `image` `(b, 3, h, w)`."""
        feats = self.encoder(image, self.layers) if self.layers else {}
        losses = [
            *(("content", term(feats)) for term in self.content if term.weight),
            *(("style", term(feats)) for term in self.style if term.weight),
            *((term.name, term(feats)) for term in self.features if term.weight),
            *((term.name, term(image)) for term in self.pixels if term.weight),
        ]
        parts: dict[str, Tensor] = {}
        for name, loss in losses:
            parts[name] = parts[name] + loss if name in parts else loss
        if not parts:
            return Terms(image.sum() * 0, {})
        return Terms(torch.stack(list(parts.values())).sum(), parts)


def out_of_range(image: Tensor) -> Tensor:
    """Mean squared distance of pixel values from `[0, 1]`, which saving would clip to."""
    return ((-image).clamp(min=0) + (image - 1).clamp(min=0)).square().mean()
