"""A stylizer with its code made ready: pictures in, paintings out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from impasto.stylizers.protocol import Stylizer, check_strength


@dataclass(frozen=True)
class PreparedStylizer:
    """What paints every picture alike, and asks nothing more.

    `name` is that of the style, `sha256` the digest of all that decides what is painted: weights, style, strength.
    """

    name: str
    sha256: str
    stylizer: Stylizer[Any]
    code: Any
    strength: float = 1.0
    licence: str = "not stated"

    def __post_init__(self) -> None:
        check_strength(self.strength)

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """`images` `(b, 3, h, w)` in `[0, 1]` repainted, one after the other: the same shape, float32, no gradient.

        They come and go on the processor, wherever the stylizer computes.
        """
        return torch.cat([self._painted(image) for image in torch.split(images, 1)])

    def _painted(self, image: Tensor) -> Tensor:
        *_, last = self.stylizer.paint(image, self.code, strength=self.strength)
        return last.picture().float()
