"""Contrastive coherence: neighbours differ in the painting as they differ in the content."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

PLACES = 64  # that are drawn in each picture
TEMPERATURE = 0.07
AROUND = tuple((y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0))


def coherence(feats: Tensor, target: Tensor) -> Tensor:
    """Wu et al. 2022 (CCPL, equation 3), without their projection: `feats` and `target` are of one encoder.

    At random places of features `(b, c, h, w)` the differences to the 8 neighbours are taken. Each difference of the
    painting should be more like that of the content at the same place than like those at all other places: the mean
    cross-entropy of their cosines over the temperature. Features of fewer than 3 places a side have no neighbours: 0.
    """
    height, width = feats.shape[-2:]
    if min(height, width) < 3:
        return feats.sum() * 0
    y = torch.randint(1, height - 1, (PLACES,), device=feats.device)
    x = torch.randint(1, width - 1, (PLACES,), device=feats.device)
    painted, seen = (_differences(values.float(), y, x=x) for values in (feats, target))
    cosines = painted @ seen.mT / TEMPERATURE  # (b, n, n)
    same = torch.arange(cosines.shape[-1], device=feats.device).expand(len(cosines), -1)
    return F.cross_entropy(cosines.flatten(0, 1), same.flatten())


def _differences(feats: Tensor, y: Tensor, *, x: Tensor) -> Tensor:
    """Unit vectors from each place to each of its neighbours, `(b, 8 n, c)`."""
    centre = feats[:, :, y, x]
    apart = torch.cat([feats[:, :, y + down, x + right] - centre for down, right in AROUND], dim=-1)
    return F.normalize(apart, dim=1).mT
