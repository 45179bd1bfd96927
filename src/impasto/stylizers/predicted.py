"""Painting in one pass with any style, by the scales and shifts that are predicted for it (Ghiasi et al. 2017)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.image.pixels import preprocess_from
from impasto.image.resize import SizeHW, resized
from impasto.image.strips import by_strips
from impasto.nets.fast import KIND as FAST
from impasto.nets.fast import MEMORY_BYTES, RGB, FastNetwork
from impasto.nets.predicted import Predicted
from impasto.nets.residual import PALETTE
from impasto.nets.table import Network
from impasto.stylizers.codes import checked, code_of, mixed, own_code
from impasto.stylizers.protocol import Mix, Step, Style, check_strength
from impasto.stylizers.tiles import Box, cut
from impasto.stylizers.weighted import Paints, WeightedNetwork, blend
from impasto.weights.card import Card

Row = Mapping[str, Tensor]


@dataclass(frozen=True)
class Region:
    """A style's row, what paints by it, and where: as far as `mask` `(1, 1, h, w)` times `weight` has a share."""

    row: Row
    painter: FastNetwork
    weight: float = 1.0
    mask: Tensor | None = None

    def within(self, size_hw: SizeHW, box: Box) -> Region:
        """With its mask at the content's size, cut as the content is."""
        if self.mask is None:
            return self
        return dataclasses.replace(self, mask=cut(resized(self.mask, size_hw, mode="bilinear"), box))


@dataclass(frozen=True)
class Predictive:
    """A stylizer that paints any style in one pass of a network whose norms follow the style.

    Rows of several styles mix linearly, by any weights. A pass over a large picture uses about `memory_bytes`, to the
    same result as painting it whole.
    """

    network: Network
    memory_bytes: int = MEMORY_BYTES

    def prepare(self, mix: Mix) -> tuple[Region, ...]:
        """The rows of the styles; without masks one, mixed of all. Raises `ImageTooSmall`, `OptionError`."""
        if mix.styles[0].mask is not None:
            mix.check_no_negative(by="painting with masks")
            return tuple(self._region(self._row(s), s.weight, s.mask) for s in mix.styles if s.weight > 0)
        pairs = [(self._row(s), share) for s, share in zip(mix.styles, mix.shares, strict=True) if share != 0]
        return (self._region(mixed([row for row, _ in pairs], [share for _, share in pairs])),)

    def _region(self, row: Row, weight: float = 1.0, mask: Tensor | None = None) -> Region:
        return Region(row, self._painter(row), weight, mask)

    def _row(self, style: Style) -> Row:
        if style.code is not None:
            code = checked(style.code, self.network, name=style.name)
        else:
            code = code_of(style.seen(by="--method arbitrary"), self.network, name=style.name)
        return self._net.row_of(code)

    @property
    def _net(self) -> Predicted:
        assert isinstance(self.network.net, Predicted)
        return self.network.net

    def work(self, size_hw: SizeHW) -> int:
        """The number of steps: one, for any size."""
        return 1

    @torch.no_grad()
    def paint(self, content: Tensor, code: tuple[Region, ...], *, strength: float = 1.0) -> Iterator[Step]:
        """Yield one step, with the content's precision.

        `strength` 0 is the content itself. Up to 1 the output is `out(s) + (1 - s) · (content - out(0))`: rows go from
        the content's own to the style's, and what the network loses of the content even in its own style fades out. So
        it is exact at 0 and continuous. Above 1 rows go beyond the style's in the same direction; the colours are the
        style's.
        """
        check_strength(strength)
        size = (content.shape[-2], content.shape[-1])
        if strength == 0:
            yield Step(1, 1, size, content)
            return
        least, shown, regions = self._net.painter.smallest_px, content, list(code)
        if min(size) < least:  # a tiny picture is mirrored
            box = Box(0, max(size[0], least), 0, max(size[1], least))
            shown, regions = cut(content, box), [region.within(size, box) for region in code]
        found = blend(shown, self._brushes(shown, regions, strength=strength), memory_bytes=self.memory_bytes)
        yield Step(1, 1, size, found[..., : size[0], : size[1]])

    def _brushes(self, content: Tensor, regions: Sequence[Region], *, strength: float) -> list[WeightedNetwork]:
        """A brush for each region, at any strength but 0."""
        painters: list[Paints] = [region.painter for region in regions]
        if strength != 1:
            own = self._net.row_of(own_code(content, self.network))
            painters = [self._painter(_between(own, region.row, strength)) for region in regions]
            if strength < 1:
                plain = self._painter(own).painted(content, memory_bytes=self.memory_bytes)
                painters = [Faded(painter, plain, strength) for painter in painters]
        return [
            WeightedNetwork(painter, region.weight, region.mask)
            for painter, region in zip(painters, regions, strict=True)
        ]

    def _painter(self, row: Row) -> FastNetwork:
        """The network of one trained style whose row this is."""
        network = self.network
        card = Card(kind=FAST, name=network.name, network={"architecture": "residual", **self._net.numbers})
        rgb = preprocess_from(RGB)
        return FastNetwork(self._net.painter, card, network.sha256, rgb, rgb, network.dtype).with_rows([(row, 1.0)])


@dataclass(frozen=True, eq=False)
class Faded:
    """A painter that gives back, at a `strength` below 1, some of what `plain`, a picture without style, has lost."""

    painter: Paints
    plain: Tensor
    strength: float

    def painted(self, image: Tensor, *, memory_bytes: int) -> Tensor:
        """`image` `(1, 3, h, w)` repainted and clamped."""
        found = self.painter.painted(image, memory_bytes=memory_bytes - self.plain.nbytes)

        def kept(styled: Tensor, plain: Tensor, content: Tensor) -> Tensor:
            return (styled + (1 - self.strength) * (content - plain)).clamp_(0, 1)

        return by_strips(kept, found.to(image.dtype), self.plain.to(image.dtype), image)


def _between(own: Row, row: Row, strength: float) -> Row:
    """The row at a `strength` of the way from the content's own; above 1 the colours stay the style's."""
    return {
        key: torch.lerp(own[key], value, min(strength, 1.0) if key == PALETTE else strength)
        for key, value in row.items()
    }
