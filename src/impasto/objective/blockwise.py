"""The perceptual objective of a picture whose features do not fit into memory: block by block, and exactly.

A first pass over the blocks gathers the statistics, without gradients. The gradient of each style loss by the
statistics of each block follows from the statistics of the whole. A second pass computes the features of each block
again and carries that gradient, and those of the losses that are plain sums, back to the block's pixels (Galerne et
al. 2023, "Scaling painting style transfer", which does it for Gram matrices and VGG-19).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from impasto.losses.joins import Join
from impasto.losses.statistics import Statistic
from impasto.losses.table import StyleLoss
from impasto.objective.blocks import Block
from impasto.objective.perceptual import Encoder, Features, Terms


@dataclass(frozen=True)
class BlockFeatures:
    """The features of the block of this number with what surrounds it, and the strides of the layers."""

    number: int
    block: Block
    feats: Features
    strides: dict[str, int]

    def own(self, layer: str) -> Tensor:
        """The block's own features."""
        return self.block.own(self.feats[layer], self.strides[layer])

    def place(self, layer: str, whole: Tensor) -> Tensor:
        """The block's own part of what has the size of the layer's features of the whole picture."""
        return self.block.place(whole, self.strides[layer])


@dataclass(frozen=True)
class StatisticKey:
    """A statistic that terms share: of one layer, in one region."""

    layer: str
    loss: StyleLoss
    region: int | None = None


@dataclass(frozen=True)
class BlockStyleTerm:
    """A style loss of the statistic `key`; `weight` is that of the loss."""

    key: StatisticKey
    target: Statistic
    weight: float


@dataclass(frozen=True)
class BlockContentTerm:
    """A content loss that is the sum of its parts; `targets` are the blocks' own features."""

    layer: str
    targets: tuple[Tensor, ...]
    weight: float
    part: Callable[[Tensor, Tensor], Tensor]

    def __call__(self, seen: BlockFeatures) -> Tensor:
        """The block's share in the weighted loss."""
        return self.weight * self.part(seen.own(self.layer), self.targets[seen.number])


@dataclass(frozen=True)
class BlockPixelTerm:
    """A loss of pixels, of the part `name`: `part(block, pixels of what it sees)` is the block's share in it."""

    name: str
    weight: float
    part: Callable[[Block, Tensor], Tensor]


@dataclass(frozen=True)
class Gathered:
    """A statistic of each block `(k, …)`, and the blocks' shares in the whole `(k,)`; blocks outside have none."""

    parts: Statistic
    shares: Tensor
    blocks: tuple[int, ...]

    def joined(self, join: Join) -> Statistic:
        """The statistic of the whole."""
        return join(self.parts, self.shares)


