"""Measures of style and content without a network, so that no method can have been trained on them.

Pictures are RGB, `[0, 1]`, `(b, 3, h, w)`; they are compared at a long side of `LONG_SIDE_PX`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import correlate1d  # type: ignore[import-untyped]
from torch import Tensor

from impasto.image.pixels import to_bytes
from impasto.image.resize import SizeHW, fit

Floats = NDArray[np.floating[Any]]

LONG_SIDE_PX = 256
PATCH_PX = 7
LEVELS = 3
PATCHES = 4096  # of each level
DIRECTIONS = 128
SEED = 7
LARGEST_LEVEL = np.iinfo(np.uint8).max
SMALLEST_PX = PATCH_PX * 2 ** (LEVELS - 1)  # the coarsest level holds one patch
BINOMIAL = np.array([1, 4, 6, 4, 1], np.float32) / 16
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
CONTRAST_FLOOR = 0.03  # standard deviation of luminance below which flat areas are not magnified
SSIM_CONSTANT = 0.05


def patch_distance(output: Tensor, style: Tensor) -> float:
    """Sliced Wasserstein-1 distance of 7×7 colour patches of the Laplacian pyramids; 0 is equal, lower is nearer.

    The mean over three levels, each relative to the standard deviation of the style's patches; the last level is the
    low-pass picture, which holds the colours. Independent of position. Karras et al., Progressive Growing of GANs for
    Improved Quality, Stability, and Variation, ICLR 2018, section 5, with one picture in place of a set.
    """
    return _mean([_patch_distance(*pair) for pair in _pairs(_shown(output), _shown(style))])


def structure_similarity(output: Tensor, content: Tensor) -> float:
    """SSIM of contrast-normalised luminance, -1 to 1 (equal); `output` is resized to the content.

    Luminance less its local mean, divided by its local standard deviation, both Gaussian of about 4 px: contrast and
    palette may change, edges have to stay. The SSIM is that of Wang et al. 2004 with binomial windows.
    """
    size = _measuring_size(content)
    return _mean([_structure(*pair) for pair in _pairs(_shown(output, size), _shown(content, size))])


def _measuring_size(image: Tensor) -> SizeHW:
    height, width = fit((image.shape[-2], image.shape[-1]), long_side_px=LONG_SIDE_PX)
    return max(SMALLEST_PX, height), max(SMALLEST_PX, width)


def _shown(images: Tensor, size: SizeHW | None = None) -> list[Floats]:
    """Each picture `(h, w, 3)` at the measuring size, by Lanczos resampling of its 8-bit levels."""
    height, width = size or _measuring_size(images)
    pictures = (Image.fromarray(levels) for levels in to_bytes(images))
    lanczos = Image.Resampling.LANCZOS
    return [np.asarray(picture.resize((width, height), lanczos), np.float32) / LARGEST_LEVEL for picture in pictures]


def _pairs(outputs: list[Floats], targets: list[Floats]) -> list[tuple[Floats, Floats]]:
    """One target serves all outputs."""
    return list(zip(outputs, targets * (len(outputs) // len(targets)), strict=True))


def _mean(values: list[float]) -> float:
    return float(np.mean(values))


def _patch_distance(output: Floats, style: Floats) -> float:
    rng = np.random.default_rng(SEED)
    distances = []
    for level, target in zip(_pyramid(output), _pyramid(style), strict=True):
        own, needed = _patches(level, rng), _patches(target, rng)
        directions = rng.standard_normal((own.shape[1], DIRECTIONS)).astype(np.float32)
        directions /= np.linalg.norm(directions, axis=0)
        distance = np.abs(np.sort(own @ directions, axis=0) - np.sort(needed @ directions, axis=0)).mean()
        distances.append(float(distance / (_patches(target, rng).std() + 1e-3)))
    return _mean(distances)


def _patches(level: Floats, rng: np.random.Generator) -> Floats:
    """Random patches as rows `(PATCHES, 7 · 7 · 3)`."""
    height, width = level.shape[:2]
    top = rng.integers(0, height - PATCH_PX + 1, PATCHES)
    left = rng.integers(0, width - PATCH_PX + 1, PATCHES)
    windows = sliding_window_view(level, (PATCH_PX, PATCH_PX), axis=(0, 1))  # (y, x, c, 7, 7)
    return windows[top, left].transpose(0, 2, 3, 1).reshape(PATCHES, -1)


def _pyramid(picture: Floats) -> list[Floats]:
    """Laplacian levels, fine to coarse, and the low-pass rest (Burt & Adelson 1983)."""
    levels = []
    for _ in range(LEVELS - 1):
        low = _blurred(picture)[::2, ::2]
        height, width = picture.shape[:2]
        doubled = low.repeat(2, axis=0).repeat(2, axis=1)[:height, :width]
        levels.append(picture - _blurred(doubled))
        picture = low
    return [*levels, picture]


def _blurred(picture: Floats, times: int = 1) -> Floats:
    for _ in range(times):
        for axis in (0, 1):
            picture = correlate1d(picture, BINOMIAL, axis=axis, mode="mirror")
    return picture


def _structure(output: Floats, content: Floats) -> float:
    one, other = _normalised(output), _normalised(content)
    mean, other_mean = _blurred(one, 2), _blurred(other, 2)
    variances = _blurred(one * one, 2) - mean**2 + _blurred(other * other, 2) - other_mean**2
    covariance = _blurred(one * other, 2) - mean * other_mean
    upper = (2 * mean * other_mean + SSIM_CONSTANT) * (2 * covariance + SSIM_CONSTANT)
    lower = (mean**2 + other_mean**2 + SSIM_CONSTANT) * (variances + SSIM_CONSTANT)
    return float((upper / lower).mean())


def _normalised(picture: Floats) -> Floats:
    """Luminance `(h, w)` of local mean 0 and local contrast 1."""
    luma = picture @ LUMA
    detail = luma - _blurred(luma, 4)
    normalised: Floats = detail / (np.sqrt(_blurred(detail**2, 4)) + CONTRAST_FLOOR)
    return normalised
