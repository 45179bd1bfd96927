"""Steadying: the previous output is warped along the motion and blended in, at the sharpness of the new frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from impasto.core.errors import OptionError
from impasto.flow.estimators import LUMA, opencv
from impasto.flow.warping import warped
from impasto.video.motion import Motion

Planes = NDArray[np.float32]  # (h, w) or (h, w, 3)

TO_LUMA = np.array([LUMA, np.subtract((1, 0, 0), LUMA), np.subtract((0, 0, 1), LUMA)])
"""From R, G, B to luminance Y, R - Y and B - Y."""

BANDS_PX = (0.7, 2.0)  # sigmas between which the bands of detail lie
ENERGY_PX, ENERGY_STEP = 8.0, 4  # sigma of a band's local energy, and the factor by which its grid is smaller
LAPLACIAN = 0.05  # of its square in the energy; without, films lose up to a tenth more of their sharpness
GAIN = 2.0  # the largest gain of a band, and the inverse of the smallest
FLOOR = 1e-6  # energy of flat areas


@dataclass(frozen=True)
class Steadier:
    """Blends the carried output into the painted frame: `low` of its colours and coarse luminance, `middle` and `high`
    of two bands of detail of the luminance.

    Plain blending averages strokes that do not match, which blurs them: two uncorrelated textures blended by `a` keep
    `a² + (1 - a)²` of their energy. Here each band of detail is rescaled to its local energy in the painted frame
    (Heitz & Neyret 2018, variance-preserving blending). Carried strokes then replace new ones instead of fading,
    repeated resampling does not blur them, and since the energy is the current frame's, errors do not accumulate.
    `docs/video.md` has the measurements. `shares`: the frames of a shot share the statistics that networks normalise by
    (`nets.shared`).
    """

    low: float = 0.95
    middle: float = 0.92
    high: float = 0.85  # with 0.9 and more, detail that has been carried for 100 frames turns into streaks
    shares: bool = False

    def __post_init__(self) -> None:
        for name, value in (("low", self.low), ("middle", self.middle), ("high", self.high)):
            if not 0 <= value < 1:
                raise OptionError(
                    f"the fraction {name} of the carried frame is {value:g}; it must be 0 or more, below 1."
                )

    @classmethod
    def of(cls, steady: float, *, shares: bool = False) -> Steadier:
        """A steadier that carries `steady` of the coarse picture, and proportionally less of the detail."""
        part = steady / cls.low
        return cls(low=steady, middle=part * cls.middle, high=part * cls.high, shares=shares)

    def __call__(self, painted: Tensor, carried: Tensor, motion: Motion | None) -> Tensor:
        """The output for a `painted` frame that follows the output `carried`, both `(1, 3, h, w)` in `[0, 1]`.

        Without `motion` (the first frame of a shot) this is `painted` itself.
        """
        if motion is None:
            return painted
        cv2: Any = opencv()
        new, share = _planes(painted), _share(motion.trust)
        apart = cv2.subtract(_planes(warped(carried, motion.flow)), new)
        luma, red, blue = cv2.split(cv2.transform(apart, TO_LUMA))
        change = self._change(cv2.transform(new, TO_LUMA[:1]), luma, share=share)
        red, blue = (cv2.multiply(share, chroma, dst=chroma, scale=self.low) for chroma in (red, blue))
        result = cv2.add(new, cv2.transform(cv2.merge([change, red, blue]), np.linalg.inv(TO_LUMA)))
        return torch.from_numpy(np.clip(result, 0, 1, out=result)).permute(2, 0, 1)[None]

    def _change(self, painted: Planes, apart: Planes, *, share: Planes) -> Planes:
        """What is added to the luminance `painted`, from which the carried one is `apart`."""
        cv2: Any = opencv()
        new, change = painted, None
        for sigma, fraction in zip(BANDS_PX, (self.high, self.middle), strict=True):
            coarse, coarse_apart = _blurred(new, sigma), _blurred(apart, sigma)
            band, carry = cv2.subtract(new, coarse), cv2.subtract(apart, coarse_apart, dst=apart)
            scaled = _scaled(cv2.add(band, cv2.multiply(carry, share, dst=carry, scale=fraction), dst=carry), band)
            added = cv2.subtract(scaled, band, dst=scaled)
            change = added if change is None else cv2.add(change, added, dst=change)
            new, apart = coarse, coarse_apart
        result: Planes = cv2.add(change, cv2.multiply(apart, share, dst=apart, scale=self.low), dst=change)
        return result


def _share(trust: Tensor) -> Planes:
    """`1 - (1 - trust)^1.5` `(h, w)`: more is carried where the trust is moderate; squared, ghosts can be seen."""
    doubt: Planes = 1 - trust[0, 0].numpy()
    share: Planes = 1 - doubt * np.sqrt(doubt)
    return share


def _scaled(blended: Planes, band: Planes) -> Planes:
    """The `blended` band with the local energy of `band`; its memory is used again."""
    cv2: Any = opencv()
    gain = np.sqrt((_energy(band) + FLOOR) / (_energy(blended) + FLOOR)).clip(1 / GAIN, GAIN)
    height, width = blended.shape[:2]
    large = cv2.resize(gain, (width, height), interpolation=cv2.INTER_LINEAR)
    scaled: Planes = cv2.multiply(blended, large, dst=blended)
    return scaled


def _energy(band: Planes) -> Planes:
    """The local mean square, and a part of the Laplacian's, on a smaller grid.

    A band that was resampled many times can have the energy of the painted one in its lowest frequencies.
    """
    cv2: Any = opencv()
    fine = cv2.Laplacian(band, cv2.CV_32F, borderType=cv2.BORDER_REFLECT)
    square = cv2.add(cv2.multiply(band, band), cv2.multiply(fine, fine, dst=fine, scale=LAPLACIAN), dst=fine)
    small_wh = [max(1, side // ENERGY_STEP) for side in band.shape[1::-1]]
    small = cv2.resize(square, small_wh, interpolation=cv2.INTER_AREA)
    energy: Planes = cv2.GaussianBlur(small, (0, 0), ENERGY_PX / ENERGY_STEP, borderType=cv2.BORDER_REFLECT)
    return energy


def _blurred(planes: Planes, sigma: float) -> Planes:
    cv2: Any = opencv()
    smooth: Planes = cv2.GaussianBlur(planes, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    return smooth


def _planes(image: Tensor) -> Planes:
    planes: Planes = image[0].permute(1, 2, 0).float().contiguous().numpy()
    return planes
