"""Networks of one learned style, by name or file, ready to paint."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from impasto.core.errors import ImageTooSmall, OptionError, UnknownName, WeightsError
from impasto.encoders.precision import chosen
from impasto.encoders.table import Progress
from impasto.image.pixels import Preprocess, preprocess_from
from impasto.nets.residual import Residual
from impasto.weights import readers
from impasto.weights.card import Card, Loaded, fill
from impasto.weights.catalogue import LEARNED as KIND

__all__ = ["ARCHITECTURES", "KIND", "Learned", "built", "loaded"]

ARCHITECTURES: dict[str, Callable[..., Any]] = {"residual": Residual}
"""Builders by the name in a card's `network`; they take plain numbers. A network has `smallest_px` a side."""


@dataclass(frozen=True)
class Learned:
    """A frozen network with its card. It computes in `dtype`.

    `seen` maps a picture to what the network takes, `given` a picture to the range and colours in which it answers.
    """

    net: nn.Module
    card: Card
    sha256: str
    seen: Preprocess
    given: Preprocess
    dtype: torch.dtype = torch.float32

    @property
    def name(self) -> str:
        """The name in the card."""
        return self.card.name

    @torch.no_grad()
    def painted(self, image: Tensor) -> Tensor:
        """The whole `image` `(1, 3, h, w)` in `[0, 1]` repainted, in float32 and clamped. Raises `ImageTooSmall`."""
        height, width = image.shape[-2:]
        least = int(self.net.smallest_px)  # type: ignore[arg-type]
        if min(height, width) < least:
            raise ImageTooSmall(
                f"the content is {width}×{height} px here; {self.name} needs {least} px a side. Use a larger --size."
            )
        device = next(self.net.parameters()).device
        with torch.autocast(device.type, torch.bfloat16, enabled=self.dtype == torch.bfloat16):
            found = self.net(self.seen.apply(image.to(device).float()))
        return self.given.inverse().apply(found.float()).clamp_(0, 1).to(image.device)


def loaded(name_or_path: str | Path, *, precision: str = "auto", progress: Progress | None = None) -> Learned:
    """The network of a name of `impasto models list` or of a weight file of any known dialect, frozen.

    Raises `UnknownName`, `WeightsError` and its kinds.
    """
    return built(readers.loaded(name_or_path, progress=progress), precision=precision)


def built(file: Loaded, *, precision: str = "auto") -> Learned:
    """The network that a card and its tensors describe."""
    card = file.card
    if card.kind != KIND:
        raise WeightsError(f"{card.name} is of kind {card.kind}; a learned style, of kind {KIND}, is needed here.")
    numbers = dict(card.network)
    answer = numbers.pop("output", "rgb")
    net = _untrained(numbers, card.name)
    fill(net, file.tensors, card.name)
    try:
        seen, given = preprocess_from(card.preprocess or "rgb"), preprocess_from(answer)
        given.inverse()
    except OptionError as error:
        raise WeightsError(f"the card of {card.name} cannot be used: {error}") from error
    return Learned(net.eval().requires_grad_(False), card, file.sha256, seen, given, chosen(precision))


def _untrained(numbers: Mapping[str, Any], name: str) -> nn.Module:
    numbers = dict(numbers)
    architecture = str(numbers.pop("architecture", None))
    if architecture not in ARCHITECTURES:
        raise UnknownName.of("architecture", architecture, ARCHITECTURES)
    try:
        net: nn.Module = ARCHITECTURES[architecture](**numbers)
    except TypeError as error:
        raise WeightsError(
            f"the numbers {sorted(numbers)} of {name} are not those of {architecture} ({error}); the file may be "
            "written by a newer impasto: upgrade."
        ) from error
    return net
