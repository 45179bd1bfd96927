"""Encoders by name: the architectures, and an encoder ready to use."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from impasto.core.errors import UnknownName
from impasto.encoders.gains import build_vgg
from impasto.encoders.hypercolumns import STRIDE, hypercolumns, parts_of, with_parts
from impasto.encoders.precision import compute_dtype
from impasto.encoders.protocol import DefaultLayers, EncoderNet, Stages
from impasto.encoders.squeezenet import build_squeezenet
from impasto.encoders.vgg import POOLINGS
from impasto.image.tiling import NO_WRAPS, Wraps
from impasto.weights import readers
from impasto.weights.card import Card
from impasto.weights.download import Progress

__all__ = ["ARCHITECTURES", "Encoder", "Progress", "build_encoder", "load_encoder"]


ARCHITECTURES: dict[str, Callable[..., EncoderNet]] = {"vgg": build_vgg, "squeezenet-1.0": build_squeezenet}
"""Builders by the architecture's name in a card; arguments are card, tensors and `pooling=`. A new encoder is a row."""


@dataclass(frozen=True)
class Encoder:
    """A frozen encoder with its card: `encoder(image, layers) -> {layer: features}`.

    Computes in `dtype`; features of a bfloat16 encoder are bfloat16. Gradients reach the image, not the weights.
    A name such as `relu1_1+relu3_1` is also a layer, with the channels of its parts (`encoders.hypercolumns`).
    """

    net: EncoderNet
    card: Card
    sha256: str
    dtype: torch.dtype = torch.float32
    wraps: Wraps = NO_WRAPS

    def wrapped(self, wraps: Wraps) -> Encoder:
        """The encoder of pictures that wrap; `OptionError` for a network that cannot."""
        return self if wraps == self.wraps else dataclasses.replace(self, net=self.net.wrapped(wraps), wraps=wraps)

    def __call__(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Features `(b, c, h, w)` of `image` `(b, 3, h, w)`, RGB in `[0, 1]`."""
        image = image.float() if image.dtype == torch.float16 else image  # as very large pictures are read
        image = image.contiguous(memory_format=torch.channels_last)
        layers = list(layers)
        with torch.autocast(image.device.type, torch.bfloat16, enabled=self.dtype == torch.bfloat16):
            feats = self.net(image, with_parts(layers))
        size = (image.shape[-2], image.shape[-1])
        return {
            name: feats[name] if name in feats else hypercolumns(feats, name, image_hw=size, wraps=self.wraps)
            for name in layers
        }

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
        return sum(self.net.width(part) for part in parts_of(layer))

    def stride(self, layer: str) -> int:
        """Pixels of the image per feature pixel."""
        parts = parts_of(layer)
        finest = min(self.net.stride(part) for part in parts)
        return finest if len(parts) == 1 else max(STRIDE, finest)

    def smallest_px(self, layers: Iterable[str]) -> int:
        """Shortest image side that the layers accept. Raises `UnknownName`."""
        return self.net.smallest_px(with_parts(layers))

    def reach_px(self, layers: Iterable[str]) -> int | None:
        """Receptive field to each side in pixels; None where the image cannot be encoded tile by tile."""
        layers = list(layers)
        return None if any("+" in layer for layer in layers) else self.net.reach_px(layers)

    @property
    def stages(self) -> Stages | None:
        """Width and number of convolutions of each stage; None for a network that a decoder cannot mirror."""
        return self.net.stages

    @property
    def defaults(self) -> DefaultLayers:
        """Layers of content and style by default."""
        return self.net.defaults


def load_encoder(
    name_or_path: str | Path,
    *,
    pooling: str = "native",
    precision: str = "auto",
    checkpoint_format: str | None = None,
    progress: Progress | None = None,
) -> Encoder:
    """The encoder of a catalogue name or a weight file, frozen, in the memory format that is fastest.

    Raises `UnknownName`, `WeightsError` and its kinds; downloads weights that are neither bundled nor cached.
    """
    file = readers.load_weights(name_or_path, checkpoint_format=checkpoint_format, progress=progress)
    return build_encoder(file.card, file.tensors, sha256=file.sha256, pooling=pooling, precision=precision)


def build_encoder(
    card: Card, tensors: Mapping[str, Tensor], *, sha256: str = "", pooling: str = "native", precision: str = "auto"
) -> Encoder:
    """The encoder that a card and its tensors describe; `pooling` is "native", "max" or "average"."""
    if pooling not in ("native", *POOLINGS):
        raise UnknownName.of("pooling", pooling, known=("native", *POOLINGS))
    architecture = str(card.network.get("architecture"))
    if architecture not in ARCHITECTURES:
        raise UnknownName.of("architecture", architecture, known=ARCHITECTURES)
    net = ARCHITECTURES[architecture](card, tensors, pooling=pooling).eval().requires_grad_(False)
    net = net.to(memory_format=torch.channels_last)  # type: ignore[attr-defined]
    return Encoder(net, card, sha256, compute_dtype(precision))
