"""Measures in an encoder's features. Lower is better; 0 is equal, 1 is as far as no features at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from impasto.core.errors import OptionError, UnknownName
from impasto.image.resize import resized
from impasto.losses.table import CONTENT_LOSSES, STYLE_LOSSES

Encoder = Callable[[Tensor, Sequence[str]], Mapping[str, Tensor]]
"""`encoder(image (b, 3, h, w), layers)` gives `{layer: features (b, c, h, w)}`."""


@torch.no_grad()
def content_distance(output: Tensor, content: Tensor, encoder: Encoder, layers: Sequence[str]) -> float:
    """Relative squared distance of features, the mean over layers; `output` is first resized to `content`'s size."""
    found, target = encoder(fitted(output, content), _some(layers)), encoder(content, layers)
    return _mean([CONTENT_LOSSES["l2"](found[name], target[name]) for name in layers])


@torch.no_grad()
def style_distance(
    output: Tensor, style: Tensor, encoder: Encoder, layers: Sequence[str], *, loss: str = "gram"
) -> float:
    """Distance of a style statistic (a name in `STYLE_LOSSES`), the mean over layers. The sizes may differ."""
    if loss not in STYLE_LOSSES:
        raise UnknownName.of("style loss", loss, STYLE_LOSSES)
    row = STYLE_LOSSES[loss]
    found, target = encoder(output, _some(layers)), encoder(style, layers)
    return _mean([row(found[name], row.target(target[name])) for name in layers])


def fitted(image: Tensor, other: Tensor) -> Tensor:
    """`image (b, 3, h, w)` at the size of `other`; the very same tensor where the sizes agree."""
    height, width = other.shape[-2:]
    return resized(image, (height, width))


def _some(layers: Sequence[str]) -> Sequence[str]:
    if not layers:
        raise OptionError("no layers to measure in; name one or more layers of the encoder.")
    return layers


def _mean(values: Sequence[Tensor]) -> float:
    return float(torch.stack([value.float() for value in values]).mean())
