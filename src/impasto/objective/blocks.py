"""A picture in blocks with halos as wide as an encoder's receptive field: pure arithmetic, exact at any size."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.image.resize import SizeHW
from impasto.image.tiling import Wraps

BLOCK_PX = 1_400_000
"""Approximate pixels of a block with its halo. From 1.5 megapixels on, a VGG uses gradient checkpointing."""


@dataclass(frozen=True)
class Span:
    """Rows or columns `start` to `stop`, which belong to this span only, within `first` to `last`, which are computed.

    If the side `wraps`, the latter may exceed the range `0` to `length` and are then taken modulo `length`.
    """

    start: int
    stop: int
    first: int
    last: int
    length: int
    wraps: bool = False

    def pieces(self) -> Iterator[tuple[slice, slice]]:
        """Slices of the computed places, in the picture and in the span."""
        at = self.first
        while at < self.last:
            place = at % self.length
            count = min(self.length - place, self.last - at)
            yield slice(place, place + count), slice(at - self.first, at - self.first + count)
            at += count

    def within(self, stride: int = 1) -> slice:
        """The span's own places in features that were computed of it."""
        ends = self.stop == self.length and not self.wraps  # of odd sizes the remainder belongs to the last span
        return slice((self.start - self.first) // stride, None if ends else (self.stop - self.first) // stride)

    def place(self, stride: int = 1) -> slice:
        """The span's own places in the features of the whole picture."""
        return slice(self.start // stride, None if self.stop == self.length else self.stop // stride)


def spans(length: int, count: int, *, reach_px: int, stride: int, wraps: bool = False) -> tuple[Span, ...]:
    """`length` places in `count` spans of about equal size, which begin at multiples of `stride`.

    A halo extends `reach_px` places beyond both ends, within the picture unless the side wraps. A side that wraps is a
    multiple of `stride`.
    """
    reach_px = math.ceil(reach_px / stride) * stride
    edges = [length * number // (count * stride) * stride for number in range(count)] + [length]
    found = []
    for start, stop in itertools.pairwise(edges):
        first, last = start - reach_px, stop + reach_px
        if not wraps:
            first, last = max(0, first), min(length, last)
        found.append(Span(start, stop, first, last, length, wraps))
    return tuple(found)


@dataclass(frozen=True)
class CanvasBlock:
    """A rectangle of a picture, by its rows and columns."""

    y: Span
    x: Span

    def seen(self, image: Tensor) -> Tensor:
        """The pixels `(b, c, …)` of `image` `(b, c, h, w)` that are computed, in float32 or float64."""
        rows = [image[..., place, :] for place, _ in self.y.pieces()]
        columns = [place for place, _ in self.x.pieces()]
        pieces = [torch.cat([row[..., place] for place in columns], dim=-1) for row in rows]
        found = torch.cat(pieces, dim=-2)
        return found.float() if found.dtype in (torch.float16, torch.bfloat16) else found

    def add(self, part: Tensor, total: Tensor) -> None:
        """Add `part`, a gradient by what is `seen`, to `total`, the gradient by the whole picture."""
        for rows, own_rows in self.y.pieces():
            for columns, own_columns in self.x.pieces():
                total[..., rows, columns] += part[..., own_rows, own_columns]

    def own(self, feats: Tensor, stride: int = 1) -> Tensor:
        """The block's own places of features that were computed of what is `seen`."""
        return feats[..., self.y.within(stride), self.x.within(stride)]

    def place(self, feats: Tensor, stride: int = 1) -> Tensor:
        """The block's own places in features of the whole picture."""
        return feats[..., self.y.place(stride), self.x.place(stride)]


def blocks_of(
    size_hw: SizeHW, *, reach_px: int, stride: int, block_px: int = BLOCK_PX, wraps: Wraps = (False, False)
) -> tuple[CanvasBlock, ...]:
    """The blocks of a picture of `size_hw`, of about `block_px` computed pixels at most, with the fewest in total."""
    rows, columns = (
        [
            spans(side, count, reach_px=reach_px, stride=stride, wraps=wrap)
            for count in range(1, max(1, side // max(stride, reach_px)) + 1)
        ]
        for side, wrap in zip(size_hw, wraps, strict=True)
    )
    fitting = [(y, x) for y in rows for x in columns if max(_seen(y)) * max(_seen(x)) <= block_px]
    y, x = min(fitting or [(rows[-1], columns[-1])], key=lambda pair: sum(_seen(pair[0])) * sum(_seen(pair[1])))
    return tuple(CanvasBlock(above, beside) for above in y for beside in x)


def _seen(line: Sequence[Span]) -> list[int]:
    return [span.last - span.first for span in line]
