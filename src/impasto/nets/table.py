"""One-pass networks by name: the architectures, and a network ready to use."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from impasto.core.errors import WeightsError
from impasto.encoders import table as encoders
from impasto.encoders.precision import compute_dtype
from impasto.encoders.table import Encoder, Progress
from impasto.image.pixels import preprocess_from
from impasto.nets import architectures
from impasto.nets.adain_decoder import AdaINDecoder
from impasto.nets.colours import COLOURS
from impasto.nets.fast import ARCHITECTURES as FAST_ARCHITECTURES
from impasto.nets.painting import RGB, Painter
from impasto.nets.predicted import Predicted
from impasto.nets.protocol import AnyStyle, StyleParams
from impasto.weights import readers
from impasto.weights.card import Card, Loaded, filled

__all__ = ["ARCHITECTURES", "KIND", "VARIANTS", "Network", "encoder_for", "load_network", "network_from", "untrained"]

KIND = "arbitrary"


def _predicted(encoder: Encoder, *, code_layers: Sequence[str], **numbers: Any) -> Predicted:
    return Predicted({name: encoder.width(name) for name in code_layers}, **numbers)


ARCHITECTURES: dict[str, Callable[..., Any]] = {"mirrored": AdaINDecoder, "predicted": _predicted}
"""Builders by the name in a card's `network`; they take the encoder and plain numbers."""

SKIPS = ("relu1_1", "relu2_1", "relu3_1")
CODE_LAYERS = (*SKIPS, "relu4_1", "relu5_1")

PREDICTED: dict[str, Any] = {
    "architecture": "predicted",
    "code_layers": CODE_LAYERS,
    "widths": (16, 32, 96),
    "blocks": 4,
    "upsampling": "bilinear",
    "noise": True,
    "matches_palette": True,
    "matches_bands": True,
}
VARIANTS: dict[str, dict[str, Any]] = {
    "adain": {"architecture": "mirrored"},
    "adain-residual": {"architecture": "mirrored", "residual": True},
    "adain-skip": {"architecture": "mirrored", "skips": SKIPS},
    "adain-colour": {"architecture": "mirrored", "skips": SKIPS, "recolours": True},
    "efdm": {"architecture": "mirrored", "quantiles": True},
    "wct": {"architecture": "mirrored", "covariances": True},
    "wct-skip": {"architecture": "mirrored", "skips": SKIPS, "covariances": True},
    "predicted": PREDICTED,
    "predicted-half": {**PREDICTED, "unshuffle": 2},
}
"""What can be trained, by name: an architecture and its numbers. A new variant is a row."""


@dataclass(frozen=True)
class Network:
    """A frozen network for any style with its card and its encoder. It computes in `dtype`."""

    net: AnyStyle
    card: Card
    sha256: str
    encoder: Encoder
    dtype: torch.dtype = torch.float32

    @property
    def name(self) -> str:
        """The name in the card."""
        return self.card.name

    @property
    def code_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the entries of a style's code."""
        widths = {name: self.encoder.width(name) for name in self.net.code_layers}
        rows = self.net.statistic.rows
        shapes: dict[str, tuple[int, ...]] = {name: (1, rows(width), width) for name, width in widths.items()}
        return shapes | ({COLOURS: (1, 4, 3)} if self.net.recolours else {})

    @cached_property
    def base(self) -> str | None:
        """As `FastNetwork.base` of the fast network that paints: equal where trained styles mix with pictures."""
        if self.net.fast_network is None:
            return None
        net, options = self.net.fast_network
        more = [RGB, RGB, str(self.dtype)]
        return architectures.base_of(net, options, builder=FAST_ARCHITECTURES[options["architecture"]], more=more)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return next(self.encoder.net.parameters()).device

    @torch.no_grad()
    def painter(self, params: StyleParams) -> Painter:
        """The painter of the style with these parameters `(1, …)`."""
        rgb = preprocess_from(RGB)
        return Painter(self.net.of_style(params), self.name, rgb, rgb, self.dtype, self.device)


def untrained(encoder: Encoder, network: Mapping[str, Any]) -> Any:
    """The module that a card's `network`, or a row of `VARIANTS`, describes.

    Raises `UnknownName` for another architecture or layer, `WeightsError` for numbers that the architecture has not.
    """
    described = {name: value for name, value in network.items() if name != "encoder"}
    return architectures.untrained(described, ARCHITECTURES, name="the network", given=(encoder,))


def load_network(name_or_path: str | Path, *, precision: str = "auto", progress: Progress | None = None) -> Network:
    """The network of a catalogue name or a weight file, with its encoder, frozen.

    Raises `UnknownName`, `WeightsError` and its kinds.
    """
    file = readers.load_weights(name_or_path, progress=progress)
    return network_from(file, encoder_for(file.card, precision=precision, progress=progress), precision=precision)


def encoder_for(card: Card, *, precision: str = "auto", progress: Progress | None = None) -> Encoder:
    """The encoder that a network was trained with. `WeightsError` where the one of that name has changed since."""
    if card.kind != KIND:
        raise WeightsError(f"{card.name} is of kind {card.kind}; a network of kind {KIND} is needed here.")
    wanted = card.network.get("encoder")
    if not isinstance(wanted, dict) or not {"name", "sha256"} <= wanted.keys():
        raise WeightsError(
            f"the card of {card.name} does not say which encoder it needs. Weights of other projects are imported with "
            "it first: impasto models import decoder.pth `encoder=vgg_normalised`"
        )
    encoder = encoders.load_encoder(wanted["name"], precision=precision, progress=progress)
    if encoder.sha256 != wanted["sha256"]:
        raise WeightsError(
            f"{card.name} was trained with another {wanted['name']} than the one at hand (sha256 "
            f"{wanted['sha256'][:12]}… and {encoder.sha256[:12]}…). Use the network that came with this encoder."
        )
    return encoder


def network_from(file: Loaded, encoder: Encoder, *, precision: str = "auto") -> Network:
    """The network that a card and its tensors describe, on `encoder`."""
    net = filled(lambda: untrained(encoder, file.card.network), file.tensors, where=file.card.name)
    net = net.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Network(net, file.card, file.sha256, encoder, compute_dtype(precision))  # type: ignore[arg-type]
