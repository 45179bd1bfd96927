"""The code of a style from its picture and its features."""

from __future__ import annotations

from torch import Tensor

from impasto.image.tiling import NO_WRAPS, Wraps
from impasto.nets.bands import BANDS, band_covariances
from impasto.nets.colours import COLOURS
from impasto.nets.moments import moments
from impasto.nets.protocol import Code, Coded, Feats


def code_from(feats: Feats, pictures: Tensor, *, net: Coded, wraps: Wraps = NO_WRAPS) -> Code:
    """What `net` needs to know of `pictures` `(b, 3, h, w)`, whose features at its code layers are `feats`."""
    code = {name: net.statistic.of(feats[name]) for name in net.code_layers}
    if net.recolours:
        code |= {COLOURS: moments(pictures, covariances=True), BANDS: band_covariances(pictures, wraps)}
    return code
