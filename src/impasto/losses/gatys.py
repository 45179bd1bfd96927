"""The absolute losses of Gatys et al., Image Style Transfer Using Convolutional Neural Networks, CVPR 2016."""

from __future__ import annotations

from torch import Tensor

from impasto.losses.precision import full_precision


@full_precision
def gatys_content(output: Tensor, target: Tensor) -> Tensor:
    """½ Σ (F - P)² over features `(b, c, h, w)`, the mean over the batch (eq. 1)."""
    return (output - target).square().flatten(1).sum(1).mean() / 2


@full_precision
def gatys_style(output: Tensor, target: Tensor) -> Tensor:
    """1/(4 N² M²) Σ (G - A)² of one layer, the mean over the batch (eq. 4); arguments are `gram` matrices `(b, c, c)`.

    N is the number of channels and M of pixels. The paper's G and A are sums over pixels; those here are means, that is
    G/M and A/M, so M² cancels. The result is the paper's where both pictures have one size, and its natural extension
    where they do not.
    """
    return (output - target).square().sum((-2, -1)).mean() / (4 * output.shape[-1] ** 2)