@dataclass(frozen=True)
class Blockwise:
    """`objective(image) -> Terms` as `Perceptual` gives it, with about the memory of one block.

    `regions` are masks of style terms by their numbers, and those by layer, `(1, 1, h, w)` of the layer's size.
    """

    encoder: Encoder
    blocks: tuple[Block, ...]
    strides: dict[str, int]
    content: tuple[BlockContentTerm, ...] = ()
    style: tuple[BlockStyleTerm, ...] = ()
    pixels: tuple[BlockPixelTerm, ...] = ()
    regions: tuple[dict[str, Tensor], ...] = ()

    def __call__(self, image: Tensor) -> Terms:
        """The losses of `image` `(1, 3, h, w)`; their gradient is computed at once where one is needed."""
        needed = torch.is_grad_enabled() and image.requires_grad
        values, slopes = self._style(image.detach())
        gradient = torch.zeros_like(image, memory_format=torch.contiguous_format) if needed else None
        for number in range(len(self.blocks)):
            found = self._passed(image.detach(), number, slopes=slopes.get(number, {}), gradient=gradient)
            for name, value in found.items():
                values[name] = values[name] + value if name in values else value
        if not values:
            return Terms(image.sum() * 0, {})
        total = torch.stack(list(values.values())).sum().to(image.dtype)
        if gradient is not None:
            total = _Known.apply(image, total, gradient)  # type: ignore[no-untyped-call]
        return Terms(total, values)

    @property
    def _keys(self) -> tuple[StatisticKey, ...]:
        return tuple(dict.fromkeys(term.key for term in self.style if term.weight))

    @torch.no_grad()
    def gathered(
        self,
        image: Tensor,
        *,
        keys: Sequence[StatisticKey] = (),
        also: Callable[[BlockFeatures], None] | None = None,
        layers: Sequence[str] = (),
    ) -> dict[StatisticKey, Gathered]:
        """The statistics of the style terms, or of `keys`, in each block of `image`.

        `also` is called with each block's features, which are then those of `layers`, too.
        """
        found: dict[StatisticKey, list[tuple[int, Statistic, float]]] = {key: [] for key in keys or self._keys}
        wanted = {*layers, *(key.layer for key in found)}
        for number, block in enumerate(self.blocks) if wanted else ():
            seen = BlockFeatures(number, block, self.encoder(block.seen(image), wanted), self.strides)
            for key, rows in found.items():
                mass, mask = _mass(seen, key, regions=self.regions)
                if mass > 0:
                    statistic = key.loss.statistic(seen.own(key.layer), mask)
                    rows.append((number, tuple(part.clone() for part in statistic), mass))
            if also is not None:
                also(seen)
        return {key: _stacked(rows) for key, rows in found.items()}

    def _style(self, image: Tensor) -> tuple[dict[str, Tensor], dict[int, dict[StatisticKey, Statistic]]]:
        """The style part, and its gradient by the statistics of each block."""
        slopes = dict[int, dict[StatisticKey, Statistic]]()
        if not self._keys:
            return {}, slopes
        gathered = self.gathered(image)
        total = torch.zeros((), dtype=torch.float64, device=image.device)
        for key, found in gathered.items():
            parts = tuple(part.requires_grad_() for part in found.parts)
            with torch.enable_grad():
                whole = Gathered(parts, found.shares, found.blocks).joined(separable(key.loss))
                terms = [term for term in self.style if term.weight and term.key == key]
                loss = torch.stack([term.weight * key.loss.distance(whole, term.target) for term in terms]).sum()
            by_parts = torch.autograd.grad(loss, parts, allow_unused=True)
            by_parts = tuple(torch.zeros_like(p) if g is None else g for p, g in zip(parts, by_parts, strict=True))
            total += loss.detach().double()
            for place, number in enumerate(found.blocks):
                slopes.setdefault(number, {})[key] = tuple(slope[place] for slope in by_parts)
        return {"style": total}, slopes

    def _passed(
        self, image: Tensor, number: int, *, slopes: dict[StatisticKey, Statistic], gradient: Tensor | None
    ) -> dict[str, Tensor]:
        """The block's share in the parts other than style; its gradient, with that of style, is added to `gradient`."""
        block = self.blocks[number]
        pixels = block.seen(image).requires_grad_(gradient is not None)
        with torch.set_grad_enabled(gradient is not None):
            layers = {term.layer for term in self.content if term.weight}
            layers |= {key.layer for key in slopes} if gradient is not None else set()
            seen = BlockFeatures(number, block, self.encoder(pixels, layers) if layers else {}, self.strides)
            losses = [("content", term(seen)) for term in self.content if term.weight]
            losses += [(term.name, term.weight * term.part(block, pixels)) for term in self.pixels if term.weight]
            if gradient is not None:
                carried = [_carried(seen, key, slope=slope, regions=self.regions) for key, slope in slopes.items()]
                sums = [loss for _, loss in losses if loss.requires_grad] + carried
                if sums:
                    torch.stack([part.to(pixels.dtype) for part in sums]).sum().backward()  # type: ignore[no-untyped-call]
                    assert pixels.grad is not None
                    block.add(pixels.grad, gradient)
        values: dict[str, Tensor] = {}
        for name, loss in losses:
            values[name] = values.get(name, 0) + loss.detach().double()
        return values


def separable(loss: StyleLoss) -> Join:
    """How the statistic of a whole follows from those of its parts; only for losses that have one."""
    if loss.join is None:
        raise ValueError(f"the style loss {loss.name} is not a sum over places.")
    return loss.join


def _stacked(rows: Sequence[tuple[int, Statistic, float]]) -> Gathered:
    mass = torch.tensor([mass for _, _, mass in rows], dtype=torch.float64)
    parts = tuple(torch.stack(column) for column in zip(*(statistic for _, statistic, _ in rows), strict=True))
    return Gathered(parts, (mass / mass.sum()).to(parts[0]), tuple(number for number, _, _ in rows))


def _mass(
    seen: BlockFeatures, key: StatisticKey, *, regions: Sequence[dict[str, Tensor]]
) -> tuple[float, Tensor | None]:
    """What a block counts in a statistic, and its part of the region's mask."""
    if key.region is None:
        feats = seen.own(key.layer)
        return float(feats.shape[-2] * feats.shape[-1]), None
    mask = seen.place(key.layer, regions[key.region][key.layer])
    return float(mask.double().sum()), mask


def _carried(
    seen: BlockFeatures, key: StatisticKey, *, slope: Statistic, regions: Sequence[dict[str, Tensor]]
) -> Tensor:
    """A scalar whose gradient by the pixels is that of the style loss through this block's statistic."""
    _, mask = _mass(seen, key, regions=regions)
    statistic = key.loss.statistic(seen.own(key.layer), mask)
    return torch.stack([(part * by).sum() for part, by in zip(statistic, slope, strict=True)]).sum()


class _Known(torch.autograd.Function):
    """A loss whose gradient by the image was computed beside it."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, value: Tensor, gradient: Tensor) -> Tensor:
        """The value."""
        ctx.gradient = gradient
        return value.clone()

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        """The gradient, once: it is handed over, not copied."""
        gradient, ctx.gradient = ctx.gradient, None
        return gradient.mul_(grads[0]), None, None
