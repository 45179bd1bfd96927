"""Pictures that come from a program instead of a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from impasto.core.errors import ImageError
from impasto.image import files
from impasto.image.files import Picture
from impasto.image.pixels import from_bytes

PictureLike = str | Path | Image.Image | np.ndarray[Any, Any] | Tensor


def picture_from(given: PictureLike) -> Picture:
    """The picture in a file, or one in memory.

    Pillow pictures are taken as they are, neither turned by EXIF nor converted by profile; arrays are `(h, w)`,
    `(h, w, 3)` or `(h, w, 4)` of uint8, uint16 or floats in `[0, 1]`, tensors `(3, h, w)` or `(1, 3, h, w)` in
    `[0, 1]`. Raises `ImageError` for others.
    """
    if isinstance(given, str | Path):
        return files.read(given)
    if isinstance(given, Tensor):
        return _from_tensor(given)
    if isinstance(given, Image.Image):
        given = _array_of(given)
    if not isinstance(given, np.ndarray):
        raise ImageError(f"{type(given).__name__} is not a picture; a path, Pillow picture, array or tensor is needed.")
    return _from_array(given)


def _from_tensor(tensor: Tensor) -> Picture:
    tensor = tensor[None] if tensor.ndim == 3 else tensor
    if tensor.ndim != 4 or tensor.shape[:2] != (1, 3) or not tensor.is_floating_point() or tensor.numel() == 0:
        kind = f"shape {tuple(tensor.shape)} and type {tensor.dtype}"
        raise ImageError(f"the picture has {kind}; (3, h, w) or (1, 3, h, w) of floats in [0, 1] is needed.")
    return Picture(_in_range(tensor.detach().float().cpu()))


def _in_range(samples: Tensor) -> Tensor:
    low, high = samples.aminmax()
    if not (low >= 0 and high <= 1):  # false for NaN, too
        raise ImageError(f"the picture's values are {low:g} to {high:g}; [0, 1] is needed. Scale or clamp them.")
    return samples


def _array_of(image: Image.Image) -> np.ndarray[Any, Any]:
    if image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16)  # the native byte order
    try:
        if image.mode in ("I", "F"):
            raise ValueError("its samples have no known range")
        image = image.convert("LA") if image.mode == "La" else image  # Pillow knows no shorter way
        return np.asarray(image.convert("RGBA" if image.has_transparency_data else "RGB"))
    except (ValueError, OSError) as error:  # also: a lazily opened file that is damaged
        raise ImageError(f"the Pillow picture of mode {image.mode} cannot be used ({error}); convert it.") from error


def _from_array(array: np.ndarray[Any, Any]) -> Picture:
    if array.ndim == 2:
        array = np.repeat(array[..., None], 3, axis=2)
    is_float = array.dtype.kind == "f"
    known = is_float or array.dtype in (np.uint8, np.uint16)
    if array.ndim != 3 or array.shape[2] not in (3, 4) or not known or array.size == 0:
        raise ImageError(
            f"the array has shape {array.shape} and type {array.dtype}; (h, w), (h, w, 3) or (h, w, 4) of uint8, "
            "uint16 or floats in [0, 1] is needed."
        )
    if is_float:
        samples = _in_range(torch.from_numpy(array.astype(np.float32)).permute(2, 0, 1)[None])
    else:
        samples = from_bytes(np.ascontiguousarray(array))
    bits = 16 if is_float else 8 * array.itemsize
    return Picture(samples[:, :3], samples[:, 3:] if array.shape[2] == 4 else None, bits)
