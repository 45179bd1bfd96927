"""Measures on the pixels themselves: pictures are RGB, sRGB-encoded, `[0, 1]`, `(b, 3, h, w)`."""

from __future__ import annotations

import math

import numpy as np
import torch
from skimage import color, metrics  # these load what is used, when it is used
from torch import Tensor

from impasto.core.errors import ImageTooSmall
from impasto.image.colour import luminance
from impasto.losses.statistics import histogram
from impasto.metrics.features import fitted

SSIM_WINDOW_PX = 7
RAYS = 32


@torch.no_grad()
def colour_distance(output: Tensor, style: Tensor) -> float:
    """Sliced Wasserstein-2 distance of the pixels' CIE Lab colours, in ΔE: 0 is the same palette in the same shares.

    Scaled so that two pictures of one colour each are as far apart as the colours are (ΔE*ab 1976). Where the colours
    lie does not matter, nor does size.
    """
    rays = _rays(RAYS)
    found, target = (_quantiles_along(rays, picture) for picture in (output, style))
    squared = (found - target).square().mean((1, 2)) * 3  # a shift v projects to |v|²/3 on average
    return float(squared.sqrt().mean())


@torch.no_grad()
def ssim(output: Tensor, content: Tensor) -> float:
    """Structural similarity of luminance, from -1 to 1 (equal); `output` is resized to `content`'s size if needed.

    Wang et al., Image Quality Assessment: From Error Visibility to Structural Similarity, 2004, with a flat window of
    `SSIM_WINDOW_PX` pixels rather than a Gaussian one. Raises `ImageTooSmall` when a side is shorter than the window.
    """
    height, width = content.shape[-2:]
    if min(height, width) < SSIM_WINDOW_PX:
        raise ImageTooSmall(
            f"content is {width}×{height} px; SSIM needs {SSIM_WINDOW_PX} px a side. Measure a larger picture."
        )
    found, target = (luminance(image.float().clamp(0, 1)).cpu().numpy() for image in (fitted(output, content), content))
    return float(np.mean([_similarity(*pair) for pair in zip(found[:, 0], target[:, 0], strict=True)]))


def _similarity(found: np.ndarray, target: np.ndarray) -> float:
    """SSIM of two luminances `(h, w)` in `[0, 1]`."""
    return float(metrics.structural_similarity(found, target, data_range=1.0, win_size=SSIM_WINDOW_PX))  # type: ignore[no-untyped-call]


def _quantiles_along(rays: Tensor, image: Tensor) -> Tensor:
    """Quantile functions `(b, rays, bins)` of the Lab colours."""
    lab = torch.stack([torch.from_numpy(color.rgb2lab(array)).float() for array in _arrays(image)])  # (b, h, w, 3)
    return histogram(torch.einsum("bhwc,rc->brhw", lab, rays))[0]


def _arrays(image: Tensor) -> list[np.ndarray]:
    """Each picture as `(h, w, 3)` float32 in `[0, 1]`."""
    return list(image.detach().float().clamp(0, 1).permute(0, 2, 3, 1).cpu().numpy())


def _rays(count: int) -> Tensor:
    """`(count, 3)` unit vectors spread evenly over the sphere by the golden angle."""
    step = torch.arange(count, dtype=torch.float64) + 0.5
    height = 1 - 2 * step / count
    turn = step * math.pi * (3 - math.sqrt(5))
    ring = (1 - height.square()).sqrt()
    return torch.stack([ring * turn.cos(), ring * turn.sin(), height], dim=1).float()
