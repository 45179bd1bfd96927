"""Measures on the pixels themselves: pictures are RGB, sRGB-encoded, `[0, 1]`, `(b, 3, h, w)`."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import torch
from skimage import color, metrics  # these load what is used, when it is used
from torch import Tensor

from impasto.core.errors import ImageTooSmall
from impasto.image.colour import luminance
from impasto.losses.statistics import histogram
from impasto.metrics.features import fitted

SSIM_WINDOW_PX = 7
DIRECTIONS = 32
COLOUR_PIXELS = 2**14  # of larger pictures a random subset of this size is compared


@torch.no_grad()
def colour_distance(output: Tensor, style: Tensor) -> float:
    """Sliced Wasserstein-2 distance of the pixels' CIE Lab colours, in ΔE: 0 is the same palette in equal proportions.

    Scaled so that the distance of two flat pictures is the ΔE*ab (CIE 1976) of their colours. Independent of size and
    position.
    """
    directions = _directions(DIRECTIONS)
    colours, targets = (_quantiles_along(directions, picture) for picture in (output, style))
    squared = (colours - targets).square().mean((1, 2)) * 3  # a shift v projects to |v|²/3 on average
    return float(squared.sqrt().mean())


@torch.no_grad()
def ssim(output: Tensor, content: Tensor) -> float:
    """Structural similarity of luminance, from -1 to 1 (equal); `content` is first resized to the output's size.

    Wang et al., Image Quality Assessment: From Error Visibility to Structural Similarity, 2004, with a flat window of
    `SSIM_WINDOW_PX` pixels rather than a Gaussian one. Raises `ImageTooSmall` when a side is shorter than the window.
    """
    height, width = output.shape[-2:]
    if min(height, width) < SSIM_WINDOW_PX:
        raise ImageTooSmall(
            f"the output is {width}×{height} px; SSIM needs {SSIM_WINDOW_PX} px a side. Measure a larger picture."
        )
    outputs, targets = (
        luminance(image.float().clamp(0, 1)).cpu().numpy() for image in (output, fitted(content, output))
    )
    similarity = partial(metrics.structural_similarity, data_range=1.0, win_size=SSIM_WINDOW_PX)
    return float(np.mean([similarity(*pair) for pair in zip(outputs[:, 0], targets[:, 0], strict=True)]))


def _quantiles_along(directions: Tensor, image: Tensor) -> Tensor:
    """Quantile functions `(b, directions, bins)` of the Lab colours."""
    pixels = image.detach().float().clamp(0, 1).flatten(2).cpu()  # (b, 3, n)
    if pixels.shape[-1] > COLOUR_PIXELS:
        order = torch.randperm(pixels.shape[-1], generator=torch.Generator().manual_seed(0))
        pixels = pixels[..., order[:COLOUR_PIXELS]]
    lab = torch.from_numpy(color.rgb2lab(pixels.mT.numpy())).float()  # (b, n, 3)
    return histogram((directions @ lab.mT).unsqueeze(-1))[0]


def _directions(count: int) -> Tensor:
    """`(count, 3)` unit vectors spread evenly over the sphere by the golden angle."""
    step = torch.arange(count, dtype=torch.float64) + 0.5
    height = 1 - 2 * step / count
    turn = step * math.pi * (3 - math.sqrt(5))
    ring = (1 - height.square()).sqrt()
    return torch.stack([ring * turn.cos(), ring * turn.sin(), height], dim=1).float()
