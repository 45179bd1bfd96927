"""What the losses of one-pass networks share: parts that the output alone is judged by, and their weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.losses.smoothness import total_variation
from impasto.objective.perceptual import out_of_range

Parts = Mapping[str, Callable[[], Tensor]]
"""Scalars by name, not computed yet."""


def of_output(output: Tensor, contents: Tensor, *, paint: Callable[[Tensor], Tensor], noise_std: float) -> Parts:
    """Smoothness, noise and range parts of what `paint` has made of `contents`, all `(b, 3, h, w)`.

    `noise`: a little noise on the content is not to change the output (Gao et al. 2020, for steady video). `range`: no
    pixel is to leave `[0, 1]`.
    """
    return {
        "smoothness": lambda: total_variation(output),
        "noise": lambda: F.mse_loss(paint(contents + noise_std * torch.randn_like(contents)), output),
        "range": lambda: out_of_range(output),
    }


def weighted(parts: Parts, weights: Mapping[str, float]) -> dict[str, Tensor]:
    """Each part times its weight, in the order of `parts`; a part of weight 0 is not computed."""
    return {name: weights[name] * part() for name, part in parts.items() if weights[name]}
