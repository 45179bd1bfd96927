"""Targets of rearranged style features: each position of the content gets the most similar position of the style.

Kolkin, Kucera, Paris, Sýkora, Shechtman & Shakhnarovich, Neural Neighbor Style Transfer, 2022.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from impasto.losses.precision import full_precision
from impasto.losses.statistics import Statistic, flattened
from impasto.losses.transport import axes_of, neighbours

TINY = 1e-6


@torch.no_grad()
def matched(guide: Tensor, styles: Sequence[Tensor]) -> Statistic:
    """The style's features rearranged to match `guide` `(1, c, h, w)`, as `((1, c, h, w),)`.

    Each position takes the nearest column of `styles` (feature maps of one picture and its rotations) by the cosine
    distance of centred columns. The search uses the principal axes of the style.
    """
    columns = torch.cat([feats.float().flatten(2)[0].mT for feats in styles])  # (m, c)
    places = guide.float().flatten(2)[0].mT
    centred = _centred(columns)
    axes = axes_of(centred[None])[0]
    nearest, _ = neighbours(_centred(places) @ axes, centred @ axes)
    return (columns[nearest].mT.reshape(guide.shape),)


@full_precision
def cosine_distance(feats: Tensor, target: Statistic, *, weights: Tensor | None = None) -> Tensor:
    """The mean over positions of `1 - cos` between the columns of `feats` and of a target, both `(b, c, h, w)`.

    `weights` `(b|1, 1, h, w)`, zero or more, are the weights of the positions.
    """
    pixels, mass = flattened(feats, weights)
    wanted = target[0].flatten(2)
    alike: Tensor = (pixels * wanted).sum(1) / (pixels.norm(dim=1) * wanted.norm(dim=1) + TINY)
    apart: Tensor = 1 - alike
    return apart.mean() if mass is None else (apart * mass.squeeze(1)).sum(-1).mean()


def _centred(columns: Tensor) -> Tensor:
    return torch.nn.functional.normalize(columns - columns.mean(0), dim=-1)
