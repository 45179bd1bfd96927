"""The noise of networks, rolled with a picture that continues at the opposite edge."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.nets.noise import noise_plane


@dataclass(frozen=True)
class MovedNoise:
    """The noise of a picture of `size_hw`, rolled with it."""

    size_hw: tuple[int, int]
    by_yx: tuple[int, int]

    def plane(self, layer: int, start: int, stop: int, width: int, *, stride: int, device: torch.device) -> Tensor:
        """See `noise.Noise`."""
        bottom, right = (side // stride for side in self.size_hw)
        whole = noise_plane(0, bottom, left=0, right=right, layer=layer)
        return whole.roll([by // stride for by in self.by_yx], (-2, -1))[:, :, start:stop, :width]
