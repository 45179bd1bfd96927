"""Scaling the weights of a VGG so that its features have unit mean, without changing what a layer responds to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from impasto.encoders.vgg import Vgg

DEAD = 0.02  # lower bound of a channel's mean, as a fraction of the layer's mean


@torch.no_grad()
def unit_mean(vgg: Vgg, images: Tensor, *, each: Literal["channel", "layer"] = "channel") -> dict[str, Tensor]:
    """Canonical tensors with which every channel, or every layer, after its ReLU has mean 1 on `images`.

    A convolution is divided by its outputs' means and multiplied by its inputs': ReLU and average pooling are
    homogeneous, so each feature changes only in scale (Gatys et al. 2016, section 2, normalise
    the channels of VGG-19 in this way). Max pooling is homogeneous, too. Needs a network without batch norm.
    """
    if vgg.norms:
        raise ValueError("the network has batch norms: fold them first.")
    tensors = dict(vgg.convs_folded())
    before: Tensor | None = None
    for name in vgg.convs:
        means = channel_means(vgg, images, layer=name.replace("conv", "relu"))
        means = torch.maximum(means, DEAD * means.mean()) if bool(means.any()) else torch.ones_like(means)
        if each == "layer":
            means = means.mean().expand_as(means)
        weight = tensors[f"{name}.weight"] / means[:, None, None, None]
        tensors[f"{name}.weight"] = weight if before is None else weight * before[None, :, None, None]
        tensors[f"{name}.bias"] = tensors[f"{name}.bias"] / means
        before = means
    return tensors


@torch.no_grad()
def channel_means(vgg: Vgg, images: Tensor, *, layer: str, batch: int = 16) -> Tensor:
    """Mean of each channel of a layer over pictures `(n, 3, h, w)` and places, `(c,)`."""
    sums = [vgg(part, [layer])[layer].float().mean((0, 2, 3)) * len(part) for part in torch.split(images, batch)]
    return torch.stack(sums).sum(0) / len(images)


def layer_means(vgg: Vgg, images: Tensor) -> Mapping[str, float]:
    """Mean activation of each ReLU, for a card."""
    names = [name.replace("conv", "relu") for name in vgg.convs]
    return {name: round(channel_means(vgg, images, layer=name).mean().item(), 4) for name in names}
