"""The perceptual objective of a picture whose features do not fit into memory, computed exactly, block by block.

A first pass over the blocks gathers the statistics, without gradients. The statistics of the whole give the gradient
of each style loss with respect to the statistics of each block. A second pass recomputes the features of each block
and backpropagates that gradient, and those of the losses that are plain sums, to the block's pixels (Galerne et al.
2023, "Scaling painting style transfer", for Gram matrices and VGG-19).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from impasto.core.memory import return_freed_memory
from impasto.losses.joins import Join
from impasto.losses.statistics import Statistic
from impasto.losses.table import StyleLoss
from impasto.objective.blocks import CanvasBlock
from impasto.objective.perceptual import Encode, Features, Terms


@dataclass(frozen=True)
class BlockFeatures:
    """The features of a block and its halo, with the strides of the layers."""

    number: int
    block: CanvasBlock
    feats: Features
    strides: dict[str, int]

    def own(self, layer: str) -> Tensor:
        """The block's own features."""
        return self.block.own(self.feats[layer], self.strides[layer])

    def place(self, layer: str, whole: Tensor) -> Tensor:
        """The block's own part of a map of the size of the layer's features of the whole picture."""
        return self.block.place(whole, self.strides[layer])


@dataclass(frozen=True)
class Seen:
    """The pixels that a block sees, and the features that were computed of them, perhaps with their graph."""

    pixels: Tensor
    feats: BlockFeatures


@dataclass(frozen=True)
class StatisticKey:
    """A statistic of one layer in one region, which several terms may share."""

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
    """A content loss that is a sum over blocks; `targets` are the blocks' own features."""

    layer: str
    targets: Sequence[Tensor]
    weight: float
    part: Callable[[Tensor, Tensor], Tensor]

    def __call__(self, seen: BlockFeatures) -> Tensor:
        """The block's share in the weighted loss."""
        return self.weight * self.part(seen.own(self.layer), self.targets[seen.number])


@dataclass(frozen=True)
class BlockPixelTerm:
    """A loss of pixels, of the part `name`: `part(block, pixels of block and halo)` is the block's share."""

    name: str
    weight: float
    part: Callable[[CanvasBlock, Tensor], Tensor]


@dataclass(frozen=True)
class Gathered:
    """A statistic of each block `(k, …)`, and the blocks' shares of the whole `(k,)`, without blocks of share 0."""

    parts: Statistic
    shares: Tensor
    blocks: tuple[int, ...]

    def joined(self, join: Join) -> Statistic:
        """The statistic of the whole."""
        return join(self.parts, self.shares)


