"""Measures in an encoder's features. Lower is better; 0 is equal, 1 is as far as no features at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from impasto.core.errors import OptionError
from impasto.image.resize import resized
from impasto.losses.statistics import sliced
from impasto.losses.table import CONTENT_LOSSES, STYLE_LOSSES, StyleLoss

Encode = Callable[[Tensor, Sequence[str]], Mapping[str, Tensor]]
"""`encoder(image (b, 3, h, w), layers)` gives `{layer: features (b, c, h, w)}`."""

GRAM = STYLE_LOSSES["gram"]
SLICED = replace(STYLE_LOSSES["sliced"], statistic=partial(sliced, max_pixels=2**12))
"""With fewer pixels than the loss: sorting all of a 512-px picture took 10 to 20 s, and the value changed by less than
1 %."""


@torch.no_grad()
def content_distance(output: Tensor, content: Tensor, *, encoder: Encode, layers: Sequence[str]) -> float:
    """Relative squared distance of features, the mean over layers; `content` is first resized to the output's size."""
    feats, targets = encoder(output, _some(layers)), encoder(fitted(content, output), layers)
    return _mean([CONTENT_LOSSES["l2"](feats[name], targets[name]) for name in layers])


@torch.no_grad()
def style_distance(
    output: Tensor, style: Tensor, *, encoder: Encode, layers: Sequence[str], loss: StyleLoss = GRAM
) -> float:
    """Distance of a style statistic, the mean over layers. The sizes may differ."""
    feats, targets = encoder(output, _some(layers)), encoder(style, layers)
    return _mean([loss(feats[name], loss.target(targets[name])) for name in layers])


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
