"""Layers joined into one, as `relu1_1+relu2_1+relu3_1`: the concatenated features of all of them.

Hariharan et al., Hypercolumns for Object Segmentation and Fine-grained Localization, CVPR 2015.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor
from torch.nn import functional

from impasto.image.tiling import NO_WRAPS, Wraps, bilinear

STRIDE = 4
"""Minimum number of image pixels per position: a picture of 512 × 512 px has 16,384 columns."""


def parts_of(layer: str) -> tuple[str, ...]:
    """The layers of a joined layer; a plain layer consists of itself."""
    return tuple(layer.split("+"))


def with_parts(layers: Iterable[str]) -> list[str]:
    """The distinct plain layers of these layers."""
    return list(dict.fromkeys(part for layer in layers for part in parts_of(layer)))


def hypercolumns(
    feats: Mapping[str, Tensor], layer: str, *, image_hw: tuple[int, int], wraps: Wraps = NO_WRAPS
) -> Tensor:
    """The features of a joined layer, `(b, sum of c, h, w)`, from those of its parts.

    All parts are resized to the largest, or to a quarter of the image where that is smaller: larger maps by
    area averaging, smaller ones by bilinear interpolation.
    """
    maps = [feats[part] for part in parts_of(layer)]
    largest = max((one.shape[-2], one.shape[-1]) for one in maps)
    size = min(largest, (-(-image_hw[0] // STRIDE), -(-image_hw[1] // STRIDE)))
    return torch.cat([_fitted(one, size, wraps=wraps) for one in maps], dim=1)


def _fitted(feats: Tensor, size: tuple[int, int], *, wraps: Wraps) -> Tensor:
    if feats.shape[-2:] == size:
        return feats
    if feats.shape[-2] > size[0] or feats.shape[-1] > size[1]:
        return functional.interpolate(feats, size, mode="area")
    return bilinear(feats, size, wraps=wraps)
