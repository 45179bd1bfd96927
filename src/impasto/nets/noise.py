"""White noise as a function of place and seed, so that a picture painted in parts equals the whole."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import torch
from torch import Tensor

GAIN = 10.0
"""Factor of the learned strengths: a step of Adam, the learning rate, is little against features of 1."""

MASK = 0xFFFFFFFF


class Noise(Protocol):
    """Noise planes for the layers of one picture; video passes its own, which follows the motion."""

    def plane(self, layer: int, start: int, stop: int, width: int, *, stride: int, device: torch.device) -> Tensor:
        """Rows `start` to `stop` of the noise of a layer, `(1, 1, stop - start, width)` in float32.

        Standard normal and white. `layer` numbers the layers of a network; a place of the layer covers `stride` ×
        `stride` pixels of the picture. The same rows must give the same numbers, whichever strips they are asked in.
        """


@dataclass(frozen=True)
class SeededNoise:
    """Noise that follows from `seed`, layer and place.

    `offset_yx` moves the noise by pixels of the picture, downwards and to the right, rounded to places of each layer: a
    picture that was cut from a larger one, or a camera that pans, keeps the noise of its places.
    """

    seed: int = 0
    offset_yx: tuple[int, int] = (0, 0)

    def plane(self, layer: int, start: int, stop: int, width: int, *, stride: int, device: torch.device) -> Tensor:
        """See `Noise.plane`."""
        down, right = (round(offset / stride) for offset in self.offset_yx)
        return noise_plane(
            start - down, stop - down, left=-right, right=width - right, layer=layer, seed=self.seed, device=device
        )


def with_noise(x: Tensor, strength: Tensor, *, plane: Tensor) -> Tensor:
    """`x` `(b, c, h, w)` plus `plane` `(1|b, 1, h, w)` times `GAIN · strength` `(c,)`; in place without gradients."""
    factor = (GAIN * strength)[None, :, None, None].to(x.dtype)
    if torch.is_grad_enabled():
        return torch.addcmul(x, plane.to(x.dtype), factor)
    return x.addcmul_(plane.to(x.dtype), factor)


@lru_cache(maxsize=32)
def noise_plane(
    top: int, bottom: int, *, left: int, right: int, layer: int, seed: int = 0, device: torch.device | None = None
) -> Tensor:
    """Rows and columns of an endless plane of standard normal noise, `(1, 1, bottom - top, right - left)` in float32.

    Each number depends on its place, the layer and the seed alone: an integer hash (the finaliser of MurmurHash3,
    Appleby) gives two uniform numbers, which Box and Muller (1958) make normal.
    """
    rows = torch.arange(top, bottom, dtype=torch.int64, device=device)[:, None]
    columns = torch.arange(left, right, dtype=torch.int64, device=device)
    key = hashed(hashed(rows + 0x9E3779B1 * (layer + 1)) + columns + hashed(torch.tensor(seed & MASK, device=device)))
    radius, angle = key.double().add(0.5) / 2**32, hashed(key + 0x7F4A7C15).double() / 2**32
    normal = (-2 * radius.log()).sqrt() * (2 * math.pi * angle).cos()
    return normal.float()[None, None]


def hashed(numbers: Tensor) -> Tensor:
    """32 well-mixed bits of each of the int64 `numbers`, as int64."""
    numbers = numbers & MASK
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        numbers = ((numbers ^ (numbers >> shift)) * factor) & MASK
    return numbers ^ (numbers >> 16)
