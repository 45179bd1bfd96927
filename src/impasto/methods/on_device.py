"""A stylizer that computes on another device than the pictures are on."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic

import torch
from torch import Tensor

from impasto.stylizers.protocol import Code, Mix, Step, Stylizer


@dataclass(frozen=True)
class OnDevice(Generic[Code]):
    """`inner` with its pictures moved to `device`; steps come back with their image on the content's device."""

    inner: Stylizer[Code]
    device: torch.device

    def prepare(self, mix: Mix) -> Code:
        """As `inner` does, from style pictures and masks on the device."""
        return self.inner.prepare(Mix(tuple(style.on(self.device) for style in mix.styles)))

    def paint(self, content: Tensor, code: Code, *, strength: float = 1.0) -> Iterator[Step]:
        """Steps of `inner`."""
        for step in self.inner.paint(content.to(self.device), code, strength=strength):
            yield dataclasses.replace(step, image=step.image.to(content.device))
