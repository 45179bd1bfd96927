"""The objective of one scale, block by block: that of `targets.objective_for`, in bounded memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor

from impasto.config.optimise import LossOptions
from impasto.core.errors import OptionError
from impasto.encoders.table import Encoder
from impasto.image.masks import pooled
from impasto.image.resize import SizeHW
from impasto.image.tiling import NO_WRAPS, Wraps
from impasto.losses.content_parts import PLAIN, PartDistance, gatys_part, plain_part, relative_part
from impasto.losses.joins import Join
from impasto.losses.statistics import Statistic
from impasto.losses.table import STYLE_LOSSES, StyleLoss
from impasto.objective.blocks import BLOCK_PX, CanvasBlock, blocks_of
from impasto.objective.blockwise import (
    BlockContentTerm,
    BlockFeatures,
    BlockPixelTerm,
    BlockStyleTerm,
    Blockwise,
    Gathered,
    StatisticKey,
    separable,
)
from impasto.objective.pixel_parts import POOL_PX, laplacian_part, range_part, variation_part
from impasto.stylizers.curvature import OnDisk
from impasto.stylizers.protocol import Mix, Style
from impasto.stylizers.targets import FLOOR, at_scale, layer_weights, masks_of, pixel_weights, style_loss

Kept = Mapping[str, "list[Tensor] | StoredFeats"]
"""Features of the content by layer, those of each block."""


class StoredFeats(Sequence[Tensor]):
    """Features in temporary files, in their own precision."""

    def __init__(self) -> None:
        self._files: list[OnDisk] = []

    def append(self, feats: Tensor) -> None:
        """Write the features of the next block."""
        feats = feats.contiguous()
        self._files.append(OnDisk(feats, feats.dtype))

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: Any) -> Any:
        return self._files[index].read()


def is_separable(losses: LossOptions, encoder: Encoder) -> bool:
    """Whether the objective is a sum over places."""
    try:
        check_separable(losses, encoder)
    except OptionError:
        return False
    return True


def check_separable(losses: LossOptions, encoder: Encoder) -> None:
    """Raise `OptionError` for a loss or an encoder that needs the whole picture at once."""
    at_once = []
    if losses.style_weight > 0 and losses.style_layers and _join_of(losses.style_loss) is None:
        at_once.append(f"`style_loss={losses.style_loss}`")
    if losses.content_weight > 0 and losses.content_loss not in PLAIN:
        at_once.append(f"`content_loss={losses.content_loss}`")
    if losses.palette_weight > 0:
        at_once.append("`palette_weight`")
    if at_once:
        names = ", ".join(name for name in [*STYLE_LOSSES, "gatys"] if _join_of(name) is not None)
        raise OptionError(
            f"{' and '.join(at_once)} compares all places of the picture at once, and the picture does not fit into "
            f"`memory_gb` as a whole. Use a smaller size, more `memory_gb`, or losses that are computed block by "
            f"block: {names}, with the content by {', '.join(PLAIN)}."
        )
    if encoder.reach_px([*losses.content_layers, *losses.style_layers]) is None:
        raise OptionError(
            f"`encoder={encoder.name}` has no grid that blocks could keep to, and the picture does not fit into "
            "`memory_gb` as a whole. Use a smaller size, more `memory_gb`, or an encoder of the VGG family."
        )


def _join_of(name: str) -> Join | None:
    loss = style_loss(name)
    return loss.join if isinstance(loss, StyleLoss) else None


def _loss_of(losses: LossOptions) -> StyleLoss:
    loss = style_loss(losses.style_loss)
    assert isinstance(loss, StyleLoss)
    return loss


def blockwise_for(
    content: Tensor,
    mix: Mix,
    *,
    encoder: Encoder,
    losses: LossOptions,
    strength: float = 1.0,
    block_px: int = BLOCK_PX,
    graphs: int = 1,
    on_disk: bool = False,
    wraps: Wraps = NO_WRAPS,
) -> Blockwise:
    """The objective of `objective_for` for a canvas of the size of `content` `(1, 3, h, w)`, computed by blocks.

    Only the features of the content layers are kept of the whole content, in the encoder's own type, in memory or
    `on_disk`. `graphs`: see `Blockwise`. Raises `OptionError` for losses that are not sums over places.
    """
    check_separable(losses, encoder)
    sight = _Sight(encoder, losses, (content.shape[-2], content.shape[-1]), block_px, wraps)
    weight = losses.style_weight * strength**2
    terms = _unscaled(mix, sight, weight=weight) if weight else ()
    regions = _regions(mix.styles, content, sight=sight) if weight else ()
    layers = losses.content_layers if losses.content_weight > 0 else ()
    kept: Kept = {layer: StoredFeats() if on_disk else [] for layer in layers}
    bare = Blockwise(encoder, sight.blocks, sight.strides, style=terms, regions=regions, graphs=graphs)
    gathered = bare.gathered(content, also=partial(_keep, kept=kept), layers=layers)
    if losses.balance == "relative":
        terms = tuple(_relative(term, gathered[term.key]) for term in terms)
    pixels = _pixel_terms(content, losses, strength=strength, wraps=wraps)
    return dataclasses.replace(bare, content=_content_terms(kept, losses), style=terms, pixels=pixels)


@dataclass(frozen=True)
class _Sight:
    """The blocks in which an encoder computes a picture of this size."""

    encoder: Encoder
    losses: LossOptions
    size_hw: SizeHW
    block_px: int
    wraps: Wraps = NO_WRAPS

    @property
    def layers(self) -> tuple[str, ...]:
        return (*self.losses.content_layers, *self.losses.style_layers)

    @property
    def strides(self) -> dict[str, int]:
        """Pixels of the picture per feature pixel, by layer."""
        return {layer: self.encoder.stride(layer) for layer in self.layers}

    @cached_property
    def blocks(self) -> tuple[CanvasBlock, ...]:
        stride = max(POOL_PX, *self.strides.values())
        reach_px = max(POOL_PX, self.encoder.reach_px(self.layers) or 0)
        return blocks_of(self.size_hw, reach_px=reach_px, stride=stride, block_px=self.block_px, wraps=self.wraps)


def _unscaled(mix: Mix, sight: _Sight, *, weight: float) -> tuple[BlockStyleTerm, ...]:
    """The style terms with absolute weights."""
    losses, encoder = sight.losses, sight.encoder
    loss, masked = _loss_of(losses), mix.styles[0].mask is not None
    terms = []
    for number, (style, share) in enumerate(zip(mix.styles, mix.style_weights, strict=True)):
        if share == 0:
            continue
        targets = _targets(style, sight)
        for layer, part in zip(losses.style_layers, layer_weights(losses, encoder), strict=True):
            key = StatisticKey(layer, loss, number if masked else None)
            terms.append(BlockStyleTerm(key, targets[layer], weight * share * part))
    return tuple(terms)


def _regions(styles: Sequence[Style], content: Tensor, *, sight: _Sight) -> tuple[dict[str, Tensor], ...]:
    """The masks of the styles, by layer at the size of its features; none where there are no masks."""
    masks = [mask for mask in masks_of(styles, content, wraps=sight.wraps) if mask is not None]
    sizes = _feature_sizes(content, sight) if masks else {}
    return tuple({layer: pooled(mask, size) for layer, size in sizes.items()} for mask in masks)


@torch.no_grad()
def _feature_sizes(content: Tensor, sight: _Sight) -> dict[str, SizeHW]:
    """The size of each style layer's features of the whole content, from strips along two sides."""
    layers = sight.losses.style_layers
    narrow = sight.encoder.smallest_px(layers)
    upright = sight.encoder(content[..., :narrow], layers)
    lying = sight.encoder(content[..., :narrow, :], layers)
    return {layer: (upright[layer].shape[-2], lying[layer].shape[-1]) for layer in layers}


