"""Gains for a VGG with another pooling than in training, which preserve the magnitude of its features."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping

import torch
from torch import Tensor

from impasto.core.errors import WeightsError
from impasto.encoders.vgg import Vgg
from impasto.image.pixels import preprocess_from
from impasto.weights.card import Card, filled

MOST_CONVS = 64
"""Of a stage; a VGG has 4."""


def natural_noise(size_px: int, *, count: int, seed: int) -> Tensor:
    """Pictures `(count, 3, size, size)` with the 1/f spectrum of photographs (Field 1987), in `[0, 1]`."""
    generator = torch.Generator().manual_seed(seed)
    white = torch.randn(count, 3, size_px, size_px, generator=generator)
    fy, fx = torch.fft.fftfreq(size_px)[:, None], torch.fft.rfftfreq(size_px)[None]
    falling = 1 / torch.sqrt(fx**2 + fy**2).clamp(min=1 / size_px)
    picture = torch.fft.irfft2(torch.fft.rfft2(white) * falling, s=(size_px, size_px))
    picture = (picture - picture.mean((2, 3), keepdim=True)) / picture.std((2, 3), keepdim=True)
    return torch.clamp(0.45 + 0.2 * picture, 0, 1)


@torch.no_grad()
def measured_gains(vgg: Vgg, pooling: str) -> tuple[float, ...]:
    """For each pooling of `vgg`, the ratio of the root mean squares after native pooling and after `pooling`.

    Measured on 1/f noise, stage by stage with the previous gains applied. With these gains every stage gets features
    of the magnitude that it was trained on.
    """
    image = natural_noise(128, count=2, seed=0)
    names = [f"pool{stage}" for stage in range(1, len(vgg.stages))]
    native = vgg(image, names)
    trial = copy.copy(vgg)  # shares the weights
    trial.pooling = pooling  # type: ignore[assignment]
    gains = [1.0] * len(names)
    for index, name in enumerate(names):
        trial.pool_gain = tuple(gains)
        weaker = trial(image, [name])[name]
        gains[index] = math.sqrt(native[name].square().mean() / weaker.square().mean().clamp(min=1e-12))
    return tuple(gains)


def build_vgg(card: Card, tensors: Mapping[str, Tensor], *, pooling: str) -> Vgg:
    """The network of a card; `pooling` is "native", "max" or "average", the latter two with measured gains."""
    network, colour = card.network, preprocess_from(card.preprocess or "rgb")
    if absent := sorted({"stages", "padding", "pooling"} - network.keys()):
        raise WeightsError(f"the card of {card.name} has no {', '.join(absent)} in its network; a VGG needs them.")
    native = network["pooling"]
    try:
        stages = [(int(width), int(count)) for width, count in network["stages"]]
    except (TypeError, ValueError) as error:
        raise WeightsError(
            f"the card of {card.name} has the stages {network['stages']!r}; pairs are needed."
        ) from error
    if not stages or any(not (width > 0 and 0 < count <= MOST_CONVS) for width, count in stages):
        raise WeightsError(f"the card of {card.name} has the stages {stages}; 1 to {MOST_CONVS} convolutions each fit.")

    def convolutions() -> Vgg:
        return Vgg(
            stages,
            matrix=colour.matrix,
            offset=colour.offset,
            padding=network["padding"],
            pooling=native,
            ceil_mode=bool(network.get("ceil_mode", False)),
        )

    vgg = filled(convolutions, tensors, where=card.name, part=lambda net: net.convs)
    if pooling not in ("native", native):
        vgg.pool_gain = measured_gains(vgg, pooling)
        vgg.pooling = pooling  # type: ignore[assignment]
    return vgg
