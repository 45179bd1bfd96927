"""Pictures that several networks paint of one content, blended by weights and masks."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor

from impasto.image.resize import SizeHW, resized
from impasto.image.strips import strips
from impasto.image.tiling import NO_WRAPS, Wraps
from impasto.nets.noise import Noise
from impasto.stylizers.protocol import BARE


class Paints(Protocol):
    """Paints a whole picture in one style, as `nets.painting.Painter` does."""

    def painted(
        self, image: Tensor, *, memory_bytes: int, noise: Noise | None = None, wraps: Wraps = NO_WRAPS
    ) -> Tensor:
        """`image` `(1, 3, h, w)` in `[0, 1]` repainted and clamped, in about `memory_bytes`."""


P = TypeVar("P", bound=Paints, covariant=True)


@dataclass(frozen=True)
class WeightedNetwork(Generic[P]):
    """A network and its weight: everywhere, or as far as `mask` `(1, 1, h, w)` reaches."""

    network: P
    weight: float
    mask: Tensor | None = None


def blend(
    content: Tensor,
    parts: Sequence[WeightedNetwork[Paints]],
    *,
    memory_bytes: int,
    noise: Noise | None = None,
    wraps: Wraps = NO_WRAPS,
) -> Tensor:
    """The pictures of `parts`, blended: `(1, 3, h, w)` with the content's precision, not clamped.

    Without masks the weights add up to 1. With masks they are normalised wherever a mask reaches; elsewhere the content
    stays. A network with several regions paints once. Masks and pictures beside the one that is painted count towards
    `memory_bytes`.
    """
    if len(parts) == 1 and parts[0].mask is None:
        painted = parts[0].network.painted(content, memory_bytes=memory_bytes, noise=noise, wraps=wraps)
        return painted.to(content.dtype)
    size = (content.shape[-2], content.shape[-1])
    parts = [_sized(part, size) for part in parts]
    networks = list(dict.fromkeys(part.network for part in parts if part.mask is None or bool(part.mask.any())))
    held = sum(part.mask.nbytes for part in parts if part.mask is not None) + content.nbytes
    output = torch.zeros_like(content)
    for network in networks:
        painted = network.painted(content, memory_bytes=memory_bytes - held, noise=noise, wraps=wraps)
        for rows in strips(*size):
            own = sum(_weights(part, rows) for part in parts if part.network is network)
            weight = own / _total(parts, rows).clamp(min=BARE)
            output[..., rows, :] += (weight * painted[..., rows, :]).to(content.dtype)
    if parts[0].mask is not None:
        for rows in strips(*size):
            covered = _total(parts, rows) > BARE
            output[..., rows, :] = torch.where(covered, output[..., rows, :], content[..., rows, :])
    return output


def _sized(part: WeightedNetwork[P], size_hw: SizeHW) -> WeightedNetwork[P]:
    if part.mask is None:
        return part
    return dataclasses.replace(part, mask=resized(part.mask, size_hw, mode="bilinear"))


def _weights(part: WeightedNetwork[Paints], rows: slice) -> Tensor:
    """The weight of a part in some rows, at each pixel where it has a mask."""
    return torch.full((1, 1, 1, 1), part.weight) if part.mask is None else part.weight * part.mask[..., rows, :].float()


def _total(parts: Sequence[WeightedNetwork[Paints]], rows: slice) -> Tensor:
    """The sum of the weights with masks; 1 without, as the weights already add up to that."""
    if parts[0].mask is None:
        return torch.ones(1, 1, 1, 1)
    return torch.stack([_weights(part, rows) for part in parts]).sum(0)
