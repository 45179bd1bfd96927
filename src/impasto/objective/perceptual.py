"""The perceptual objective: a weighted sum of losses of an image's features in an encoder, and of its pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

Features = Mapping[str, Tensor]
Encode = Callable[[Tensor, Iterable[str]], dict[str, Tensor]]
"""`encoder(image, layers)` gives `{layer: features (b, c, h, w)}` of `image` `(b, 3, h, w)` in `[0, 1]`."""


@dataclass(frozen=True)
class Terms:
    """A scalar `total` to minimise, and its weighted `parts`."""

    total: Tensor
    parts: dict[str, Tensor]


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
    """`objective(image) -> Terms`; terms of one name add up to a part. Terms of weight 0 are not computed."""

    encoder: Encode
    features: tuple[FeatureTerm, ...] = ()
    pixels: tuple[PixelTerm, ...] = ()

    @property
    def layers(self) -> frozenset[str]:
        """The layers that the encoder computes."""
        return frozenset(term.layer for term in self.features if term.weight)

    def __call__(self, image: Tensor) -> Terms:
        """The losses of `image` `(b, 3, h, w)`."""
        feats = self.encoder(image, self.layers) if self.layers else {}
        losses = [(term.name, term(feats)) for term in self.features if term.weight]
        losses += [(term.name, term(image)) for term in self.pixels if term.weight]
        parts: dict[str, Tensor] = {}
        for name, loss in losses:
            parts[name] = parts[name] + loss if name in parts else loss
        if not parts:
            return Terms(image.sum() * 0, {})
        return Terms(torch.stack(list(parts.values())).sum(), parts)


def out_of_range(image: Tensor) -> Tensor:
    """Mean squared distance of pixel values from `[0, 1]`, which saving would clip to."""
    return ((-image).clamp(min=0) + (image - 1).clamp(min=0)).square().mean()
