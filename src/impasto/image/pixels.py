"""Value ranges: bytes to floats and back, and the colour maps that pretrained networks expect.

No other module knows a number such as 255 or 0.485.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from impasto.core.errors import NotFinite, OptionError, UnknownName
from impasto.image.strips import by_strips, strips

Matrix = tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]]
Offset = tuple[float, float, float]

_LEVELS = {8: 255, 16: 65535}
_DTYPES: dict[int, type[np.unsignedinteger[Any]]] = {8: np.uint8, 16: np.uint16}


def to_bytes(image: Tensor, *, bits: int = 8) -> NDArray[Any]:
    """Levels of a picture: `(b, c, h, w)` floats to `(b, h, w, c)` uint8 (`bits=8`) or uint16 (`bits=16`).

    Clamped to `[0, 1]`, scaled, rounded to the nearest level (half goes up). NaN or infinity raises `NotFinite`.
    """
    if bits not in _LEVELS:
        raise OptionError(f"bits is {bits}; it must be 8 or 16.")
    check_finite(image)
    batch, channels, height, width = image.shape
    levels, result = _LEVELS[bits], np.empty((batch, height, width, channels), _DTYPES[bits])
    for rows in strips(height, width):
        scaled = image[:, :, rows].detach().float().clamp(0, 1).mul_(levels).add_(0.5).floor_().clamp_(max=levels)
        scaled = scaled.to(torch.uint8) if bits == 8 else scaled  # a quarter of the memory to be transposed
        result[:, rows] = scaled.permute(0, 2, 3, 1).cpu().numpy()
    return result


def check_finite(image: Tensor) -> None:
    """Raise `NotFinite` where `(b, c, h, w)` holds NaN or infinity, with their number."""
    height, width = image.shape[-2:]
    bad = sum(int((~torch.isfinite(image[:, :, rows])).sum()) for rows in strips(height, width))
    if bad:
        raise NotFinite(f"the picture holds {bad} NaN or infinite values; finite ones are needed to store it.")


def from_bytes(samples: NDArray[Any]) -> Tensor:
    """Floats in `[0, 1]`: `(h, w, c)` or `(b, h, w, c)` of uint8, uint16 or float32 to `(b, c, h, w)` float32.

    Floats are taken as they are; integers are divided by the greatest of their type. Half floats (`halves`) stay so.
    """
    levels = {"uint8": 255, "uint16": 65535, "float32": 1, "float16": 1}.get(samples.dtype.name)
    if levels is None:
        raise OptionError(f"samples are {samples.dtype}; uint8, uint16 or float32 are needed.")
    planes = np.moveaxis(samples if samples.ndim == 4 else samples[None], -1, 1)
    if samples.dtype == np.float16:
        return torch.from_numpy(np.ascontiguousarray(planes))
    return torch.from_numpy(np.array(planes, dtype=np.float32, order="C")).div_(levels)


def over_white(pixels: Tensor, alpha: Tensor | None) -> Tensor:
    """`pixels` `(b, 3, h, w)` composited over white by `alpha` `(b, 1, h, w)`; `pixels` itself without alpha.

    Both in `[0, 1]`. The result is float32, or half precision where `pixels` are.
    """
    if alpha is None:
        return pixels
    return by_strips(lambda colour, cover: torch.lerp(torch.ones_like(colour), colour, cover), pixels, alpha)


def halves(samples: NDArray[np.uint8]) -> NDArray[np.float16]:
    """Levels of 8 bits as half floats in `[0, 1]`, of any shape; `to_bytes` gives the levels back exactly."""
    table: NDArray[np.float16] = (np.arange(_LEVELS[8] + 1) / _LEVELS[8]).astype(np.float16)
    return table[samples]


@dataclass(frozen=True)
class Preprocess:
    """The affine colour map that a pretrained network expects: `matrix @ rgb + offset`, with rgb in `[0, 1]`."""

    matrix: Matrix
    offset: Offset

    def apply(self, image: Tensor) -> Tensor:
        """The mapped picture, `(b, 3, h, w)` to `(b, 3, h, w)`; differentiable, in the picture's own precision."""
        # Columns by broadcasting, not a 1×1 convolution: autocast and TF32 would round it to 10 bits.
        mapped = image.new_tensor(self.offset).view(1, 3, 1, 1)
        for channel, column in enumerate(zip(*self.matrix, strict=True)):
            mapped = mapped + image[:, channel : channel + 1] * image.new_tensor(column).view(1, 3, 1, 1)
        return mapped

    def inverse(self) -> Preprocess:
        """The map back to RGB in `[0, 1]`; `OptionError` when the matrix has no inverse."""
        try:
            inverted = np.linalg.inv(np.asarray(self.matrix, dtype=np.float64))
        except np.linalg.LinAlgError as error:
            raise OptionError("the preprocess matrix is singular; one with an inverse is needed.") from error
        return _preprocess(inverted, -inverted @ np.asarray(self.offset, dtype=np.float64))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as a weight card stores them; `preprocess_from` reads them."""
        return {"matrix": [list(row) for row in self.matrix], "offset": list(self.offset)}


def _preprocess(matrix: NDArray[np.float64], offset: NDArray[np.float64]) -> Preprocess:
    rows = [tuple(float(v) for v in row) for row in matrix]
    return Preprocess(matrix=tuple(rows), offset=tuple(float(v) for v in offset))  # type: ignore[arg-type]


def _diagonal(scale: Offset, offset: Offset, *, bgr: bool = False) -> Preprocess:
    """Output channel i is `scale[i] * channel i + offset[i]`, channels read in BGR order with `bgr`."""
    matrix = np.diag(np.asarray(scale, dtype=np.float64))
    return _preprocess(matrix[:, ::-1] if bgr else matrix, np.asarray(offset, dtype=np.float64))


def _standardised(mean: Offset, std: Offset) -> Preprocess:
    scale = (1 / std[0], 1 / std[1], 1 / std[2])
    return _diagonal(scale, (-mean[0] / std[0], -mean[1] / std[1], -mean[2] / std[2]))


_TO_255 = (255.0, 255.0, 255.0)

PREPROCESS: dict[str, Preprocess] = {
    "rgb": _diagonal((1.0, 1.0, 1.0), (0.0, 0.0, 0.0)),
    "rgb-255": _diagonal(_TO_255, (0.0, 0.0, 0.0)),
    "bgr-255": _diagonal(_TO_255, (0.0, 0.0, 0.0), bgr=True),
    "imagenet-rgb": _standardised((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "caffe-bgr": _diagonal(_TO_255, (-103.939, -116.779, -123.68), bgr=True),
    "squeezenet-bgr": _diagonal(_TO_255, (-104.0, -117.0, -123.0), bgr=True),
    # Gatys' PyTorch weights: BGR in [0, 1] minus the mean (.40760392, .45795686, .48501961), then times 255.
    "gatys-bgr": _diagonal(_TO_255, (-0.40760392 * 255, -0.45795686 * 255, -0.48501961 * 255), bgr=True),
}


def preprocess_from(value: str | Mapping[str, Any]) -> Preprocess:
    """The colour map of a weight card: a name of `PREPROCESS`, or `{"matrix": 3 rows of 3, "offset": 3 numbers}`."""
    if isinstance(value, str):
        if value not in PREPROCESS:
            raise UnknownName.of("preprocess", value, known=PREPROCESS)
        return PREPROCESS[value]
    if set(value) != {"matrix", "offset"}:
        raise OptionError(f"preprocess has the keys {sorted(value)}; 'matrix' and 'offset' are needed.")
    try:
        matrix = np.asarray(value["matrix"], dtype=np.float64)
        offset = np.asarray(value["offset"], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise OptionError(f"preprocess holds something that is not a number: {error}.") from error
    if matrix.shape != (3, 3) or offset.shape != (3,):
        raise OptionError(f"preprocess has shapes {matrix.shape} and {offset.shape}; (3, 3) and (3,) are needed.")
    if not (np.isfinite(matrix).all() and np.isfinite(offset).all()):
        raise OptionError("preprocess holds NaN or infinity; finite numbers are needed.")
    return _preprocess(matrix, offset)
