"""The losses of pixels as sums over blocks: each function computes the share of one block."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.image.resize import SizeHW
from impasto.image.tiling import Wraps
from impasto.objective.blocks import CanvasBlock, Span

POOL_PX = 4
"""Of `smoothness.laplacian_match`."""


def variation_part(block: CanvasBlock, seen: Tensor, *, size_hw: SizeHW, wraps: Wraps) -> Tensor:
    """The block's share of `smoothness.total_variation` of a picture of `size_hw`; `seen` are its pixels and halo."""
    (height, width), channels = size_hw, seen.shape[1]
    rows, columns = block.y.within(), block.x.within()
    below, right = _with_next(block.y), _with_next(block.x)
    down = seen[..., below, columns].diff(dim=-2).square().sum() / _pairs(height, wraps[0])
    across = seen[..., rows, right].diff(dim=-1).square().sum() / _pairs(width, wraps[1])
    return down / (channels * width) + across / (channels * height)


def laplacian_part(block: CanvasBlock, seen: Tensor, *, content: Tensor, wraps: Wraps) -> Tensor:
    """The block's share of `smoothness.laplacian_match` with the whole `content`."""
    size = tuple(side // POOL_PX for side in content.shape[-2:])
    away = F.avg_pool2d(seen - block.seen(content).to(seen), POOL_PX)
    (above, below), (left, right) = (
        _inner(span, length, wraps=wrap) for span, length, wrap in zip((block.y, block.x), size, wraps, strict=True)
    )
    count = seen.shape[1] * (size[0] - 2 * (not wraps[0])) * (size[1] - 2 * (not wraps[1]))
    if below <= above or right <= left:
        return seen.sum() * 0
    near = away[..., above - 1 : below + 1, left - 1 : right + 1]
    around = near[..., :-2, 1:-1] + near[..., 2:, 1:-1] + near[..., 1:-1, :-2] + near[..., 1:-1, 2:]
    return (around - 4 * near[..., 1:-1, 1:-1]).square().sum() / count


def range_part(block: CanvasBlock, seen: Tensor, *, size_hw: SizeHW) -> Tensor:
    """The block's share of `perceptual.out_of_range`."""
    own = block.own(seen)
    beyond = (-own).clamp(min=0) + (own - 1).clamp(min=0)
    return beyond.square().sum() / (own.shape[1] * size_hw[0] * size_hw[1])


def _with_next(span: Span) -> slice:
    """The span's own places and the next one, if it exists."""
    stop = min(span.stop + 1, span.last)
    return slice(span.start - span.first, stop - span.first)


def _pairs(length: int, wraps: bool) -> float:
    """Pairs of neighbours along a side; infinity for none, so that the empty sum contributes 0."""
    return length if wraps else length - 1 if length > 1 else torch.inf


def _inner(span: Span, length: int, *, wraps: bool) -> tuple[int, int]:
    """The span's own places in a pooled picture of `length`, without the border, relative to its halo."""
    first = span.first // POOL_PX
    start, stop = span.start // POOL_PX, min(span.stop // POOL_PX, length)
    if not wraps:
        start, stop = max(start, 1), min(stop, length - 1)
    return start - first, stop - first
