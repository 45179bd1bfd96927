"""The check that a painting fits into memory, before anything large is read."""

from __future__ import annotations

import math
from collections.abc import Callable

from impasto.core.errors import ImageTooLarge
from impasto.core.memory import available_bytes
from impasto.image import files
from impasto.image.resize import SizeHW, fit
from impasto.methods.protocol import LoadedMethod
from impasto.session.inputs import CLOUDS_HW, output_size
from impasto.session.plan import Plan

LARGE_BYTES = 1_500_000_000
"""Smaller jobs are never refused, since free memory fluctuates with other programs."""


def check_memory(
    plan: Plan, loaded: LoadedMethod, *, again: bool = False, size_option: str = "size", may_force: bool = True
) -> None:
    """Raise `ImageTooLarge` if the output does not fit into `memory_gb` or into the free memory.

    The message has the estimate and the size that fits. Only the header of the content's file is read. `again`: the
    picture was painted before; it cannot have another size, and `memory_gb` is not looked at. `size_option` is the
    option that sets the size, `may_force` says whether there is an option `force`.
    """
    size_hw = output_size(_content_hw(plan), plan.job.size)
    need, free = loaded.least_bytes(plan.job, size_hw), available_bytes()
    if need <= LARGE_BYTES:
        return
    bounded = plan.method.gradual and not again  # one pass only tries to keep to it
    bound = round(plan.job.paint.memory_gb * 1e9) if bounded else need
    if free is not None and need > free:
        limit, room, remedy = (
            f"{free / 1e9:.1f} GB are free",
            min(free, bound),
            "; or give `force` to try anyway" if may_force else "",
        )
    elif need > bound:
        limit, room, remedy = f"`memory_gb` is {bound / 1e9:g}", bound, f"; or give `memory_gb={need / 1e9 + 0.05:.1f}`"
    else:
        return
    h, w = _largest(size_hw, lambda size: loaded.least_bytes(plan.job, size) <= room)
    way = "Close other programs" if again else f"{w}×{h} px fit (`{size_option}={max(h, w)}`)"
    raise ImageTooLarge(
        f"painting {size_hw[1]}×{size_hw[0]} px by `method={plan.job.paint.method}` needs about {need / 1e9:.1f} GB of "
        f"memory, and {limit}. {way}{remedy}."
    )


def _content_hw(plan: Plan) -> SizeHW:
    if plan.clouds_seed is not None:
        return CLOUDS_HW
    return files.read_size(plan.job.content) if plan.content is None else plan.content.size_hw


def _largest(size_hw: SizeHW, fits: Callable[[SizeHW], bool]) -> SizeHW:
    """The largest size of the shape of `size_hw` that fits, to a hundredth of a side."""
    low, high = 0.0, 1.0
    while high - low > 0.005:
        middle = (low + high) / 2
        low, high = (middle, high) if fits(_scaled(size_hw, middle)) else (low, middle)
    return _scaled(size_hw, low)


def _scaled(size_hw: SizeHW, factor: float) -> SizeHW:
    return fit(size_hw, long_side_px=max(1, math.floor(max(size_hw) * factor)))