@dataclass(frozen=True)
class Blockwise:
    """`objective(image) -> Terms` as `Perceptual` gives it, with about the memory of so many blocks as `graphs`.

    The first pass ends with these blocks, and the second one begins with them, without computing their features again.
    `regions` are masks of style terms by their numbers, and those by layer, `(1, 1, h, w)` of the layer's size.
    """

    encoder: Encode
    blocks: tuple[CanvasBlock, ...]
    strides: dict[str, int]
    content: tuple[BlockContentTerm, ...] = ()
    style: tuple[BlockStyleTerm, ...] = ()
    pixels: tuple[BlockPixelTerm, ...] = ()
    regions: tuple[dict[str, Tensor], ...] = ()
    graphs: int = 1

    def __call__(self, image: Tensor) -> Terms:
        """The losses of `image` `(1, 3, h, w)`; their gradient is computed along with them if it is needed."""
        return_freed_memory()  # of the optimiser, whose pictures are larger than features
        needed = torch.is_grad_enabled() and image.requires_grad
        kept: dict[int, Seen] = {}
        values, slopes = self._style(image.detach(), kept=kept if needed else None)
        gradient = torch.zeros_like(image, memory_format=torch.contiguous_format) if needed else None
        for number in [*kept, *(number for number in range(len(self.blocks)) if number not in kept)]:
            seen = kept.pop(number, None) or self._seen(image.detach(), number, graph=needed)
            found = self._passed(seen, slopes=slopes.get(number, {}), gradient=gradient)
            del seen  # before the next one
            return_freed_memory()  # else the heap grows from block to block, since their sizes differ
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
        kept: dict[int, Seen] | None = None,
    ) -> dict[StatisticKey, Gathered]:
        """The statistics of the style terms, or of `keys`, in each block of `image`.

        `also` is called with each block's features, which are then those of `layers`, too. What the last blocks need
        for a gradient is added to `kept`.
        """
        found: dict[StatisticKey, list[tuple[int, Statistic, float]]] = {key: [] for key in keys or self._keys}
        wanted = {*layers, *(key.layer for key in found)}
        first_kept = len(self.blocks) - (0 if kept is None else self.graphs)
        for number, block in enumerate(self.blocks) if wanted else ():
            if kept is not None and number >= first_kept:
                kept[number] = self._seen(image, number, graph=True)
                seen = kept[number].feats
            else:
                seen = BlockFeatures(number, block, self.encoder(block.seen(image), wanted), self.strides)
            for key, rows in found.items():
                mass, mask = _mass(seen, key, regions=self.regions)
                if mass > 0:
                    statistic = key.loss.statistic(seen.own(key.layer), mask)
                    rows.append((number, tuple(part.clone() for part in statistic), mass))
            if also is not None:
                also(seen)
            del seen
            return_freed_memory()
        return {key: _stacked(rows) for key, rows in found.items()}

    def _style(
        self, image: Tensor, *, kept: dict[int, Seen] | None
    ) -> tuple[dict[str, Tensor], dict[int, dict[StatisticKey, Statistic]]]:
        """The style part, and its gradient by the statistics of each block."""
        slopes = dict[int, dict[StatisticKey, Statistic]]()
        if not self._keys:
            return {}, slopes
        gathered = self.gathered(image, kept=kept)
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

    def _seen(self, image: Tensor, number: int, *, graph: bool) -> Seen:
        """The pixels and features of a block; with `graph` the features of style layers, too, for a gradient."""
        block = self.blocks[number]
        pixels = block.seen(image).requires_grad_(graph)
        layers = {term.layer for term in self.content if term.weight}
        layers |= {key.layer for key in self._keys} if graph else set()
        with torch.set_grad_enabled(graph):
            feats = self.encoder(pixels, layers) if layers else {}
        return Seen(pixels, BlockFeatures(number, block, feats, self.strides))

    def _passed(
        self, found: Seen, *, slopes: dict[StatisticKey, Statistic], gradient: Tensor | None
    ) -> dict[str, Tensor]:
        """The block's share in the parts other than style; its gradient, with that of style, is added to `gradient`."""
        pixels, seen, block = found.pixels, found.feats, found.feats.block
        with torch.set_grad_enabled(gradient is not None):
            losses = [("content", term(seen)) for term in self.content if term.weight]
            losses += [(term.name, term.weight * term.part(block, pixels)) for term in self.pixels if term.weight]
            if gradient is not None:
                carried = [_carried(seen, key, slope=slope, regions=self.regions) for key, slope in slopes.items()]
                sums = [loss for _, loss in losses if loss.requires_grad] + carried
                if sums:
                    torch.stack([part.to(pixels.dtype) for part in sums]).sum().backward()
                    assert pixels.grad is not None
                    block.add(pixels.grad, gradient)
        values: dict[str, Tensor] = {}
        for name, loss in losses:
            values[name] = values.get(name, 0) + loss.detach().double()
        return values


def separable(loss: StyleLoss) -> Join:
    """The function from the statistics of parts to that of the whole; `ValueError` for a loss without one."""
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
    """The weight of a block in a statistic, and its part of the region's mask."""
    if key.region is None:
        feats = seen.own(key.layer)
        return float(feats.shape[-2] * feats.shape[-1]), None
    mask = seen.place(key.layer, regions[key.region][key.layer])
    return float(mask.double().sum()), mask


def _carried(
    seen: BlockFeatures, key: StatisticKey, *, slope: Statistic, regions: Sequence[dict[str, Tensor]]
) -> Tensor:
    """A scalar with the gradient of the style loss through this block's statistic."""
    _, mask = _mass(seen, key, regions=regions)
    statistic = key.loss.statistic(seen.own(key.layer), mask)
    return torch.stack([(part * by).sum() for part, by in zip(statistic, slope, strict=True)]).sum()


class _Known(torch.autograd.Function):
    """A loss whose gradient with respect to the image is already known."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, value: Tensor, gradient: Tensor) -> Tensor:
        ctx.gradient = gradient
        return value.clone()

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        """The gradient, once: it is moved, not copied."""
        gradient, ctx.gradient = ctx.gradient, None
        return gradient.mul_(grads[0]), None, None
