"""Networks of trained styles at any size: the picture that they paint whole, a strip of rows at a time.

The norms look at the whole picture. So each needs a pass over all strips for its moments, before any row after it can
be had. What lies between is computed again in each pass, from the nearest features that are kept: those of the
smallest size always, others as far as there is room.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, cast

import torch
from torch import Tensor

from impasto.core.errors import OptionError
from impasto.image.resize import SizeHW
from impasto.nets.colours import colour_map, recoloured
from impasto.nets.lazy import (
    Map,
    Rows,
    convolved,
    held,
    held_bytes,
    noised,
    normed,
    squared,
    summed,
    tallied,
    unsquared,
)
from impasto.nets.moments import RunningMoments
from impasto.nets.residual import Block, Layer, Norm, Residual

ROOM_BYTES = 3 << 29
"""Of features that are kept."""

STRIP_PX = 1 << 18
"""Pixels of the picture in a strip, about."""

LEAST_ROWS = 4  # more than two convolutions see above theirs


@torch.no_grad()
def painted_strips(
    net: Residual,
    read: Rows,
    size_hw: SizeHW,
    *,
    shares: Tensor | None = None,
    room_bytes: int = ROOM_BYTES,
    strip_px: int = STRIP_PX,
) -> Iterator[tuple[slice, Tensor]]:
    """Yield what `net` makes of a whole picture, from top to bottom: the rows and `(1, 3, rows, w)` in float32.

    `read(start, stop)` gives rows `(1, 3, stop - start, w)` of the picture of `size_hw`, in float32 and as the network
    takes them, as often as it is asked; `shares` are those of `Residual.forward`. Autocast is that of the caller.
    Features in `room_bytes` are kept, or those of the smallest size where these need more; the more is kept, the less
    is computed again.
    """
    if shares is None and net.styles > 1:
        raise OptionError(f"this network has {net.styles} styles; it needs the share of each.")
    device = next(net.parameters()).device.type
    easel = _StripRenderer(size_hw, shares, room_bytes, strip_px, halves=torch.is_autocast_enabled(device))
    picture = easel.picture(net, read)
    x = easel.before_last(net, picture)
    if net.last.norm is None:
        x = convolved(x, net.last.conv, wide=True)
    else:
        x = easel.layered(x, net.last, relu=False, wide=True)
    x = x if net.unshuffle == 1 else unsquared(x, net.unshuffle)
    for start, stop in easel.spans(size_hw[0]):
        found = x.rows(start, stop)[..., : size_hw[1]]
        found = found if net.tanh is None else net.tanh[0] * torch.tanh(found) + net.tanh[1]
        yield slice(start, stop), found + picture.rows(start, stop) if net.recolours else found


@dataclass(frozen=True)
class _StripRenderer:
    """What every pass needs to know."""

    size_hw: SizeHW
    shares: Tensor | None
    room_bytes: int
    strip_px: int
    halves: bool

    def picture(self, net: Residual, read: Rows) -> Map:
        """What is painted on, as `Residual.recoloured` gives it."""
        if not net.recolours:
            return Map(read, 3, self.size_hw)
        tally: RunningMoments | None = None
        for start, stop in self.spans(self.size_hw[0]):
            part = RunningMoments.of(read(start, stop), covariances=True)
            tally = part if tally is None else tally.joined(part)
        assert tally is not None
        linear = colour_map(tally.moments(), net.colours(self.shares))
        return Map(lambda start, stop: recoloured(read(start, stop), linear), 3, self.size_hw)

    def before_last(self, net: Residual, picture: Map) -> Map:
        """What the last layer sees."""
        down, blocks, up = (cast(Any, list(part)) for part in (net.down, net.blocks, net.up))
        x, passed = squared(picture, net.unshuffle), list[Map]()
        smallest = self._bytes(reduce(convolved, [layer.conv for layer in down], x))
        for layer in down[:-1]:  # those that stay leave room for the second features that a block needs
            x = self.layered(x, layer, beside=passed, spare_bytes=smallest * (2 if net.skips else 1))
            passed += [x] if net.skips else []
        feats = self._gathered(x, down[-1])
        for block in blocks:
            self._add(block, feats, beside=passed)
        x = held(feats)
        del feats  # they go as soon as no map needs them
        for layer in up:
            x = self.layered(x, layer, beside=passed)
            x = summed(x, passed.pop()) if net.skips else x
        return x

    def spans(self, height: int) -> Iterator[tuple[int, int]]:
        """Strips of a map of `height`, each for about as much of the picture."""
        own, across = self.size_hw
        step = max(LEAST_ROWS, self.strip_px * height // (own * across))
        for start in range(0, height, step):
            yield start, min(start + step, height)

    def layered(
        self,
        source: Map,
        layer: Layer,
        *,
        beside: Sequence[Map] = (),
        spare_bytes: int = 0,
        relu: bool = True,
        wide: bool = False,
    ) -> Map:
        """What `layer` makes of `source`; kept, before its norm, if there is room.

        That is where it leaves `spare_bytes`, next to `source` and to what is needed of the maps `beside`.
        """
        raw = noised(convolved(source, layer.conv, wide=wide), layer)
        needed = held_bytes(source, *beside) + self._bytes(raw, wide=wide) + spare_bytes
        kept, tally = self._passed(raw, keeps=needed <= self.room_bytes)
        return self._normed(raw if kept is None else held(kept), layer, tally, relu=relu)

    def _gathered(self, source: Map, layer: Layer) -> Tensor:
        """All that `layer` makes of `source`, `(1, c, h, w)`, after norm and ReLU."""
        feats, tally = self._passed(noised(convolved(source, layer.conv), layer), keeps=True)
        assert feats is not None
        self._replace(feats, self._normed(held(feats), layer, tally).rows)
        return feats

    def _add(self, block: Block, feats: Tensor, *, beside: Sequence[Map]) -> None:
        """Add to `feats` what `block` adds to them."""
        source = held(feats)
        raw = noised(convolved(source, block.one.conv), block.one)
        needed = held_bytes(source, *beside) + self._bytes(raw)
        kept, tally = self._passed(raw, keeps=needed <= self.room_bytes)
        one = self._normed(raw if kept is None else held(kept), block.one, tally)
        raw = noised(convolved(one, block.two.conv), block.two)
        if kept is None:
            _, tally = self._passed(raw, keeps=False)
        else:
            tally = self._replace(kept, raw.rows)
            raw = held(kept)
        two = self._normed(raw, block.two, tally, relu=False)
        self._replace(feats, summed(two, source).rows)

    def _bytes(self, map_: Map, *, wide: bool = False) -> int:
        """The memory that all of `map_` would take; `wide`: in float32, whatever autocast says."""
        height, width = map_.size_hw
        return map_.channels * height * width * (2 if self.halves and not wide else 4)

    def _normed(self, raw: Map, layer: Layer, tally: RunningMoments, *, relu: bool = True) -> Map:
        assert isinstance(layer.norm, Norm)
        return normed(raw, layer.norm, tally, self.shares, relu=relu)

    def _passed(self, map_: Map, *, keeps: bool) -> tuple[Tensor | None, RunningMoments]:
        """One pass over all of `map_`: its features `(1, c, h, w)`, if it `keeps` them, and their tally."""
        kept: Tensor | None = None
        tally: RunningMoments | None = None
        for start, stop in self.spans(map_.size_hw[0]):
            part = map_.rows(start, stop)
            tally = tallied(part, tally)
            if keeps and kept is None:
                height, width = map_.size_hw
                kept = part.new_empty((1, height, width, map_.channels)).permute(0, 3, 1, 2)
            if kept is not None:
                kept[:, :, start:stop] = part
        assert tally is not None
        return kept, tally

    def _replace(self, feats: Tensor, rows: Rows) -> RunningMoments:
        """Put new rows in place of those of `feats`, which they may depend on; their tally.

        They are written when the next ones are there, since these see rows above theirs, fewer than `LEAST_ROWS`.
        """
        late: tuple[slice, Tensor] | None = None
        tally: RunningMoments | None = None
        for start, stop in self.spans(feats.shape[2]):
            part = rows(start, stop)
            tally = tallied(part, tally)
            if late is not None:
                feats[:, :, late[0]] = late[1]
            late = slice(start, stop), part
        assert late is not None
        assert tally is not None
        feats[:, :, late[0]] = late[1]
        return tally