def _keep(seen: BlockFeatures, *, kept: Kept) -> None:
    for layer, parts in kept.items():
        parts.append(seen.own(layer).clone())


def _targets(style: Style, sight: _Sight) -> dict[str, Statistic]:
    layers, loss = sight.losses.style_layers, _loss_of(sight.losses)
    picture = at_scale(style, sight.size_hw, smallest_px=sight.encoder.smallest_px(layers))
    own = dataclasses.replace(sight, size_hw=(picture.shape[-2], picture.shape[-1]), wraps=NO_WRAPS)
    seen = Blockwise(own.encoder, own.blocks, own.strides)
    gathered = seen.gathered(picture, keys=[StatisticKey(layer, loss) for layer in layers])
    with torch.no_grad():
        return {key.layer: loss.ready(found.joined(separable(loss))) for key, found in gathered.items()}


def _relative(term: BlockStyleTerm, gathered: Gathered) -> BlockStyleTerm:
    loss: StyleLoss = term.key.loss
    start = float(loss.distance(gathered.joined(separable(loss)), term.target))
    return BlockStyleTerm(term.key, term.target, term.weight / max(start, FLOOR))


def _content_terms(kept: Kept, losses: LossOptions) -> tuple[BlockContentTerm, ...]:
    weight = losses.content_weight / max(1, len(losses.content_layers))
    return tuple(BlockContentTerm(layer, parts, weight, _content_part(losses, parts)) for layer, parts in kept.items())


def _content_part(losses: LossOptions, parts: Sequence[Tensor]) -> PartDistance:
    """The parts of `targets`' content distance."""
    if losses.balance == "relative":
        return relative_part(losses.content_loss, parts)
    if losses.style_loss == "gatys" and losses.content_loss == "l2":
        return gatys_part()
    return plain_part(losses.content_loss, parts, reduction=losses.content_reduction)


def _pixel_terms(content: Tensor, losses: LossOptions, *, strength: float, wraps: Wraps) -> tuple[BlockPixelTerm, ...]:
    size = (content.shape[-2], content.shape[-1])
    parts = {
        "tv": partial(variation_part, size_hw=size, wraps=wraps),
        "laplacian": partial(laplacian_part, content=content, wraps=wraps),
        "range": partial(range_part, size_hw=size),
    }
    return tuple(BlockPixelTerm(name, weight, parts[name]) for name, weight in pixel_weights(losses, strength).items())
