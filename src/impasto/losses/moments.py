"""The second moment of features, the hot spot of every Gram loss."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class SecondMoment(torch.autograd.Function):
    """E[f fᵀ] over pixels: `(b, c, h, w)` to `(b, c, c)`, accumulated in float32 also for half-precision features.

    Equals `pixels @ pixels.mT / n`, but reads channels-last features without a copy, and its gradient has their type
    and layout. Second derivatives are not supported. `benchmarks/gram.py` compares the speed with the plain expression.
    """

    @staticmethod
    def forward(ctx: Any, feats: Tensor) -> Tensor:
        """The moment, float32 (float64 for float64 features)."""
        pixels = feats.permute(0, 2, 3, 1).flatten(1, 2)  # (b, h·w, c): no copy where channels come last
        ctx.save_for_backward(pixels)
        ctx.size = feats.shape
        wide = pixels if pixels.dtype == torch.float64 else pixels.float()
        with torch.autocast(feats.device.type, enabled=False):
            return wide.mT @ wide / pixels.shape[1]

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        """The gradient by the features."""
        (pixels,), (b, c, h, w) = ctx.saved_tensors, ctx.size
        both = (grads[0] + grads[0].mT) / pixels.shape[1]
        with torch.autocast(pixels.device.type, enabled=False):
            gradient: Tensor = pixels @ both.to(pixels.dtype)
        return gradient.view(b, h, w, c).permute(0, 3, 1, 2)


def second_moment(feats: Tensor) -> Tensor:
    """E[f fᵀ] of features `(b, c, h, w)`, `(b, c, c)`."""
    moment: Tensor = SecondMoment.apply(feats)  # type: ignore[no-untyped-call]
    return moment


class CentredMoment(torch.autograd.Function):
    """Covariance `(b, c, c)`, divided by n, and mean `(b, c)` over pixels; as `SecondMoment` in all else."""

    @staticmethod
    def forward(ctx: Any, feats: Tensor) -> tuple[Tensor, Tensor]:
        """Both, float32 (float64 for float64 features)."""
        pixels = feats.permute(0, 2, 3, 1).flatten(1, 2)
        wide = pixels if pixels.dtype == torch.float64 else pixels.float()
        mean = wide.mean(1)
        ours = wide.data_ptr() != pixels.data_ptr()  # may be overwritten, which saves a pass and memory
        centred = wide.sub_(mean[:, None]) if ours else wide - mean[:, None]
        ctx.save_for_backward(centred.to(pixels.dtype))
        ctx.size = feats.shape
        with torch.autocast(feats.device.type, enabled=False):
            return centred.mT @ centred / pixels.shape[1], mean

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        """The gradient by the features: the centred pixels sum to zero, so the mean adds nothing to the first part."""
        (centred,), (b, c, h, w) = ctx.saved_tensors, ctx.size
        both = (grads[0] + grads[0].mT) / centred.shape[1]
        shift = grads[1] / centred.shape[1]
        with torch.autocast(centred.device.type, enabled=False):
            gradient: Tensor = torch.baddbmm(shift[:, None].to(centred.dtype), centred, both.to(centred.dtype))
        return gradient.view(b, h, w, c).permute(0, 3, 1, 2)


def centred_moment(feats: Tensor) -> tuple[Tensor, Tensor]:
    """Covariance `(b, c, c)` and mean `(b, c)` of features `(b, c, h, w)`."""
    moments: tuple[Tensor, Tensor] = CentredMoment.apply(feats)  # type: ignore[no-untyped-call]
    return moments
