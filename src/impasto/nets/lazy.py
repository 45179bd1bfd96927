"""Features of one picture that are computed a few rows at a time, when they are asked for."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from impasto.image.resize import SizeHW
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

    `held` are the tensors that stay in memory between two strips of rows.
    """

    rows: ReadRows
    channels: int
    size_hw: SizeHW
    held: tuple[Tensor, ...] = ()


def held(feats: Tensor) -> Map:
    """A map of features `(1, c, h, w)` that are there."""
    size = (feats.shape[-2], feats.shape[-1])
    return Map(lambda start, stop: feats[:, :, start:stop], feats.shape[1], size, (feats,))


def held_bytes(*maps: Map) -> int:
    """The memory that `maps` hold, together."""
    return sum({feats.data_ptr(): feats.nbytes for map_ in maps for feats in map_.held}.values())


def convolved(source: Map, conv: nn.Module, *, wide: bool = False) -> Map:
    """The output of a `Conv` or a `Transposed` for all of `source`; `wide`: in float32, also under autocast."""
    height, width = source.size_hw
    if isinstance(conv, Transposed):
        return Map(_transposed(source, conv), conv.weight.shape[1], (2 * height, 2 * width), source.held)
    assert isinstance(conv, Conv)
    if conv.doubles == "bilinear":
        source = _blurred_double(source)
    size = conv.size_of((height, width))
    return Map(_convolved(source, conv, size_hw=size, wide=wide), conv.weight.shape[0], size, source.held)


def noised(source: Map, layer: Layer, *, noise: Noise | None) -> Map:
    """`source` with the noise of `layer`, where it has some."""
    if layer.noise is None:
        return source

    def rows(start: int, stop: int) -> Tensor:
        return layer.noised(source.rows(start, stop), noise, first_row=start)

    return Map(rows, source.channels, source.size_hw, source.held)


