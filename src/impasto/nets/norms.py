"""Instance norm with scales and shifts that are given, fast on channels-last features (Ulyanov et al. 2016)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from impasto.encoders.padding import exported
from impasto.nets.moments import place_moments
from impasto.nets.shared import active_statistics, shared


class InstanceNorm(torch.autograd.Function):
    """`scale · (x - mean) / sqrt(var + eps) + shift` over the places of each channel.

    `x` `(b, c, h, w)` with channels last, `scale` and `shift` `(1|b, c)` in float32. Statistics and sums are float32,
    the result and its gradient have the type and layout of `x`. On channels-last bfloat16 features torch's `var_mean`
    took four times as long as all of this does, and the backward pass of its group norm three times (2 cores, 512 px).
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, shift: Tensor, eps: float) -> Tensor:
        """The normalised features."""
        b, c, h, w = x.shape
        places = x.permute(0, 2, 3, 1).flatten(1, 2)  # (b, h·w, c): no copy
        wide = places.float()
        mean = wide.mean(1, keepdim=True)
        kept = any(ctx.needs_input_grad)
        centred = wide - mean if kept and x.dtype == torch.float32 else wide.sub_(mean)
        spread = torch.rsqrt(centred.square().mean(1, keepdim=True) + eps)  # (b, 1, c)
        if kept:
            unit = (centred * spread).to(x.dtype)
            ctx.save_for_backward(unit, spread, scale)
        normed = torch.addcmul(shift[:, None], centred, spread * scale[:, None], out=centred)
        return normed.to(x.dtype).view(b, h, w, c).permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        """Gradients by features, scale and shift."""
        unit, spread, scale = ctx.saved_tensors
        b, c, h, w = grads[0].shape
        wide = grads[0].permute(0, 2, 3, 1).reshape(b, h * w, c).float()
        by_shift = wide.sum(1)
        by_scale = (wide * unit).sum(1)
        away = by_shift[:, None] / (h * w)
        centred = wide - away if grads[0].dtype == torch.float32 else wide.sub_(away)  # the former is not ours
        centred.addcmul_(unit.float(), -by_scale[:, None] / (h * w)).mul_(spread * scale[:, None])
        gradient = centred.to(unit.dtype).view(b, h, w, c).permute(0, 3, 1, 2)
        if scale.shape[0] == 1:
            by_scale, by_shift = by_scale.sum(0, keepdim=True), by_shift.sum(0, keepdim=True)
        return gradient, by_scale, by_shift, None


def instance_norm(x: Tensor, scale: Tensor, *, shift: Tensor, eps: float) -> Tensor:
    """`x` `(b, c, h, w)` with mean 0 and deviation 1 in each channel of each picture, times `scale` plus `shift`.

    `scale` and `shift` are `(1|b, c)`; `eps` is added to variances. Statistics are float32, the type and layout of `x`
    stay. Where no gradient is asked for, float32 features are overwritten.
    """
    with torch.autocast(x.device.type, enabled=False):
        other = exported()
        if active_statistics() is not None and _needs_no_gradient(x, scale):
            mean, var = shared(torch.stack(place_moments(x))).float()
            return F.batch_norm(x, mean, var, scale[0], shift[0], eps=eps)
        if x.is_contiguous(memory_format=torch.channels_last) and not other:
            if _is_one_batch(x, scale):
                return F.batch_norm(x, None, None, scale[0], shift[0], training=True, eps=eps)
            if _is_one_picture(x, scale):
                mean, var = place_moments(x)
                factor = scale[0].double() * torch.rsqrt(var + eps)
                offset = shift[0].double() - mean * factor
                factor, offset = (value.float()[None, :, None, None] for value in (factor, offset))
                return torch.addcmul(offset, x, factor, out=x)
            normed: Tensor = InstanceNorm.apply(x, scale, shift, eps)  # type: ignore[no-untyped-call]
            return normed
        wide = x.float()
        if other and len(scale) == 1:  # one operator in other engines, which they compute in two passes
            return F.instance_norm(wide, weight=scale[0], bias=shift[0], eps=eps).to(x.dtype)
        var, mean = torch.var_mean(wide, dim=(2, 3), keepdim=True, correction=0)
        factor = scale[..., None, None] * torch.rsqrt(var + eps)
        offset = torch.addcmul(shift[..., None, None], mean, factor, value=-1)
        if other or wide.requires_grad or factor.requires_grad:
            return torch.addcmul(offset, wide, factor).to(x.dtype)
        return torch.addcmul(offset, wide, factor, out=wide).to(x.dtype)


def _is_one_batch(x: Tensor, scale: Tensor) -> bool:
    """Whether torch's batch norm is the faster way to the same: half the time of ours.

    Its sums are plain ones in float32, which bfloat16 features do not tell from better ones (`nets.moments.SUM_PX`),
    and it has one scale and shift for all pictures.
    """
    return x.dtype == torch.bfloat16 and x[0, 0].numel() > 1 and _needs_no_gradient(x, scale)


def _is_one_picture(x: Tensor, scale: Tensor) -> bool:
    """Whether float32 statistics of `place_moments` do: an eighth of the time of `InstanceNorm`."""
    return x.dtype == torch.float32 and x.device.type == "cpu" and _needs_no_gradient(x, scale)


def _needs_no_gradient(x: Tensor, scale: Tensor) -> bool:
    """Whether `x` is a single picture and nothing is learned."""
    return len(x) == 1 and not (torch.is_grad_enabled() and (x.requires_grad or scale.requires_grad))
