"""A picture as windows that overlap: pure arithmetic, exact at any size."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.image.resize import SizeHW

Span = tuple[int, int]


@dataclass(frozen=True)
class Box:
    """Rows `top` to `bottom` and columns `left` to `right`, the ends not included."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def size_hw(self) -> SizeHW:
        """Height and width in pixels."""
        return self.bottom - self.top, self.right - self.left

    def within(self, size_hw: SizeHW) -> Box:
        """The part of the box that lies in a picture of `size_hw`."""
        return Box(self.top, min(self.bottom, size_hw[0]), self.left, min(self.right, size_hw[1]))

    def of(self, image: Tensor) -> Tensor:
        """The box's view of `image` `(b, c, h, w)`."""
        return image[..., self.top : self.bottom, self.left : self.right]


@dataclass(frozen=True)
class Tile:
    """A `core` that belongs to no other tile, and the `window` around it that a network must see to paint it."""

    core: Box
    window: Box

    def core_of(self, found: Tensor, *, stride: int = 1) -> Tensor:
        """The core's part of a map `(b, c, h, w)` of the window, `stride` pixels of the picture to each of its own."""
        top, left = self.core.top - self.window.top, self.core.left - self.window.left
        height, width = self.core.size_hw
        rows = slice(top // stride, -(-(top + height) // stride))
        return found[..., rows, left // stride : -(-(left + width) // stride)]


def tiles(size_hw: SizeHW, *, tile_px: int, reach_px: int, stride: int) -> tuple[Tile, ...]:
    """Tiles that cover `size_hw`, from top left to bottom right, their corners at multiples of `stride`.

    Cores are about equally large, at most `tile_px` a side (or `stride`, if that is larger). Windows see `reach_px`
    around the core, as far as there is a picture. They are all of one size, those at a border see more than they need:
    freed memory then always fits again (10 megapixels took 1.3 GB at the peak, and 1.9 GB with clipped windows). One
    tile is the whole picture where `tile_px` is 0, or where the picture has no more pixels than a window.
    """
    height, width = size_hw
    if tile_px == 0 or height * width <= (tile_px + 2 * reach_px) ** 2:
        whole = Box(0, height, 0, width)
        return (Tile(whole, whole),)
    rows, columns = (_spans(side, tile_px, stride) for side in size_hw)
    high, wide = (_windows(spans, reach_px, stride) for spans in (rows, columns))
    return tuple(
        Tile(Box(*rows[i], *columns[j]), Box(*high[i], *wide[j])) for i in range(len(rows)) for j in range(len(columns))
    )


def _spans(length: int, longest: int, stride: int) -> list[Span]:
    """`length` in about equal parts of at most `longest`, at multiples of `stride` but for the end."""
    units = -(-length // stride)
    count = -(-units // max(1, longest // stride))
    return [(i * units // count * stride, min((i + 1) * units // count * stride, length)) for i in range(count)]


def _windows(spans: list[Span], reach_px: int, stride: int) -> list[Span]:
    """What must be seen around each span, moved inwards where it would leave the picture."""
    length, longest = spans[-1][1], max(-(-(end - start) // stride) * stride for start, end in spans)
    long = longest + 2 * reach_px
    last = -(-(length - long) // stride) * stride
    starts = [max(0, min(start - reach_px, last)) for start, _ in spans]
    return [(start, min(length, start + long)) for start in starts]


def padded_size(size_hw: SizeHW, *, stride: int, smallest_px: int) -> SizeHW:
    """The next size whose sides are multiples of `stride` and at least `smallest_px`."""
    height, width = (-(-max(side, smallest_px) // stride) * stride for side in size_hw)
    return height, width


def cut(image: Tensor, box: Box) -> Tensor:
    """The box of `image` `(b, c, h, w)` in float32; what lies below or right of the image is mirrored in.

    The mirror does not repeat the border's own row, and is mirrored again where the image is smaller than the padding.
    """
    height, width = image.shape[-2:]
    if box.bottom <= height and box.right <= width:
        return box.of(image).float()
    rows = _mirrored(box.top, box.bottom, height, image.device)
    columns = _mirrored(box.left, box.right, width, image.device)
    return image[:, :, rows[:, None], columns].float()


def _mirrored(start: int, end: int, length: int, device: torch.device) -> Tensor:
    """Indices `start` to `end` into `length` places and their mirror images."""
    period = max(1, 2 * (length - 1))
    index = torch.arange(start, end, device=device) % period
    return torch.minimum(index, period - index)
