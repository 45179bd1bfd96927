"""Encoders by name: the architectures, and an encoder ready to use."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from impasto.core.errors import OptionError, UnknownName, WeightsError
from impasto.encoders.gains import measured_gains
from impasto.encoders.precision import compute_dtype
from impasto.encoders.squeezenet import SqueezeNet
from impasto.encoders.vgg import POOLINGS, Vgg
from impasto.image.pixels import Preprocess, preprocess_from
from impasto.weights import readers
from impasto.weights.card import Card, fill
from impasto.weights.download import Progress

__all__ = ["ARCHITECTURES", "Encoder", "Progress", "build_encoder", "load_encoder"]


def _vgg(card: Card, tensors: Mapping[str, Tensor], pooling: str) -> Vgg:
    network, colour = card.network, _colour(card)
    if absent := sorted({"stages", "padding", "pooling"} - network.keys()):
        raise WeightsError(f"the card of {card.name} lacks {', '.join(absent)} in its network; a VGG needs them.")
    native = network["pooling"]
    vgg = Vgg(
        network["stages"],
        matrix=colour.matrix,
        offset=colour.offset,
        padding=network["padding"],
        pooling=native,
        ceil_mode=network.get("ceil_mode", False),
    )
    fill(vgg.convs, tensors, card.name)
    if pooling not in ("native", native):
        vgg.pool_gain = measured_gains(vgg, pooling)
        vgg.pooling = pooling  # type: ignore[assignment]
    return vgg


def _squeezenet(card: Card, tensors: Mapping[str, Tensor], pooling: str) -> SqueezeNet:
    if pooling not in ("native", "max"):
        raise OptionError(f"--pooling is {pooling}; {card.name} is a SqueezeNet, which has max pooling only.")
    colour = _colour(card)
    net = SqueezeNet(matrix=colour.matrix, offset=colour.offset, conv1_padding=card.network.get("conv1_padding", 0))
    fill(net, tensors, card.name)
    return net


def _colour(card: Card) -> Preprocess:
    return preprocess_from(card.preprocess or "rgb")


ARCHITECTURES: dict[str, Callable[[Card, Mapping[str, Tensor], str], Vgg | SqueezeNet]] = {
    "vgg": _vgg,
    "squeezenet-1.0": _squeezenet,
}
"""Builders by the name in a card's `network`."""


@dataclass(frozen=True)
class Encoder:
    """A frozen encoder with its card: `encoder(image, layers) -> {layer: features}`.

    Computes in `dtype`; features of a bfloat16 encoder are bfloat16. Gradients reach the image, not the weights.
    """

    net: Vgg | SqueezeNet
    card: Card
    sha256: str
    dtype: torch.dtype = torch.float32

    def __call__(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Features `(b, c, h, w)` of `image` `(b, 3, h, w)`, RGB in `[0, 1]`."""
        image = image.float() if image.dtype == torch.float16 else image  # as very large pictures are read
        image = image.contiguous(memory_format=torch.channels_last)
        with torch.autocast(image.device.type, torch.bfloat16, enabled=self.dtype == torch.bfloat16):
            found: dict[str, Tensor] = self.net(image, layers)
        return found

    @property
    def name(self) -> str:
        """The name in the card."""
        return self.card.name

    @property
    def layers(self) -> tuple[str, ...]:
        """Every layer name, shallow to deep."""
        return self.net.layers

    def width(self, layer: str) -> int:
        """Number of channels of a layer."""
        return self.net.width(layer)

    def stride(self, layer: str) -> int:
        """Pixels of the image per feature pixel."""
        return self.net.stride(layer)

    def smallest_px(self, layers: Iterable[str]) -> int:
        """Shortest image side that the layers can take; `UnknownName` for a layer that there is not."""
        return self.net.smallest_px(layers)


def load_encoder(
    name_or_path: str | Path,
    *,
    pooling: str = "native",
    precision: str = "auto",
    checkpoint_format: str | None = None,
    progress: Progress | None = None,
) -> Encoder:
    """The encoder of a catalogue name or a weight file, frozen, in the memory format that is fastest.

    Raises `UnknownName`, `WeightsError` and its kinds; downloads what is neither bundled nor cached.
    """
    file = readers.load_weights(name_or_path, checkpoint_format=checkpoint_format, progress=progress)
    return build_encoder(file.card, file.tensors, sha256=file.sha256, pooling=pooling, precision=precision)


def build_encoder(
    card: Card, tensors: Mapping[str, Tensor], *, sha256: str = "", pooling: str = "native", precision: str = "auto"
) -> Encoder:
    """The encoder that a card and its tensors describe; `pooling` is "native", "max" or "average"."""
    if pooling not in ("native", *POOLINGS):
        raise UnknownName.of("pooling", pooling, ("native", *POOLINGS))
    architecture: Any = card.network.get("architecture")
    if architecture not in ARCHITECTURES:
        raise UnknownName.of("architecture", str(architecture), ARCHITECTURES)
    net = ARCHITECTURES[architecture](card, tensors, pooling).eval().requires_grad_(False)
    net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Encoder(net, card, sha256, compute_dtype(precision))
