"""Clouds: seeded noise at all scales, the content of textures painted in one pass."""

from __future__ import annotations

import re

import torch
from torch import Tensor

from impasto.image.resize import SizeHW
from impasto.image.strips import LARGE_PX
from impasto.image.tiling import NO_WRAPS, Wraps, resized_wrapped

SPREAD = 0.2
"""Standard deviation of the values around 0.5, about that of photographs."""

COARSEST_PX = 64
"""Size of the coarsest noise. Larger clouds make large plain areas in one pass, finer ones a grain."""

_NAME = re.compile(r"clouds:(\d{1,19})")


def clouds_name(seed: int) -> str:
    """The name of the clouds of `seed` as the content of a job."""
    return f"clouds:{seed}"


def clouds_seed(name: str) -> int | None:
    """The seed in the name of clouds; None for any other content."""
    match = _NAME.fullmatch(name)
    return None if match is None else int(match[1])


def clouds(size_hw: SizeHW, *, seed: int, wraps: Wraps = NO_WRAPS) -> Tensor:
    """Clouds `(1, 3, h, w)` in `[0, 1]`, in float32, or float16 as other large pictures (`files.Picture`).

    The sum of octaves of noise, each half as large and half as strong as the one before, so that the spectrum falls
    with frequency as in photographs. Colours vary half as much as lightness.
    """
    generator = torch.Generator().manual_seed(seed)
    large = size_hw[0] * size_hw[1] > LARGE_PX
    picture = torch.zeros(1, 3, *size_hw, dtype=torch.float16 if large else torch.float32)
    channels = [picture[:, index : index + 1] for index in range(3)]

    def noise(scale: float) -> Tensor:
        grid = [max(1, round(side * scale)) for side in size_hw]
        return resized_wrapped(torch.randn(1, 1, *grid, generator=generator), size_hw, wraps=wraps, clamp=False)

    strength, scale = 1.0, 1 / COARSEST_PX
    while scale <= 1:
        grey = noise(scale)
        for channel in channels:
            channel += strength * (grey + 0.5 * noise(scale))
        strength, scale = strength / 2, scale * 2
    for channel in channels:
        values = channel.float()
        spread = values.std(correction=0).clamp(min=1e-3)
        channel.copy_(((values - values.mean()) * (SPREAD / spread) + 0.5).clamp(0, 1))
    return picture
