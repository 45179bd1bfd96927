"""Stability under motion, from single pictures: a random smooth flow makes the second frame."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

SMOOTH_PX = 64
"""Distance of the places whose motion is drawn; between them it changes smoothly."""

COMMON_SHARE, OWN_SHARE = 0.9, 0.4  # of the deviation: of the whole picture, and of its parts


def random_flow(image: Tensor, *, std_px: float) -> Tensor:
    """A smooth flow `(b, 2, h, w)` in pixels for pictures `(b, 3, h, w)`, each component of about `std_px`."""
    batch, _, height, width = image.shape
    grid = [max(2, round(side / SMOOTH_PX) + 1) for side in (height, width)]
    common = torch.randn(batch, 2, 1, 1, device=image.device)
    own = F.interpolate(torch.randn(batch, 2, *grid, device=image.device), (height, width), mode="bicubic")
    return std_px * (COMMON_SHARE * common + OWN_SHARE * own)


def moved(image: Tensor, flow: Tensor) -> Tensor:
    """`image` `(b, c, h, w)` sampled bilinearly at `p + flow(p)`, with gradients; the border is repeated."""
    at = _aims(flow) / (flow.new_tensor((flow.shape[-1] - 1, flow.shape[-2] - 1)).clamp(min=1) / 2) - 1
    return F.grid_sample(image, at.to(image.dtype), mode="bilinear", padding_mode="border", align_corners=True)


def stability(
    output: Tensor, *, contents: Tensor, paint: Callable[[Tensor], Tensor], std_px: float, noise_std: float
) -> Tensor:
    """How much painting differs from moving what is painted, both `(b, 3, h, w)` (Wang et al. 2020, ReReVST).

    The mean squared distance of `paint(moved(contents) + noise)` from `moved(output)`, where the flow stays inside.
    """
    flow = random_flow(contents, std_px=std_px)
    frame = moved(contents, flow)
    frame = (frame + noise_std * torch.randn_like(frame)).clamp(0, 1)
    apart = (paint(frame) - moved(output, flow)).square().mean(1, keepdim=True)
    aims, last = _aims(flow), flow.new_tensor((flow.shape[-1] - 1, flow.shape[-2] - 1))
    inside = ((aims >= 0) & (aims <= last)).all(-1)[:, None].to(apart.dtype)
    return (apart * inside).sum() / inside.sum().clamp(min=1)


def _aims(flow: Tensor) -> Tensor:
    """Where each pixel is sampled, `(b, h, w, 2)`, x before y."""
    y = torch.arange(flow.shape[-2], dtype=flow.dtype, device=flow.device)[:, None].expand(flow.shape[-2:])
    x = torch.arange(flow.shape[-1], dtype=flow.dtype, device=flow.device).expand(flow.shape[-2:])
    return torch.stack([x, y], dim=-1) + flow.permute(0, 2, 3, 1)
