"""Painting in one pass with any style (Huang & Belongie 2017, and its relatives), exact at any size, tile by tile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress

import torch
from torch import Tensor

from impasto.image.resize import SizeHW, resized
from impasto.nets.colours import COLOURS, colour_map, recoloured
from impasto.nets.moments import RunningMoments, moments
from impasto.nets.protocol import Code, Feats, Stats
from impasto.nets.table import Network
from impasto.stylizers.codes import TILE_PX, checked, code_of, colours_of, mixed, tallied
from impasto.stylizers.protocol import BARE, Mix, Step, Style, check_strength
from impasto.stylizers.tiles import Tile, cut, padded_size, tiles


@dataclass(frozen=True)
class Region:
    """A code, and where it paints: everywhere, or as far as `mask` `(1, 1, h, w)` times `weight` has a share."""

    code: Code
    weight: float = 1.0
    mask: Tensor | None = None


@dataclass(frozen=True)
class Arbitrary:
    """A stylizer that paints any style in one pass.

    A picture of more pixels than a tile with its surroundings is painted by tiles of `tile_px` a side (0: always
    whole): a first pass over them gathers the statistics of the whole picture, a second one paints. So the result is
    that of painting it whole, and memory hardly grows with the size.
    """

    network: Network
    tile_px: int = TILE_PX

    def prepare(self, mix: Mix) -> tuple[Region, ...]:
        """The codes of the styles; without masks one, mixed of all. Raises `ImageTooSmall`, `OptionError`."""
        if mix.styles[0].mask is not None:
            mix.check_no_negative(by="painting with masks")
            total = sum(style.weight for style in mix.styles)
            return tuple(Region(self._code(s), s.weight / total, s.mask) for s in mix.styles if s.weight > 0)
        pairs = [(self._code(s), share) for s, share in zip(mix.styles, mix.shares, strict=True) if share != 0]
        return (Region(mixed([code for code, _ in pairs], [share for _, share in pairs])),)

    def _code(self, style: Style) -> Code:
        if style.code is not None:
            return checked(style.code, self.network, name=style.name)
        return code_of(style.seen(by="--method arbitrary"), self.network, name=style.name)

    def work(self, size_hw: SizeHW) -> int:
        """The number of steps for a content of `size_hw`, at a strength above 0."""
        count = len(self._tiles(size_hw))
        return 2 * count if count > 1 else 1

    def paint(self, content: Tensor, code: tuple[Region, ...], *, strength: float = 1.0) -> Iterator[Step]:
        """Yield one step for a small picture, else one for each tile and pass.

        All steps of the second pass share one image, which is the content where nothing is painted yet; it goes on
        changing. It has the content's precision: half for a very large picture, whose memory counts.

        `strength` 0 is the content itself. Up to 1 the output is `out(s) + (1 - s) · (content - out(0))`: features go
        from the content's to the styled ones, and what the network loses of the content even without any style, fades
        out. So it is exact at 0 and continuous. Above 1 features go beyond the styled ones in the same direction; the
        picture is clamped to `[0, 1]`, so that it becomes gaudy rather than wrong.
        """
        check_strength(strength)
        size = (content.shape[-2], content.shape[-1])
        if strength == 0:
            yield Step(1, 1, size, content)
            return
        plan = self._tiles(size)
        easel = TileRenderer.of(self.network, content, code, strength=strength)
        if len(plan) == 1:
            feats = easel.features(plan[0])
            yield Step(1, 1, size, easel.painted(plan[0], feats, easel.stats(feats)).to(content.dtype))
            return
        total, tallies = 2 * len(plan), easel.no_tallies()
        for index, tile in enumerate(plan, start=1):
            tallies = easel.tallied(tallies, tile)
            yield Step(index, total, size, content)
        stats = [{name: tally.moments() for name, tally in view.items()} for view in tallies]
        output = content.clone()
        for index, tile in enumerate(plan, start=len(plan) + 1):
            tile.core.within(size).of(output).copy_(easel.painted(tile, easel.features(tile), stats))
            yield Step(index, total, size, output)

    def _tiles(self, size_hw: SizeHW) -> tuple[Tile, ...]:
        net = self.network.tiled
        padded = padded_size(size_hw, stride=net.stride, smallest_px=2 * net.stride)  # 2: features are padded, too
        return tiles(padded, tile_px=self.tile_px, reach_px=net.reach_px, stride=net.stride)


@dataclass(frozen=True)
class TileRenderer:
    """A content with all that is needed to paint any tile of it.

    `views` are the ways in which the network looks at the content: in the colours of each region's style, or once as it
    is where the network does not recolour. Features and statistics come by view. The view after those of the regions
    is the content as it is, where that is needed.
    """

    network: Network
    content: Tensor
    regions: tuple[Region, ...]
    strength: float
    views: tuple[Tensor | None, ...]

    @classmethod
    def of(cls, network: Network, content: Tensor, regions: tuple[Region, ...], *, strength: float) -> TileRenderer:
        """With masks at the content's size."""
        size = (content.shape[-2], content.shape[-1])
        fitting = tuple(
            Region(r.code, r.weight, None if r.mask is None else resized(r.mask, size, mode="bilinear"))
            for r in regions
        )
        views: tuple[Tensor | None, ...] = (None,)
        if network.net.recolours:
            stats = colours_of(content).to(network.device)
            views = tuple(colour_map(stats, region.code[COLOURS]) for region in regions)
            views += (None,) if strength < 1 else ()
        return cls(network, content, fitting, strength, views)

    def _autocast(self) -> torch.autocast:
        half = self.network.dtype == torch.bfloat16
        return torch.autocast(self.network.device.type, torch.bfloat16, enabled=half)

    @torch.no_grad()
    def features(self, tile: Tile) -> list[Feats]:
        """Features of the tile's window, by view."""
        window = cut(self.content, tile.window).to(self.network.device)
        window = window.contiguous(memory_format=torch.channels_last)
        amount = min(self.strength, 1.0)
        seen = (window if view is None else recoloured(window, view, amount=amount) for view in self.views)
        with self._autocast():
            return [self.network.tiled.features(picture) for picture in seen]

    @torch.no_grad()
    def stats(self, feats: Sequence[Feats]) -> list[Stats]:
        """Statistics of features of the whole picture, by view."""
        covariances = self.network.net.covariances
        return [{name: moments(value, covariances=covariances) for name, value in view.items()} for view in feats]

    def no_tallies(self) -> list[dict[str, RunningMoments]]:
        """The tallies, by view, before the first tile."""
        return [{} for _ in self.views]

    @torch.no_grad()
    def tallied(self, before: Sequence[Mapping[str, RunningMoments]], tile: Tile) -> list[dict[str, RunningMoments]]:
        """The tallies of the tiles before, and of this one's core, by view."""
        height, found = tile.window.size_hw[0], []
        for tallies, feats in zip(before, self.features(tile), strict=True):
            cores = {name: tile.core_of(value, stride=height // value.shape[-2]) for name, value in feats.items()}
            found.append(tallied(tallies, cores, covariances=self.network.net.covariances))
        return found

    @torch.no_grad()
    def painted(self, tile: Tile, feats: Sequence[Feats], stats: Sequence[Stats]) -> Tensor:
        """The part of the output that lies in the tile's core, in float32 and clamped."""
        core = tile.core.within((self.content.shape[-2], self.content.shape[-1]))
        content = core.of(self.content).float()
        shares = [r.weight * (torch.ones(1, 1, 1, 1) if r.mask is None else core.of(r.mask)) for r in self.regions]
        whole = torch.stack(shares).sum(0)
        output, here = torch.zeros_like(content), [bool(share.any()) for share in shares]
        lost = torch.zeros(())
        if self.strength < 1 and any(here):
            plain = self._seen(tile, feats[-1], stats[-1], self.regions[0].code, 0.0)  # without style all are one
            lost = (1 - self.strength) * (content - plain)
        for number in compress(range(len(shares)), here):
            view = number if self.network.net.recolours else 0
            styled = self._seen(tile, feats[view], stats[view], self.regions[number].code, self.strength)
            output += shares[number] / whole.clamp(min=BARE) * (styled + lost).clamp_(0, 1)
        return torch.where(whole > BARE, output, content)

    def _seen(self, tile: Tile, feats: Feats, stats: Stats, code: Code, strength: float) -> Tensor:
        """What the network makes of the core, less what lies beyond the content's borders."""
        with self._autocast():
            found = self.network.tiled.render(feats, stats, code, strength=strength)
        height, width = tile.core.within((self.content.shape[-2], self.content.shape[-1])).size_hw
        return tile.core_of(found)[..., :height, :width].float().to(self.content.device)
