"""A stylizer that leaves a part of the content as it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Generic

import torch
from torch import Tensor

from impasto.image.resize import resized
from impasto.image.strips import by_strips
from impasto.stylizers.protocol import Code, Mix, Step, Stylizer


@dataclass(frozen=True)
class Masked(Generic[Code]):
    """`inner` where `cover` `(1, 1, h, w)` is 1, the content where it is 0."""

    inner: Stylizer[Code]
    cover: Tensor

    def prepare(self, mix: Mix) -> Code:
        """As `inner` does."""
        return self.inner.prepare(mix)

    def paint(self, content: Tensor, code: Code, *, strength: float = 1.0) -> Iterator[Step]:
        """Steps of `inner` whose `picture()` shows the content outside the cover."""
        for step in self.inner.paint(content, code, strength=strength):
            yield replace(step, finish=(*step.finish, partial(covered, content=content, cover=self.cover)))


def covered(image: Tensor, content: Tensor, *, cover: Tensor) -> Tensor:
    """`image` over `content`, as far as `cover` reaches."""
    size = (image.shape[-2], image.shape[-1])
    return by_strips(torch.lerp, resized(content, size), image, resized(cover, size, mode="bilinear"))
