"""White noise that is a function of place and seed, so that a picture painted in parts equals the whole."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

GAIN = 10.0
"""Of the learned strengths: with Adam they move by the learning rate a step, which is little against features of 1."""

MASK = 0xFFFFFFFF


def with_noise(
    x: Tensor, strength: Tensor, *, layer: int, drawn: bool = False, seed: int = 0, first_row: int = 0
) -> Tensor:
    """`x` `(b, c, h, w)` plus one plane of standard normal noise times `strength` `(c,)`.

    `drawn`: the plane is a new one for each picture, from torch's generator; otherwise it follows from seed, layer and
    place, `x` being the rows from `first_row`. Where no gradient is asked for, `x` is overwritten.
    """
    height, width = x.shape[-2:]
    if drawn:
        plane = torch.randn((len(x), 1, height, width), device=x.device)
    else:
        plane = noise_plane(first_row, first_row + height, width, layer=layer, seed=seed, device=x.device)
    factor = (GAIN * strength)[None, :, None, None].to(x.dtype)
    if torch.is_grad_enabled():
        return torch.addcmul(x, plane.to(x.dtype), factor)
    return x.addcmul_(plane.to(x.dtype), factor)


@lru_cache(maxsize=32)
def noise_plane(
    start: int, stop: int, width: int, *, layer: int, seed: int = 0, device: torch.device | None = None
) -> Tensor:
    """Rows `start` to `stop` of a plane of standard normal noise, `(1, 1, stop - start, width)` in float32.

    Each number depends on its place, the layer and the seed alone: an integer hash (the finaliser of MurmurHash3,
    Appleby) gives two uniform numbers, Box and Muller (1958) make them normal.
    """
    rows = torch.arange(start, stop, dtype=torch.int64, device=device)[:, None]
    columns = torch.arange(width, dtype=torch.int64, device=device)
    key = hashed(hashed(rows + 0x9E3779B1 * (layer + 1)) + columns + hashed(torch.tensor(seed & MASK, device=device)))
    near, far = key.double().add(0.5) / 2**32, hashed(key + 0x7F4A7C15).double() / 2**32
    normal = (-2 * near.log()).sqrt() * (2 * math.pi * far).cos()
    return normal.float()[None, None]


def hashed(numbers: Tensor) -> Tensor:
    """32 well-mixed bits of each of the int64 `numbers`, as int64."""
    numbers = numbers & MASK
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        numbers = ((numbers ^ (numbers >> shift)) * factor) & MASK
    return numbers ^ (numbers >> 16)
