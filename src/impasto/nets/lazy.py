"""Features of one picture that are computed a few rows at a time, when they are asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from impasto.image.resize import SizeHW
from impasto.image.tiling import NO_WRAPS, Wraps, wrapped
from impasto.nets import bands
from impasto.nets.layers import Conv, Layer, Norm, Transposed, blurred_double, shuffled, smoothed, unshuffled
from impasto.nets.moments import RunningMoments, place_moments
from impasto.nets.noise import Noise
from impasto.nets.protocol import ReadRows

Margins = tuple[int, int, int, int]
"""Padding at the top, bottom, left and right."""


@dataclass(frozen=True)
class Map:
    """Features `(1, channels, *size_hw)` of which any `rows` can be computed; their tensors are not modified.

    `held` stay in memory between two strips of rows: the features, or what they are computed from. On sides that
    `wraps`, the padding of all layers comes from the opposite edge.
    """

    rows: ReadRows
    channels: int
    size_hw: SizeHW
    held: tuple[Tensor, ...] = ()
    wraps: Wraps = NO_WRAPS

    def computed(self, rows: ReadRows, *, channels: int | None = None, size_hw: SizeHW | None = None) -> Map:
        """The map of `rows` that are computed from this one; channels and size are this map's by default."""
        channels = self.channels if channels is None else channels
        return dataclasses.replace(self, rows=rows, channels=channels, size_hw=size_hw or self.size_hw)

    def within(self, start: int, stop: int) -> tuple[int, int]:
        """The rows `start` to `stop` that there are: all of them where rows wrap."""
        return (start, stop) if self.wraps[0] else (max(start, 0), min(stop, self.size_hw[0]))

    def around(self, start: int, stop: int, *, columns: int = 0) -> Tensor:
        """Rows that may lie outside where rows wrap, and more `columns` at both ends where these wrap."""
        pieces, at, height = [], start, self.size_hw[0]
        while at < stop:
            count = min(height - at % height, stop - at)
            pieces.append(self.rows(at % height, at % height + count))
            at += count
        whole = pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim=2)
        return wrapped(whole, (0, columns if self.wraps[1] else 0))

    def cropped(self, feats: Tensor, columns: int) -> Tensor:
        """`feats` without what became of the columns that `around` added: `columns` at both ends."""
        return feats[..., columns:-columns] if self.wraps[1] and columns else feats


def held(feats: Tensor, wraps: Wraps = NO_WRAPS) -> Map:
    """A map of features `(1, c, h, w)` that are there."""
    size = (feats.shape[-2], feats.shape[-1])
    return Map(lambda start, stop: feats[:, :, start:stop], feats.shape[1], size, (feats,), wraps)


def held_bytes(*maps: Map) -> int:
    """The memory that `maps` hold, together."""
    return sum({feats.data_ptr(): feats.nbytes for map_ in maps for feats in map_.held}.values())


def convolved(source: Map, conv: nn.Module, *, wide: bool = False) -> Map:
    """The output of a `Conv` or a `Transposed` for all of `source`; `wide`: in float32, also under autocast."""
    height, width = source.size_hw
    if isinstance(conv, Transposed):
        twice = _doubled(source, conv, reach=1, channels=conv.weight.shape[1])
        return twice.computed(lambda start, stop: twice.rows(start, stop).contiguous(memory_format=torch.channels_last))
    assert isinstance(conv, Conv)
    if conv.doubles == "bilinear":
        source = _doubled(source, blurred_double, reach=2)
    rows, columns = (
        (side if conv.doubles is None else 2 * side) // conv.stride if wrap else own
        for side, own, wrap in zip((height, width), conv.size_of((height, width)), source.wraps, strict=True)
    )
    return source.computed(
        _convolved(source, conv, size_hw=(rows, columns), wide=wide),
        channels=conv.weight.shape[0],
        size_hw=(rows, columns),
    )


def noised(source: Map, layer: Layer, *, noise: Noise | None) -> Map:
    """`source` with the noise of `layer`, where it has some."""
    if layer.noise is None:
        return source

    def rows(start: int, stop: int) -> Tensor:
        return layer.noised(source.rows(start, stop), noise, first_row=start)

    return source.computed(rows)


