"""Networks of one style, each with its share of a picture, and what they paint together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from impasto.image.resize import resized
from impasto.stylizers.protocol import BARE


class Paints(Protocol):
    """What paints a whole picture in one style, as `FastNetwork` does."""

    def painted(self, image: Tensor, *, memory_bytes: int) -> Tensor:
        """`image` `(1, 3, h, w)` in `[0, 1]` repainted and clamped, with about so much memory."""
        ...


@dataclass(frozen=True)
class WeightedNetwork:
    """A network, and its share of the picture: everywhere, or as far as `mask` `(1, 1, h, w)` reaches."""

    network: Paints
    weight: float
    mask: Tensor | None = None


def blend(content: Tensor, brushes: Sequence[WeightedNetwork], *, memory_bytes: int) -> Tensor:
    """What the brushes paint together, `(1, 3, h, w)` with the content's precision, before it is clamped.

    Without masks the shares add up to 1. With masks they do so wherever something is painted; elsewhere the content
    stays. A network with several regions paints once.
    """
    if len(brushes) == 1 and brushes[0].mask is None:
        return brushes[0].network.painted(content, memory_bytes=memory_bytes).to(content.dtype)
    size = (content.shape[-2], content.shape[-1])
    shares: dict[Paints, Tensor] = {}
    for brush in brushes:
        share = _share(brush, size)
        shares[brush.network] = shares[brush.network] + share if brush.network in shares else share
    whole = torch.stack(list(shares.values())).sum(0) if brushes[0].mask is not None else torch.ones(1, 1, 1, 1)
    found = torch.zeros_like(content)
    for network, share in shares.items():
        if bool(share.any()):
            part = (share / whole.clamp(min=BARE)).to(content.dtype)
            painted = network.painted(content, memory_bytes=memory_bytes).to(content.dtype)
            found.addcmul_(painted, part.expand_as(content))
    return torch.where(whole > BARE, found, content)


def _share(brush: WeightedNetwork, size_hw: tuple[int, int]) -> Tensor:
    """The brush's weight, at each pixel where it has a mask."""
    if brush.mask is None:
        return torch.full((1, 1, 1, 1), brush.weight)
    return brush.weight * resized(brush.mask, size_hw, mode="bilinear")
