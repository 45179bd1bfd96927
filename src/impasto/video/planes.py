"""FFmpeg's frames to tensors and back: colour matrix, range, bit depth, alpha and rotation."""

from __future__ import annotations

from typing import Any

import av
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from impasto.core.errors import VideoUnreadable
from impasto.image.pixels import from_bytes, to_bytes

BT709, BT601, BT2020 = 1, 5, 9  # matrices of libswscale; as tags of streams, BT.601 has two more codes
TAGGED = {1: BT709, 4: 4, 5: BT601, 6: BT601, 7: 7, 9: BT2020, 10: BT2020}
LIMITED, FULL = 1, 2
HD_HEIGHT_PX = 720
HDR = {16: "PQ", 18: "HLG"}  # transfer functions, ITU-T H.273 table 3


def to_tensor(frame: av.VideoFrame, *, turn_degrees: int = 0) -> tuple[Tensor, Tensor | None]:
    """RGB `(1, 3, h, w)` and alpha `(1, 1, h, w)` or None, in `[0, 1]`, rotated by `turn_degrees`.

    The frame's tagged matrix and range are used; without tags BT.709 from 720 lines, BT.601 below, and limited range,
    as players assume. Bit depths above 8 are preserved. Raises `VideoUnreadable` for HDR transfer functions.
    """
    _check_sdr(frame)
    deep = any(component.bits > 8 for component in frame.format.components)
    alpha = frame.format.name.endswith("pal8") or any(component.is_alpha for component in frame.format.components)
    samples = _samples(frame, ("rgba64le" if deep else "rgba") if alpha else ("rgb48le" if deep else "rgb24"))
    samples = np.rot90(samples, turn_degrees // 90)
    planes = from_bytes(np.ascontiguousarray(samples))
    return planes[:, :3], planes[:, 3:] if alpha else None


def to_levels(frame: av.VideoFrame, *, turn_degrees: int = 0) -> NDArray[np.uint8]:
    """RGB `(h, w, 3)` with 8 bits, without alpha, otherwise as `to_tensor`."""
    _check_sdr(frame)
    return np.ascontiguousarray(np.rot90(_samples(frame, "rgb24"), turn_degrees // 90))


def _check_sdr(frame: av.VideoFrame) -> None:
    if (transfer := int(frame.color_trc)) in HDR:
        raise VideoUnreadable(
            f"the video is HDR ({HDR[transfer]}); SDR is needed. Convert it first, for example with ffmpeg's "
            "zscale and tonemap filters."
        )


def _samples(frame: av.VideoFrame, layout: str) -> Any:
    if frame.format.is_rgb or frame.format.name == "pal8":
        return frame.to_ndarray(format=layout)
    guess = BT709 if frame.height >= HD_HEIGHT_PX else BT601
    full = frame.color_range == FULL or frame.format.name.startswith("yuvj")
    converted = frame.reformat(
        format=layout,
        src_colorspace=TAGGED.get(int(frame.colorspace), guess),
        src_color_range=FULL if full else LIMITED,
        dst_color_range=FULL,
    )
    return converted.to_ndarray()


def to_frame(pixels: Tensor, alpha: Tensor | None, *, layout: str) -> av.VideoFrame:
    """A frame in the pixel format `layout`, tagged BT.709 and limited range where it is not RGB.

    `pixels` `(1, 3, h, w)` and `alpha` `(1, 1, h, w)` in `[0, 1]`; alpha is dropped where `layout` has none.
    """
    wanted = av.VideoFormat(layout)
    deep = any(component.bits > 8 for component in wanted.components)
    planes = pixels if alpha is None or not has_alpha(layout) else torch.cat([pixels, alpha.to(pixels)], 1)
    samples = to_bytes(planes, bits=16 if deep else 8)[0]
    name = {3: ("rgb24", "rgb48le"), 4: ("rgba", "rgba64le")}[samples.shape[-1]][deep]
    frame = av.VideoFrame.from_ndarray(samples, format=name)
    if wanted.is_rgb:
        return frame.reformat(format=layout)
    return frame.reformat(format=layout, dst_colorspace=BT709, dst_color_range=LIMITED)


def has_alpha(layout: str) -> bool:
    """Whether a pixel format carries alpha."""
    return any(component.is_alpha for component in av.VideoFormat(layout).components)
