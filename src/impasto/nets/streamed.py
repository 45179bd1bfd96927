"""Networks whose norms look at the whole picture, at any size: a strip of rows at a time, equal to painting it whole.

Each norm needs a pass over all strips for its running, before later layers can run. The layers in between are computed
again in each pass, from the nearest features that are kept: those of the smallest size always, others as far as there
is room.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor, nn

from impasto.image.resize import SizeHW
from impasto.image.tiling import NO_WRAPS, Wraps
from impasto.nets import lazy
from impasto.nets.bands import band_changes, by_band, changed, contrast_change
from impasto.nets.colours import colour_map, recoloured
from impasto.nets.layers import Block, Layer, Norm
from impasto.nets.lazy import (
    Map,
    convolved,
    cropped_to,
    doubled_map,
    halved_map,
    held_bytes,
    noised,
    normed,
    running_moments,
    summed,
)
from impasto.nets.moments import RunningMoments
from impasto.nets.noise import Noise
from impasto.nets.protocol import ReadRows
from impasto.nets.shared import shared

STRIP_PX = 1 << 18
"""Pixels of the picture in a strip, about."""

LEAST_ROWS = 4  # more than two convolutions see above theirs


@dataclass(frozen=True)
class StripRenderer:
    """Runs the layers of a network with one style, or with styles mixed by `style_weights`, strip by strip.

    Features in `room_bytes` are kept, or those of the smallest size where these need more; more room means fewer
    computed again. `halves`: they are bfloat16. Autocast is the caller's.
    """

    size_hw: SizeHW
    style_weights: Tensor | None
    room_bytes: int
    strip_px: int
    halves: bool
    noise: Noise | None = None
    wraps: Wraps = NO_WRAPS

    @classmethod
    def of(
        cls,
        net: nn.Module,
        size_hw: SizeHW,
        *,
        style_weights: Tensor | None = None,
        room_bytes: int,
        strip_px: int = STRIP_PX,
        noise: Noise | None = None,
        wraps: Wraps = NO_WRAPS,
    ) -> StripRenderer:
        """The renderer of a picture of `size_hw`, in the precision of autocast on the device of `net`."""
        halves = torch.is_autocast_enabled(next(net.parameters()).device.type)
        return cls(size_hw, style_weights, room_bytes, strip_px, halves, noise, wraps)

    def held(self, feats: Tensor) -> Map:
        """A map of features `(1, c, h, w)` that are there."""
        return lazy.held(feats, self.wraps)

    def recoloured(self, read: ReadRows, target: Tensor | None) -> Map:
        """The picture, in the colours of `target` `(1, 4, 3)` if there is one, as `colours.in_colours` gives it."""
        picture = Map(read, 3, self.size_hw, wraps=self.wraps)
        if target is None:
            return picture
        linear = colour_map(shared(self._moments(read, self.size_hw[0])), target)
        return picture.computed(lambda start, stop: recoloured(read(start, stop), linear))

    def in_bands(self, source: Map, targets: Tensor) -> Map:
        """`source` with the contrast `targets` `(1, 45)` at each scale, as `bands.in_bands` gives it.

        Only what is at a quarter of the size, and smaller, is kept.
        """
        half, matrices = halved_map(source), by_band(targets)
        quarter, _ = self._passed(halved_map(half), keeps=True)
        assert quarter is not None
        smooth = doubled_map(self.held(quarter))

        def band(start: int, stop: int) -> Tensor:
            return half.rows(start, stop) - smooth.rows(start, stop)[..., : half.size_hw[1]]

        change = band_changes(shared(self._moments(band, half.size_hw[0])[:, 1:]), matrices[:, 0])
        coarse = doubled_map(self.held(contrast_change(quarter, matrices[:, 1:], wraps=self.wraps)))
        kept = (*half.held, quarter)
        finest = Map(lambda start, stop: changed(band(start, stop), change), 3, half.size_hw, kept, self.wraps)
        whole = summed(doubled_map(summed(coarse, finest)), source)
        return whole.computed(lambda start, stop: whole.rows(start, stop).clamp(0, 1))

    def kept(self, source: Map) -> Map:
        """`source`, computed once and kept, if there is enough memory for both."""
        if held_bytes(source) + self.bytes_of(source, wide=True) > self.room_bytes:
            return source
        feats, _ = self._passed(source, keeps=True)
        assert feats is not None
        return self.held(feats)

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
        """`layer` of `source`; its features before the norm are kept if there is room.

        That is the case where `spare_bytes` remain next to `source` and the maps `beside`, which are needed later. With
        `wide` it is computed in float32.
        """
        raw = noised(convolved(source, layer.conv, wide=wide), layer, noise=self.noise)
        if layer.norm is None:
            return raw
        needed = held_bytes(source, *beside) + self.bytes_of(raw, wide=wide) + spare_bytes
        kept, running = self._passed(raw, keeps=needed <= self.room_bytes)
        return self._normed(raw if kept is None else self.held(kept), layer, running=running, relu=relu)

    def computed(self, source: Map, layer: Layer, *, wide: bool = False) -> Tensor:
        """`layer` of all of `source`, `(1, c, h, w)`, after norm and ReLU; with `wide` it is computed in float32."""
        feats, running = self._passed(
            noised(convolved(source, layer.conv, wide=wide), layer, noise=self.noise), keeps=True
        )
        assert feats is not None
        self._replace(feats, self._normed(self.held(feats), layer, running=running).rows)
        return feats.bfloat16() if self.halves else feats

    def block_of(self, block: Block, feats: Tensor, *, beside: Sequence[Map]) -> Tensor:
        """`block` of `feats`, which are overwritten where it has two layers with padding."""
        *before, last = block.layers
        if len(before) == 1 and all(layer.conv.padding != "none" for layer in block.layers):
            self._add_block(block, feats, beside=beside)
            return feats
        x = source = self.held(feats)
        for layer in before:
            x = self.layered(x, layer, beside=[*beside, source])
        raw = noised(convolved(x, last.conv), last, noise=self.noise)
        _, running = self._passed(raw, keeps=False)
        change = self._normed(raw, last, running=running, relu=False)
        output, _ = self._passed(summed(change, cropped_to(source, change.size_hw)), keeps=True)
        assert output is not None
        return output

    def _add_block(self, block: Block, feats: Tensor, *, beside: Sequence[Map]) -> None:
        """Replace `feats` by `block` of them."""
        source = self.held(feats)
        raw = noised(convolved(source, block.one.conv), block.one, noise=self.noise)
        needed = held_bytes(source, *beside) + self.bytes_of(raw)
        kept, running = self._passed(raw, keeps=needed <= self.room_bytes)
        one = self._normed(raw if kept is None else self.held(kept), block.one, running=running)
        raw = noised(convolved(one, block.two.conv), block.two, noise=self.noise)
        if kept is None:
            _, running = self._passed(raw, keeps=False)
        else:
            running = self._replace(kept, raw.rows)
            raw = self.held(kept)
        two = self._normed(raw, block.two, running=running, relu=False)
        self._replace(feats, summed(two, source).rows)

    def bytes_of(self, map_: Map, *, wide: bool = False) -> int:
        """The memory that all of `map_` would take; `wide`: in float32, whatever autocast says."""
        height, width = map_.size_hw
        return map_.channels * height * width * (2 if self.halves and not wide else 4)

    def _moments(self, read: ReadRows, height: int) -> Tensor:
        """Mean and covariance `(1, 4, 3)` of colours, over all of `height` rows."""
        parts = (RunningMoments.of(read(start, stop), covariances=True) for start, stop in self.spans(height))
        return reduce(RunningMoments.joined, parts).value()

    def _normed(self, raw: Map, layer: Layer, *, running: RunningMoments, relu: bool = True) -> Map:
        assert isinstance(layer.norm, Norm)
        return normed(raw, layer.norm, running=running, style_weights=self.style_weights, relu=relu)

    def _passed(self, map_: Map, *, keeps: bool) -> tuple[Tensor | None, RunningMoments]:
        """One pass over all of `map_`: its features `(1, c, h, w)` if `keeps`, and their moments."""
        kept: Tensor | None = None
        running: RunningMoments | None = None
        for start, stop in self.spans(map_.size_hw[0]):
            part = map_.rows(start, stop)
            running = running_moments(part, running)
            if keeps and kept is None:
                height, width = map_.size_hw
                kept = part.new_empty((1, height, width, map_.channels)).permute(0, 3, 1, 2)
            if kept is not None:
                kept[:, :, start:stop] = part
        assert running is not None
        return kept, running

    def _replace(self, feats: Tensor, rows: ReadRows) -> RunningMoments:
        """Overwrite `feats` with rows that are computed from them; returns their moments.

        A strip is written once the next one is computed, which sees up to `LEAST_ROWS` rows above its own; the first
        one is written last where the last one sees it.
        """
        late: list[tuple[slice, Tensor]] = []
        running: RunningMoments | None = None
        for start, stop in self.spans(feats.shape[2]):
            part = rows(start, stop)
            running = running_moments(part, running)
            late.append((slice(start, stop), part))
            if len(late) > 1 + self.wraps[0]:
                place, before = late.pop(-2)
                feats[:, :, place] = before
        for place, before in late:
            feats[:, :, place] = before
        assert running is not None
        return running
