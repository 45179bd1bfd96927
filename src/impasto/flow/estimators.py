"""Dense optical flow by the methods of OpenCV."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from impasto.core.errors import OptionError, UnknownName
from impasto.core.extras import optional
from impasto.image.pixels import to_bytes
from impasto.image.resize import SizeHW, fit, resized

if TYPE_CHECKING:
    Grey = NDArray[np.uint8]

__all__ = ["ESTIMATORS", "Estimator", "estimator", "luma", "resized_flow"]

LUMA = (0.2126, 0.7152, 0.0722)  # ITU-R BT.709
SMALLEST_PX = 32
"""DIS matches patches of 8 px on a pyramid; pictures with a shorter side are enlarged to it."""


class Estimator(Protocol):
    """A function from two frames `(1, 3, h, w)` in `[0, 1]` to the flow from the first to the second.

    The flow is `(1, 2, h, w)` in pixels, x (to the right) before y (downwards): a point `p` of the first frame is at
    `p + flow(p)` in the second.
    """

    def __call__(self, first: Tensor, second: Tensor) -> Tensor:
        """The flow. Raises `OptionError` for frames of different sizes."""
        ...


def estimator(name: str, *, long_side_px: int | None = None) -> Estimator:
    """The estimator `name` of `ESTIMATORS`.

    With `long_side_px`, larger frames are reduced to that long side and the flow is resized back, which saves most of
    the time and loses the finest detail. Raises `UnknownName`, and `MissingExtra` without OpenCV.
    """
    if name not in ESTIMATORS:
        raise UnknownName.of("flow", name, known=ESTIMATORS)
    search = ESTIMATORS[name](opencv())

    def estimated(first: Tensor, second: Tensor) -> Tensor:
        if first.shape != second.shape:
            sizes = " and ".join(f"{frame.shape[-1]}×{frame.shape[-2]}" for frame in (first, second))
            raise OptionError(f"the frames have {sizes} px; flow needs two frames of the same size.")
        size_hw = (first.shape[-2], first.shape[-1])
        search_hw = fit(size_hw, long_side_px=long_side_px, enlarge=False)
        search_hw = (max(search_hw[0], SMALLEST_PX), max(search_hw[1], SMALLEST_PX))
        grey = [_grey(frame, search_hw) for frame in (first, second)]
        flow = torch.from_numpy(np.ascontiguousarray(np.moveaxis(search(*grey), -1, 0)))[None]
        return resized_flow(flow, size_hw)

    return estimated


def opencv() -> Any:
    """The module `cv2`, or `MissingExtra`. It uses one thread, since the stages of a film run in parallel."""
    cv2 = optional("cv2", "video", purpose="optical flow")
    cv2.setNumThreads(1)
    return cv2


def luma(image: Tensor) -> Tensor:
    """Luma `(b, 1, h, w)` of `(b, 3, h, w)` by the weights of BT.709, in the range of `image`."""
    return (image * image.new_tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)


def resized_flow(flow: Tensor, size_hw: SizeHW) -> Tensor:
    """`flow` `(b, 2, h, w)` in pixels resized bilinearly, with its vectors scaled accordingly."""
    height, width = flow.shape[-2:]
    if (height, width) == tuple(size_hw):
        return flow
    factors = flow.new_tensor((size_hw[1] / width, size_hw[0] / height)).view(1, 2, 1, 1)
    return resized(flow, size_hw, mode="bilinear", clamp=False) * factors


def _grey(frame: Tensor, size_hw: SizeHW) -> Grey:
    levels: Grey = to_bytes(resized(luma(frame.float()), size_hw, mode="bilinear"))[0, :, :, 0]
    return levels


Search = Callable[["Grey", "Grey"], NDArray[np.float32]]


def _dis(cv2: Any, *, finest_scale: int, stride_px: int = 3, descents: int = 25, refinements: int = 5) -> Search:
    """Dense inverse search (Kroeger et al. 2016): patches, then variational refinement; by default preset medium."""

    def search(first: Grey, second: Grey) -> NDArray[np.float32]:
        made = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        made.setFinestScale(finest_scale)
        made.setPatchStride(stride_px)
        made.setGradientDescentIterations(descents)
        made.setVariationalRefinementIterations(refinements)
        flow: NDArray[np.float32] = made.calc(first, second, None)
        return flow

    return search


def _farneback(cv2: Any) -> Search:
    """Polynomial expansion (Farnebäck 2003) on a pyramid of 5 levels, windows of 9 px."""

    def search(first: Grey, second: Grey) -> NDArray[np.float32]:
        flow: NDArray[np.float32] = cv2.calcOpticalFlowFarneback(first, second, None, 0.5, 5, 9, 5, 5, 1.1, 0)
        return flow

    return search


ESTIMATORS: dict[str, Callable[[Any], Search]] = {
    "dis": lambda cv2: _dis(cv2, finest_scale=0, stride_px=5, descents=12, refinements=2),
    "dis-coarse": lambda cv2: _dis(cv2, finest_scale=1),
    "dis-fine": lambda cv2: _dis(cv2, finest_scale=0),
    "farneback": _farneback,
}
"""End-point errors on Middlebury's RubberWhale (584×388): 0.126, 0.224, 0.115 and 0.328 px, in 75, 35, 134 and 81 ms of
CPU time.

`farneback` is independent of the others, so it measures films that were steadied with those. The number of descents and
the strides of `dis` were chosen on three films: `dis-fine` does not steady them better.
"""