def squared(source: Map, side: int) -> Map:
    """Squares of `side` × `side` places of `source` as one place each."""
    if side == 1:
        return source
    height, width = source.size_hw
    size = (-(-height // side), -(-width // side))

    def rows(start: int, stop: int) -> Tensor:
        return unshuffled(source.rows(start * side, min(stop * side, height)), side)

    return Map(rows, source.channels * side**2, size, source.held)


def unsquared(source: Map, side: int) -> Map:
    """Squares of `side` × `side` pixels for each place of `source`, smoothed: `Residual`'s last step."""
    height, width = (length * side for length in source.size_hw)

    def rows(start: int, stop: int) -> Tensor:
        above, below = max(start - 1, 0), min(stop + 1, height)
        first = above // side
        strip = shuffled(source.rows(first, -(-below // side)), side)[:, :, above - first * side :]
        strip = strip[:, :, : below - above]
        margins = (1, 1, above - start + 1, stop + 1 - below)
        return smoothed(F.pad(strip, margins, mode="replicate"))

    return Map(rows, source.channels // side**2, (height, width), source.held)


def normed(source: Map, norm: Norm, *, running: RunningMoments, style_weights: Tensor | None, relu: bool) -> Map:
    """The norm by the moments of the whole `source`, and a ReLU after it."""
    scale, shift = (row.reshape(-1) for row in norm.mixed(style_weights))
    mean, var = norm.statistics(running.mean[0].float(), (running.spread[0] / running.count).float())

    def rows(start: int, stop: int) -> Tensor:
        # features of bfloat16 are widened in the registers, and not in memory as by plain sums and products
        strip = F.batch_norm(source.rows(start, stop), mean, var, scale, shift, eps=norm.eps)
        return strip.relu_() if relu else strip

    return Map(rows, source.channels, source.size_hw, source.held)


def mirrored_around(source: Map, px: int) -> Map:
    """`source` with a border of `px` that mirrors it, as `F.pad(…, mode="reflect")` gives it."""
    if px == 0:
        return source
    height, width = source.size_hw

    def rows(start: int, stop: int) -> Tensor:
        places = [abs(row) for row in range(start - px, stop - px)]
        places = [min(row, 2 * (height - 1) - row) for row in places]
        first = min(places)
        part = source.rows(first, max(places) + 1)
        return F.pad(part[:, :, [row - first for row in places]], (px, px, 0, 0), mode="reflect")

    return Map(rows, source.channels, (height + 2 * px, width + 2 * px), source.held)


def cropped_to(source: Map, size_hw: SizeHW) -> Map:
    """The middle of `source`, of `size_hw`."""
    if size_hw == source.size_hw:
        return source
    top, left = ((own - wanted) // 2 for own, wanted in zip(source.size_hw, size_hw, strict=True))

    def rows(start: int, stop: int) -> Tensor:
        return source.rows(start + top, stop + top)[..., left : left + size_hw[1]]

    return Map(rows, source.channels, size_hw, source.held)


def summed(one: Map, other: Map) -> Map:
    """The sum of both, as large as `other`, which may be a row or column smaller."""
    width = other.size_hw[1]

    def rows(start: int, stop: int) -> Tensor:
        return one.rows(start, stop)[..., :width] + other.rows(start, stop)

    return Map(rows, other.channels, other.size_hw, one.held + other.held)


def halved(source: Map) -> Map:
    """`bands.halved` of all of `source`."""
    height, width = source.size_hw

    def rows(start: int, stop: int) -> Tensor:
        return bands.halved(source.rows(2 * start, min(2 * stop, height)))

    return Map(rows, source.channels, (-(-height // 2), -(-width // 2)), source.held)


def doubled(source: Map) -> Map:
    """`bands.upsampled` of all of `source`."""
    height, width = source.size_hw

    def rows(start: int, stop: int) -> Tensor:
        above, below = max(start // 2 - 1, 0), min(-(-stop // 2) + 1, height)
        enlarged = bands.upsampled(source.rows(above, below))
        return enlarged[:, :, start - 2 * above : stop - 2 * above]

    return Map(rows, source.channels, (2 * height, 2 * width), source.held)


def running_moments(feats: Tensor, before: RunningMoments | None) -> RunningMoments:
    """The running moments of `feats` `(1, c, h, w)` and of the parts before."""
    count = feats.shape[-2] * feats.shape[-1]
    mean, var = place_moments(feats)
    own = RunningMoments(count, mean[None], count * var[None])
    return own if before is None else before.joined(own)


def _convolved(source: Map, conv: Conv, *, size_hw: SizeHW, wide: bool) -> ReadRows:
    factor = 2 if conv.doubles == "nearest" else 1
    height, width = (factor * side for side in source.size_hw)
    left, right = conv.margins(width)

    def seen(start: int, stop: int) -> Tensor:
        """All that rows `start` to `stop` of the result depend on, padded where it lies outside."""
        first = start * conv.stride - conv.margins(height)[0]
        last = first + (stop - 1 - start) * conv.stride + conv.side
        top, bottom = max(-first, 0), max(last - height, 0)
        above, below = max(first, 0) // factor, -(-min(last, height) // factor)
        part = source.rows(above, below)
        whole = _framed(part, (top, bottom, left, right), conv=conv, dtype=torch.float32 if wide else part.dtype)
        skipped = max(first, 0) - above * factor  # of two rows alike, the first one is not seen
        return whole[:, :, skipped : skipped + last - first]

    def rows(start: int, stop: int) -> Tensor:
        part = seen(start, stop)
        with torch.autocast(part.device.type, enabled=not wide and torch.is_autocast_enabled(part.device.type)):
            return F.conv2d(part, conv.weight, conv.bias, stride=conv.stride)

    return rows


def _framed(feats: Tensor, margins: Margins, *, conv: Conv, dtype: torch.dtype) -> Tensor:
    """`feats` `(1, c, h, w)`, doubled where `conv` doubles, with `margins` in its manner, channels last.

    The margins at the top and bottom mirror the rows of `feats`, which must have enough of them.
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
    if mirrored:
        for place, image in _mirrored(left, wide, after=right):
            framed[:, top : top + high, place] = framed[:, top : top + high, image]
        for place, image in _mirrored(top, high, after=bottom):
            framed[:, place] = framed[:, image]
    return framed.permute(0, 3, 1, 2)


def _mirrored(before: int, length: int, *, after: int) -> list[tuple[int, int]]:
    """Places of the margins, and those within that they mirror; the border's own place is not repeated."""
    end = before + length - 1
    return [(before - k, before + k) for k in range(1, before + 1)] + [(end + k, end - k) for k in range(1, after + 1)]


def _blurred_double(source: Map) -> Map:
    """`layers.blurred_double` of all of `source`."""
    height, width = source.size_hw

    def rows(start: int, stop: int) -> Tensor:
        above, below = max(start // 2 - 2, 0), min(-(-stop // 2) + 2, height)
        doubled = blurred_double(source.rows(above, below))
        return doubled[:, :, start - 2 * above : stop - 2 * above]

    return Map(rows, source.channels, (2 * height, 2 * width), source.held)


def _transposed(source: Map, conv: Transposed) -> ReadRows:
    def rows(start: int, stop: int) -> Tensor:
        above, below = max(start // 2 - 1, 0), min(-(-stop // 2) + 1, source.size_hw[0])
        strip: Tensor = conv(source.rows(above, below))
        return strip[:, :, start - 2 * above : stop - 2 * above].contiguous(memory_format=torch.channels_last)

    return rows
