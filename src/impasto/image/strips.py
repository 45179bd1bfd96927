"""Large pictures processed in strips of rows, so that intermediate results take little memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

LARGE_PX = 24_000_000
"""An 8-bit picture of more pixels than this is kept in half precision, which represents all of its 256 levels."""

STRIP_PX = 2_000_000


def strips(length: int, across: int) -> Iterator[slice]:
    """Slices of `length` rows of `across` pixels: of about two megapixels each, and of at least one row."""
    rows = max(1, STRIP_PX // across)
    for start in range(0, length, rows):
        yield slice(start, min(start + rows, length))


def by_strips(function: Callable[..., Tensor], *images: Tensor) -> Tensor:
    """A pixelwise `function` of pictures `(b, …, h, w)` of one size.

    It is given float32 strips of rows, so that what it computes between needs little memory. The result is in half
    precision where the first picture is.
    """
    first = images[0]
    half, size = first.dtype == torch.float16, (first.shape[-2], first.shape[-1])
    if not half and size[0] * size[1] <= STRIP_PX:
        return function(*(image.float() for image in images))
    result: Tensor | None = None
    for rows in strips(*size):
        part = function(*(image[..., rows, :].float() for image in images))
        if result is None:
            dtype = torch.float16 if half else part.dtype
            result = torch.empty((*part.shape[:-2], *size), dtype=dtype, device=part.device)
        result[..., rows, :] = part
    assert result is not None
    return result
