"""Feature maps: the channels of a layer as pictures."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.analysis.colours import coloured, pixel_doubled, to_unit
from impasto.analysis.sheet import contact_sheet, rows_of
from impasto.config.analysis import FeatureOptions
from impasto.core.errors import UnknownName
from impasto.encoders.table import Encoder

ORDERS = ("strongest", "index")


@dataclass(frozen=True)
class FeatureChannel:
    """A channel of a layer: its number, feature map `(h, w)` and root mean square."""

    index: int
    values: Tensor
    strength: float


@torch.no_grad()
def channels_of(
    picture: Tensor, layer: str, *, encoder: Encoder, count: int = 64, order: str = "strongest"
) -> list[FeatureChannel]:
    """The first `count` channels (0: all) of `layer` in one of `ORDERS`, for a picture `(1, 3, h, w)` in `[0, 1]`."""
    if order not in ORDERS:
        raise UnknownName.of("order", order, known=ORDERS)
    feats = encoder(picture, [layer])[layer][0].float()  # (c, h, w)
    strength = feats.square().mean((1, 2)).sqrt()
    ranked = strength.argsort(descending=True, stable=True) if order == "strongest" else torch.arange(len(feats))
    chosen = ranked[: count or len(ranked)].tolist()
    return [FeatureChannel(i, feats[i], float(strength[i])) for i in chosen]


def feature_sheet(
    picture: Tensor, *, encoder: Encoder, options: FeatureOptions | None = None, name: str = ""
) -> Tensor:
    """A grid of channels with their numbers, `(1, 3, H, W)`; each channel is scaled to its largest value.

    Layers before the ReLU have both signs: blue is negative, red positive.
    """
    options = options or FeatureOptions()
    channels = channels_of(picture, options.layer, encoder=encoder, count=options.channels, order=options.order)
    signed = any(bool((channel.values < 0).any()) for channel in channels)
    images = [_picture(channel, signed=signed, long_side_px=options.cell_px) for channel in channels]
    columns = grid_columns(len(images))
    labels = [f"{c.index}" if c.strength > 0 else f"{c.index} (silent)" for c in channels]
    of = f" of {name}" if name else ""
    order = "strongest first" if options.order == "strongest" else "by number"
    return contact_sheet(
        rows_of(images, columns),
        cell_labels=rows_of(labels, columns),
        cell_px=options.cell_px,
        caption=f"{options.layer}{of}: {len(channels)} of {encoder.width(options.layer)} channels, {order}",
    )


def grid_columns(count: int) -> int:
    """Columns of a nearly square grid of `count` cells."""
    return max(1, math.ceil(math.sqrt(count)))


def _picture(channel: FeatureChannel, *, signed: bool, long_side_px: int) -> Tensor:
    scaled, kind = to_unit(channel.values, signed=signed)
    return pixel_doubled(coloured(scaled, kind=kind), long_side_px=long_side_px)
