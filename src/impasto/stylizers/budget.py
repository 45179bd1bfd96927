"""Steps of optimisation that fit into a time budget."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from torch import Tensor

from impasto.image.resize import SizeHW, fit, resized
from impasto.stylizers.minimise import Objective, evaluated, leaf

PROBE_PX = 128  # long side at which a step is timed first
LARGEST_FACTOR = 4.0  # of the default steps; more would change nothing
SMALLEST_SHARE = 0.5  # of the time of a step that grows with the pixels, at least
TARGETS = 2  # the features of content and style at the start of a scale take about as long as so many steps


def seconds_a_step(
    content: Tensor, objective_at: Callable[[Tensor], Objective], *, sizes: Sequence[SizeHW], smallest_px: int
) -> list[float]:
    """The time of one step at each size, from steps at about `PROBE_PX` and at twice that: a constant and a share of
    the pixels. No probe has a side below `smallest_px` or is larger than the first size."""
    probes = [_probe(sizes[0], long_side_px, smallest_px=smallest_px) for long_side_px in (PROBE_PX, 2 * PROBE_PX)]
    _timed(content, objective_at, size_hw=probes[0])  # the first evaluation also pays for what happens once
    times = [_timed(content, objective_at, size_hw=probe) for probe in dict.fromkeys(probes)]
    (small, large), pixels = (times[0], times[-1]), [height * width for height, width in probes]
    slope = SMALLEST_SHARE * large / pixels[1]  # where noise hides the difference
    if pixels[1] > pixels[0]:
        slope = max(slope, (large - small) / (pixels[1] - pixels[0]))
    constant = max(0.0, large - slope * pixels[1])
    return [constant + slope * height * width for height, width in sizes]


def steps_within(seconds: float, step_s: Sequence[float], *, steps: Sequence[int]) -> tuple[int, ...]:
    """`steps` of each scale times one factor, so that all scales take `seconds`; at least one step each.

    `step_s` is the time of a step at each scale.
    """
    targets = sum(TARGETS * each for each in step_s)
    whole = sum(count * each for count, each in zip(steps, step_s, strict=True))
    factor = min(LARGEST_FACTOR, max(0.0, seconds - targets) / whole)
    return tuple(max(1, int(count * factor)) for count in steps)


def _probe(size_hw: SizeHW, long_side_px: int, *, smallest_px: int) -> SizeHW:
    size = fit(size_hw, long_side_px=long_side_px, enlarge=False)
    return size if min(size) >= smallest_px else fit(size_hw, short_side_px=min(smallest_px, min(size_hw)))


def _timed(content: Tensor, objective_at: Callable[[Tensor], Objective], *, size_hw: SizeHW) -> float:
    here = resized(content, size_hw)
    objective, canvas = objective_at(here), leaf(here)
    began = time.perf_counter()
    evaluated(canvas, objective)
    return time.perf_counter() - began
