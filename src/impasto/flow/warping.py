"""Warping along a flow, and where a flow can be trusted."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from impasto.flow.estimators import opencv

RELATIVE, ABSOLUTE_PX2 = 0.01, 0.5  # Sundaram et al. 2010, equation 5
BOUNDARY_RELATIVE, BOUNDARY_ABSOLUTE = 0.01, 0.002  # the same, equation 6


def warped(image: Tensor, flow: Tensor, *, mode: str = "cubic") -> Tensor:
    """`image` `(1, c, h, w)` sampled at `p + flow(p)` for every pixel `p`; `flow` `(1, 2, h, w)` in pixels.

    With the flow from frame B to frame A and A's pixels, this aligns A with B. `mode` is `cubic` (which
    overshoots at edges), `linear` or `nearest`. Pixels beyond the border repeat the border's.
    """
    cv2 = opencv()
    height, width = flow.shape[-2:]
    x = flow[0, 0].numpy() + np.arange(width, dtype=np.float32)
    y = flow[0, 1].numpy() + np.arange(height, dtype=np.float32)[:, None]
    interpolation = {
        "cubic": cv2.INTER_CUBIC,
        "linear": cv2.INTER_LINEAR,
        "nearest": cv2.INTER_NEAREST,
    }[mode]
    planes = image[0].permute(1, 2, 0).float().contiguous().numpy()
    sampled = cv2.remap(planes, x, y, interpolation, borderMode=cv2.BORDER_REPLICATE)
    return _tensor(sampled.reshape(height, width, -1))


def trusted(flow: Tensor, reverse: Tensor) -> Tensor:
    """Where `flow` `(1, 2, h, w)` from B to A can be trusted: `(1, 1, h, w)`, boolean, on B's pixels.

    `reverse` is the flow from A to B. A pixel is trusted if its target lies inside the frame, if forward and backward
    flow agree (`|w + v|² <= 0.01 (|w|² + |v|²) + 0.5`, `v` being `reverse` at the target; Sundaram et al. 2010,
    equation 5; otherwise it is occluded in A), and away from motion boundaries, where flow is imprecise
    (`|∇u|² + |∇v|² <= 0.01 |w|² + 0.002`, equation 6). Ruder et al. 2016, section 3.3, use the same conditions.
    """
    back = warped(reverse, flow, mode="linear")
    apart = (flow + back).square().sum(1, keepdim=True)
    lengths = flow.square().sum(1, keepdim=True) + back.square().sum(1, keepdim=True)
    return inside(flow) & (apart <= RELATIVE * lengths + ABSOLUTE_PX2) & ~motion_boundaries(flow)


def agreement(flow: Tensor, reverse: Tensor) -> Tensor:
    """The soft form of `trusted` without motion boundaries, `(1, 1, h, w)` in `[0, 1]`.

    `exp(-|w + v|² / (0.01 (|w|² + |v|²) + 0.5))`, which is 1/e at the threshold, and 0 where the target lies outside
    the frame.
    """
    back = warped(reverse, flow, mode="linear")
    apart = (flow + back).square().sum(1, keepdim=True)
    lengths = flow.square().sum(1, keepdim=True) + back.square().sum(1, keepdim=True)
    return vanishing(apart / (RELATIVE * lengths + ABSOLUTE_PX2)) * inside(flow)


def vanishing(values: Tensor) -> Tensor:
    """`exp(-values)` of values of 0 or more, without denormal numbers, which take ten times as long."""
    return torch.exp(-values.clamp(max=30))


def blurred(image: Tensor, sigma_px: float) -> Tensor:
    """`image` `(1, c, h, w)` blurred by a Gaussian of `sigma_px`, mirrored at the border."""
    planes = image[0].permute(1, 2, 0).float().contiguous().numpy()
    smooth = opencv().GaussianBlur(planes, (0, 0), sigma_px, borderType=opencv().BORDER_REFLECT)
    return _tensor(smooth.reshape(planes.shape))


def inside(flow: Tensor) -> Tensor:
    """Where the targets of `flow` `(b, 2, h, w)` lie inside the frame, `(b, 1, h, w)`."""
    height, width = flow.shape[-2:]
    x = flow[:, :1] + torch.arange(width, dtype=flow.dtype)
    y = flow[:, 1:] + torch.arange(height, dtype=flow.dtype)[:, None]
    return (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)


def motion_boundaries(flow: Tensor) -> Tensor:
    """Where the flow `(b, 2, h, w)` changes abruptly (Sundaram et al. 2010, equation 6), `(b, 1, h, w)`."""
    padded = F.pad(flow, (1, 1, 1, 1), mode="replicate")
    across = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
    down = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2
    steepness = across.square().sum(1, keepdim=True) + down.square().sum(1, keepdim=True)
    return steepness > BOUNDARY_RELATIVE * flow.square().sum(1, keepdim=True) + BOUNDARY_ABSOLUTE


def _tensor(planes: NDArray[np.float32]) -> Tensor:
    return torch.from_numpy(planes).permute(2, 0, 1)[None]
