"""Periodic texture: the grid that strided networks leave in flat areas."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from impasto.image.pixels import to_bytes

TILE_PX = 128
NEIGHBOURHOOD, LINE = 8, 2  # frequency bins to each side: all that is looked at, and what counts as the line
CYCLES_PER_PX = {
    "4 px across": (0, 1 / 4),
    "4 px down": (1 / 4, 0),
    "4 px both": (1 / 4, 1 / 4),
    "2 px across": (0, 1 / 2),
    "2 px down": (1 / 2, 0),
}
"""Vertical and horizontal frequency of each line."""


def weave(image: Tensor) -> float:
    """The strongest line of `spectral_lines`: 0.5 to 2 in photographs and paintings; the largest over a batch."""
    return max(max(spectral_lines(levels).values()) for levels in to_bytes(image))


def spectral_lines(levels: NDArray[np.unsignedinteger]) -> dict[str, float]:
    """Power at the periods 4 and 2 px, relative to the 90th percentile of its neighbourhood in the spectrum.

    `levels` `(h, w, 3)` is uint8. The power spectrum of luminance is the mean over half-overlapping Hann-windowed
    tiles of 128 px (Welch 1967); pictures with a shorter side are mirrored. A flat picture has 0. Periods of the grid:
    Odena, Dumoulin & Olah, Deconvolution and Checkerboard Artifacts, Distill 2016.
    """
    power = _power(np.asarray(Image.fromarray(levels).convert("L"), np.float32))
    lines = {}
    for name, frequencies in CYCLES_PER_PX.items():
        bins = [np.arange(-NEIGHBOURHOOD, NEIGHBOURHOOD + 1) + round(cycles * TILE_PX) for cycles in frequencies]
        near = power[np.ix_(bins[0] % TILE_PX, bins[1] % TILE_PX)]
        is_line = np.zeros(near.shape, dtype=bool)
        middle = slice(NEIGHBOURHOOD - LINE, NEIGHBOURHOOD + LINE + 1)
        is_line[middle, middle] = True
        around = np.percentile(near[~is_line], 90)
        lines[name] = float(near[is_line].max() / around) if around > 0 else 0.0
    return lines


def _power(luminance: NDArray[np.float32]) -> NDArray[np.float64]:
    """The summed power spectrum `(128, 128)` of the tiles, each without its mean."""
    missing = [(0, max(0, TILE_PX - side)) for side in luminance.shape]
    luminance = np.pad(luminance, missing, mode="symmetric")
    window = np.outer(np.hanning(TILE_PX), np.hanning(TILE_PX))
    power = np.zeros((TILE_PX, TILE_PX))
    for top in range(0, luminance.shape[0] - TILE_PX + 1, TILE_PX // 2):
        for left in range(0, luminance.shape[1] - TILE_PX + 1, TILE_PX // 2):
            tile = luminance[top : top + TILE_PX, left : left + TILE_PX]
            power += np.abs(np.fft.fft2((tile - tile.mean()) * window)) ** 2
    return power
