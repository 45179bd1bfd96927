"""Memory of painting in one pass."""

from __future__ import annotations

import math

import torch

from impasto.config.job import Job
from impasto.core.memory import BASE_BYTES
from impasto.image.resize import SizeHW
from impasto.image.strips import LARGE_PX

FEATURES = 6
"""Numbers for each pixel of the smallest features of the bundled networks, which are kept in any case: 96 channels at a
quarter of the sides."""


def room_bytes(job: Job) -> int:
    """What `memory_gb` leaves for the picture and its features."""
    return max(0, round(job.paint.memory_gb * 1e9) - BASE_BYTES)


def one_pass_bytes(job: Job, size_hw: SizeHW, *, dtype: torch.dtype) -> int:
    """About the least memory in which one pass paints an output of `size_hw`: content, output, features and masks."""
    area = math.prod(size_hw)
    picture = 3 * (2 if area > LARGE_PX else 4)
    masks = sum(style.mask is not None for style in job.styles)
    each = 2 * picture + FEATURES * dtype.itemsize + 4 * masks * 2
    return BASE_BYTES + each * area
