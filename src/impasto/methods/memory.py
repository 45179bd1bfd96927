"""Memory of painting in one pass."""

from __future__ import annotations

import math

import torch

from impasto.config.job import Job
from impasto.core.memory import BASE_BYTES
from impasto.image.resize import SizeHW
from impasto.image.strips import LARGE_PX

FEATURES = 6
"""Values per pixel of the smallest features of the bundled networks, which are always kept: 96 channels at a quarter of
the size."""


def room_bytes(job: Job) -> int:
    """Memory for the picture and its features within `memory_gb`."""
    return max(0, round(job.paint.memory_gb * 1e9) - BASE_BYTES)


def one_pass_bytes(job: Job, size_hw: SizeHW, *, dtype: torch.dtype) -> int:
    """Approximate minimum of memory of one pass at `size_hw`: content, output, features and masks."""
    area = math.prod(size_hw)
    picture = 3 * (2 if area > LARGE_PX else 4)
    masks = sum(style.mask is not None for style in job.styles)
    each = 2 * picture + FEATURES * dtype.itemsize + 4 * masks * 2
    return BASE_BYTES + each * area
