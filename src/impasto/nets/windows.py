"""Strips of a picture with the rows around them that a network must see: pure arithmetic, exact at any size."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.image.resize import SizeHW

WINDOW_PX = 1_300_000
"""Pixels of a window, about."""

LEAST_ROWS = 64  # of a strip: thinner ones would be computed mostly for the rows around them


@dataclass(frozen=True)
class Window:
    """Rows `start` to `stop`, which belong to no other strip, within the rows `first` to `last` that are computed."""

    start: int
    stop: int
    first: int
    last: int

    def own_rows(self, feats: Tensor, *, stride: int = 1) -> Tensor:
        """The strip's rows of features `(b, c, h, w)` of the window, `stride` rows of the picture to each."""
        return feats[..., (self.start - self.first) // stride : -(-(self.stop - self.first) // stride), :]


def windows(
    size_hw: SizeHW, *, reach_px: int, stride: int, window_px: int = WINDOW_PX, wraps: bool = False
) -> tuple[Window, ...]:
    """Strips of a picture of `size_hw` from top to bottom; rows of strips and windows are multiples of `stride`.

    A window reaches `reach_px` rows beyond its strip, as far as there is a picture, or beyond its ends where rows
    `wraps`, and has about `window_px` pixels.
    """
    height, width = size_hw
    rows = max(LEAST_ROWS, window_px // width - 2 * reach_px) // stride * stride or stride
    rows = height if height * width <= window_px else rows
    found = []
    for start in range(0, height, rows):
        stop = min(start + rows, height)
        first, last = start - reach_px, stop + reach_px
        if not wraps:
            first, last = max(0, first), min(last, height)
        found.append(Window(start, stop, first, last))
    return tuple(found)


def padded_size(size_hw: SizeHW, *, stride: int, smallest_px: int) -> SizeHW:
    """The next size whose sides are multiples of `stride` and at least `smallest_px`."""
    height, width = (-(-max(side, smallest_px) // stride) * stride for side in size_hw)
    return height, width


def mirrored_indices(start: int, stop: int, *, length: int, device: torch.device | None = None) -> Tensor:
    """Indices `start` to `stop` into `length` places, reflected at the borders as often as needed."""
    period = max(1, 2 * (length - 1))
    index = torch.arange(start, stop, device=device) % period
    return torch.minimum(index, period - index)


def mirrored(image: Tensor, size_hw: SizeHW) -> Tensor:
    """`image` `(b, c, h, w)` at the size `size_hw`, which is no smaller: reflected below and at the right."""
    if tuple(image.shape[-2:]) == size_hw:
        return image
    rows, columns = (
        mirrored_indices(0, side, length=length, device=image.device)
        for side, length in zip(size_hw, image.shape[-2:], strict=True)
    )
    return image[..., rows[:, None], columns]
