"""Padding by one pixel, by reflection or from the opposite edge, which preserves type and layout of the features."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from impasto.image.tiling import Wraps, wrapped


class Reflected(torch.autograd.Function):
    """`(b, c, h, w)` to `(b, c, h + 2, w + 2)` as `F.pad(…, mode="reflect")` gives it, channels last; h, w ≥ 2.

    Under autocast torch's implementation converts bfloat16 features to float32, and the convolution converts them back.
    """

    @staticmethod
    def forward(ctx: Any, feats: Tensor) -> Tensor:
        """The padded features."""
        b, c, h, w = feats.shape
        padded = feats.new_empty((b, h + 2, w + 2, c)).permute(0, 3, 1, 2)
        padded[..., 1:-1, 1:-1] = feats
        padded[..., 0, 1:-1], padded[..., -1, 1:-1] = feats[..., 1, :], feats[..., -2, :]
        padded[..., 0], padded[..., -1] = padded[..., 2], padded[..., -3]
        return padded

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        """The gradient by the features: the border's is added to the pixels that it mirrors."""
        gradient = grads[0][..., 1:-1].clone(memory_format=torch.channels_last)  # (b, c, h + 2, w)
        gradient[..., 1] += grads[0][..., 0]
        gradient[..., -2] += grads[0][..., -1]
        gradient[..., 2, :] += gradient[..., 0, :]
        gradient[..., -3, :] += gradient[..., -1, :]
        return gradient[..., 1:-1, :]


def exported() -> bool:
    """Whether the network is being exported to another engine, which supports standard torch functions only."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call, no-any-return]


def surrounded(feats: Tensor, wraps: Wraps, *, mirrored: bool) -> Tensor:
    """`feats` padded by one pixel: from the opposite edge on sides that wrap, else mirrored or zero."""
    feats = wrapped(feats, (int(wraps[0]), int(wraps[1])))
    margins = [int(not wraps[1])] * 2 + [int(not wraps[0])] * 2
    return F.pad(feats, margins, mode="reflect" if mirrored else "constant") if any(margins) else feats


def reflected(feats: Tensor) -> Tensor:
    """`feats` with reflection padding by one pixel, in the same layout; h, w ≥ 2."""
    if exported() or not feats.is_contiguous(memory_format=torch.channels_last):
        return F.pad(feats, (1, 1, 1, 1), mode="reflect")
    padded: Tensor = Reflected.apply(feats)  # type: ignore[no-untyped-call]
    return padded
