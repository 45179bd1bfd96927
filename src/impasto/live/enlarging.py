"""Upsampling of a small painting along the edges of the large frame that it was painted from."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from impasto.flow.estimators import opencv

Levels = NDArray[np.uint8]

WINDOW = 5  # pixels of the small painting, a side
NOISE = 16.0  # variance in levels² below which a window of the source has no structure
STEEPEST = 2.0  # largest ratio of the painting's contrast to the source's


def enlarged_along(painting: Levels, small: Levels, *, frame: Levels) -> Levels:
    """`painting` `(h, w, 3)` of `small` `(h, w, 3)` at the size of `frame` `(H, W, 3)`, all with 8 bits.

    In each window the painting is fitted by a linear function of the small frame's luminance, as in the guided filter
    (He, Sun & Tang 2013); its slope transfers the detail that the small frame has lost:
    `up(painting) + up(slope) · (frame - up(small))`. Strokes, which do not occur in the source, are only upsampled.
    """
    cv2: Any = opencv()
    height, width = frame.shape[:2]
    near, far = (cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (small, frame))
    slope = cv2.resize(_slopes(painting, near), (width, height), interpolation=cv2.INTER_LINEAR)
    lacking = cv2.subtract(far, cv2.resize(near, (width, height), interpolation=cv2.INTER_CUBIC), dtype=cv2.CV_32F)
    detail = cv2.multiply(slope, cv2.merge([lacking] * 3))
    large = cv2.resize(painting, (width, height), interpolation=cv2.INTER_CUBIC)
    result: Levels = cv2.add(large, detail, dtype=cv2.CV_8U)
    return result


def _slopes(painting: Levels, grey: Levels) -> NDArray[np.float32]:
    """The slope of each channel of the painting over the luminance, by window, `(h, w, 3)`."""
    cv2: Any = opencv()

    def mean(image: Any) -> Any:
        return cv2.boxFilter(image, cv2.CV_32F, (WINDOW, WINDOW), borderType=cv2.BORDER_REFLECT)

    p, g = painting.astype(np.float32), grey.astype(np.float32)
    mean_p, mean_g = mean(p), mean(g)
    variance = mean(g * g) - mean_g * mean_g
    covariance = mean(p * g[..., None]) - mean_p * mean_g[..., None]
    slopes: NDArray[np.float32] = (covariance / (variance + NOISE)[..., None]).clip(-STEEPEST, STEEPEST)
    return slopes