def squared(source: Map, side: int) -> Map:
    """Squares of `side` × `side` places of `source` as one place each."""
    if side == 1:
        return source
    height, width = source.size_hw
    size = (-(-height // side), -(-width // side))

    def rows(start: int, stop: int) -> Tensor:
        return unshuffled(source.rows(start * side, min(stop * side, height)), side)

    return source.computed(rows, channels=source.channels * side**2, size_hw=size)


def unsquared(source: Map, side: int) -> Map:
    """Squares of `side` × `side` pixels for each place of `source`, smoothed: `Residual`'s last step."""
    height, width = (length * side for length in source.size_hw)

    def rows(start: int, stop: int) -> Tensor:
        above, below = output.within(start - 1, stop + 1)
        first = above // side
        strip = shuffled(source.around(first, -(-below // side), columns=1), side)[:, :, above - first * side :]
        strip = source.cropped(strip[:, :, : below - above], side - 1)
        across = 0 if source.wraps[1] else 1
        return smoothed(F.pad(strip, (across, across, above - start + 1, stop + 1 - below), mode="replicate"))

    output = source.computed(rows, channels=source.channels // side**2, size_hw=(height, width))
    return output


def normed(source: Map, norm: Norm, *, running: RunningMoments, style_weights: Tensor | None, relu: bool) -> Map:
    """The norm by the moments of the whole `source`, and a ReLU after it."""
    scale, shift = (row.reshape(-1) for row in norm.mixed(style_weights))
    mean, var = norm.statistics(running.mean[0].float(), (running.spread[0] / running.count).float())

    def rows(start: int, stop: int) -> Tensor:
        # features of bfloat16 are widened in the registers, and not in memory as by plain sums and products
        strip = F.batch_norm(source.rows(start, stop), mean, var, scale, shift, eps=norm.eps)
        return strip.relu_() if relu else strip

    return source.computed(rows)


def mirrored_around(source: Map, px: int) -> Map:
    """`source` with a border of `px` that mirrors it, as `F.pad(…, mode="reflect")` gives it; none where it wraps."""
    if px == 0:
        return source
    height, width = source.size_hw
    down, across = (0 if wrap else px for wrap in source.wraps)

    def rows(start: int, stop: int) -> Tensor:
        places = [abs(row) for row in range(start - down, stop - down)]
        places = [min(row, 2 * (height - 1) - row) for row in places]
        first = min(places)
        part = source.rows(first, max(places) + 1)
        return F.pad(part[:, :, [row - first for row in places]], (across, across, 0, 0), mode="reflect")

    return source.computed(rows, size_hw=(height + 2 * down, width + 2 * across))


def cropped_to(source: Map, size_hw: SizeHW) -> Map:
    """The middle of `source`, of `size_hw`."""
    if size_hw == source.size_hw:
        return source
    top, left = ((own - wanted) // 2 for own, wanted in zip(source.size_hw, size_hw, strict=True))

    def rows(start: int, stop: int) -> Tensor:
        return source.rows(start + top, stop + top)[..., left : left + size_hw[1]]

    return source.computed(rows, size_hw=size_hw)


def summed(one: Map, other: Map) -> Map:
    """The sum of both, as large as `other`, which may be a row or column smaller."""
    width = other.size_hw[1]

    def rows(start: int, stop: int) -> Tensor:
        return one.rows(start, stop)[..., :width] + other.rows(start, stop)

    return Map(rows, other.channels, other.size_hw, one.held + other.held, other.wraps)


def halved_map(source: Map) -> Map:
    """`bands.halved` of all of `source`."""
    height, width = source.size_hw

    def rows(start: int, stop: int) -> Tensor:
        return bands.halved(source.rows(2 * start, min(2 * stop, height)))

    return source.computed(rows, size_hw=(-(-height // 2), -(-width // 2)))


def doubled_map(source: Map) -> Map:
    """`bands.upsampled` of all of `source`."""
    return _doubled(source, bands.upsampled, reach=1)


def running_moments(feats: Tensor, before: RunningMoments | None) -> RunningMoments:
    """The running moments of `feats` `(1, c, h, w)` and of the parts before."""
    count = feats.shape[-2] * feats.shape[-1]
    mean, var = place_moments(feats)
    own = RunningMoments(count, mean[None], count * var[None])
    return own if before is None else before.joined(own)


def _convolved(source: Map, conv: Conv, *, size_hw: SizeHW, wide: bool) -> ReadRows:
    factor = 2 if conv.doubles == "nearest" else 1
    height, width = (factor * side for side in source.size_hw)
    before, _ = _margins(conv, height, wraps=source.wraps[0])
    left, right = _margins(conv, width, wraps=source.wraps[1])

    def seen(start: int, stop: int) -> Tensor:
        """All that rows `start` to `stop` of the result depend on, padded where it lies outside."""
        first = start * conv.stride - before
        last = first + (stop - 1 - start) * conv.stride + conv.side
        lowest, highest = (first, last) if source.wraps[0] else (max(first, 0), min(last, height))
        above, below = lowest // factor, -(-highest // factor)
        part = source.around(above, below)
        margins = (lowest - first, last - highest, left, right)
        dtype = torch.float32 if wide else part.dtype
        whole = _framed(part, margins, conv=conv, dtype=dtype, wraps=source.wraps[1])
        skipped = lowest - above * factor  # of two rows alike, the first one is not seen
        return whole[:, :, skipped : skipped + last - first]

    def rows(start: int, stop: int) -> Tensor:
        part = seen(start, stop)
        with torch.autocast(part.device.type, enabled=not wide and torch.is_autocast_enabled(part.device.type)):
            return F.conv2d(part, conv.weight, conv.bias, stride=conv.stride)

    return rows


def _margins(conv: Conv, length: int, *, wraps: bool) -> tuple[int, int]:
    """The padding of `conv` before and after a side of `length`; where the side wraps it never shrinks."""
    if not wraps:
        return conv.margins(length)
    before = conv.side // 2 if conv.padding == "none" else conv.margins(length)[0]
    return before, max((length // conv.stride - 1) * conv.stride + conv.side - before - length, 0)


def _framed(feats: Tensor, margins: Margins, *, conv: Conv, dtype: torch.dtype, wraps: bool) -> Tensor:
    """`feats` `(1, c, h, w)`, doubled where `conv` doubles, with `margins` in its manner, channels last.

    The margins at the top and bottom mirror the rows of `feats`, which must have enough of them. `wraps`: those at
    the left and right are the columns at the other end.
    """
    factor = 2 if conv.doubles == "nearest" else 1
    (b, c, h, w), (top, bottom, left, right) = feats.shape, margins
    high, wide = factor * h, factor * w
    shape = b, top + high + bottom, left + wide + right, c
    mirrored = conv.padding == "reflect"
    framed = feats.new_empty(shape, dtype=dtype) if mirrored else feats.new_zeros(shape, dtype=dtype)
    for row in range(factor):
        for column in range(factor):
            core = framed[:, top + row : top + high : factor, left + column : left + wide : factor]
            core.copy_(feats.permute(0, 2, 3, 1))
    if mirrored or wraps:
        for place, image in _continued(left, wide, after=right) if wraps else _mirrored(left, wide, after=right):
            framed[:, top : top + high, place] = framed[:, top : top + high, image]
    if mirrored:
        for place, image in _mirrored(top, high, after=bottom):
            framed[:, place] = framed[:, image]
    return framed.permute(0, 3, 1, 2)


def _mirrored(before: int, length: int, *, after: int) -> list[tuple[int, int]]:
    """Places of the margins, and those within that they mirror; the border's own place is not repeated."""
    end = before + length - 1
    return [(before - k, before + k) for k in range(1, before + 1)] + [(end + k, end - k) for k in range(1, after + 1)]


def _continued(before: int, length: int, *, after: int) -> list[tuple[int, int]]:
    """Places of the margins, and those at the other end that they repeat; margins are no longer than `length`."""
    end = before + length
    return [(k, k + length) for k in range(before)] + [(end + k, before + k) for k in range(after)]


def _doubled(source: Map, function: Callable[[Tensor], Tensor], *, reach: int, channels: int | None = None) -> Map:
    """`function`, which doubles the size and sees `reach` places around, of all of `source`."""
    height, width = source.size_hw

    def rows(start: int, stop: int) -> Tensor:
        above, below = source.within(start // 2 - reach, -(-stop // 2) + reach)
        twice = source.cropped(function(source.around(above, below, columns=reach)), 2 * reach)
        return twice[:, :, start - 2 * above : stop - 2 * above]

    return source.computed(rows, channels=channels, size_hw=(2 * height, 2 * width))
