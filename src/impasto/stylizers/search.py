"""A line search for the strong Wolfe conditions (Nocedal & Wright, Numerical Optimization, 2006, section 3.5)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

FALL, FLATTENING = 1e-4, 0.9
"""c1 and c2: the share of the fall that the first slope promises, and what may be left of that slope."""

EVALUATIONS = 15
"""A search makes no more of them, since each costs a pass of the network; nearly all need one."""

P = TypeVar("P")


@dataclass(frozen=True)
class Trial(Generic[P]):
    """A step along the line, with the loss and the slope there; `point` is whatever else belongs to it."""

    step: float
    loss: float
    slope: float
    point: P


def strong_wolfe(start: Trial[P], at: Callable[[float], Trial[P]], *, first: float, shortest: float = 0.0) -> Trial[P]:
    """A trial that falls enough and is flat enough (algorithm 3.5), or the lowest found; it may be `start` itself.

    `start` is at step 0 and has a negative slope; `at(step)` evaluates. The search begins with the step `first` and
    gives up in brackets narrower than `shortest`.
    """
    before, here = start, at(first)
    for left in range(EVALUATIONS - 1, 0, -1):
        if not _falls(here, start) or (before is not start and here.loss >= before.loss):
            return _within(start, before, here, at, left=left, shortest=shortest)
        if abs(here.slope) <= -FLATTENING * start.slope:
            return here
        if here.slope >= 0:
            return _within(start, here, before, at, left=left, shortest=shortest)
        least, most = 1.5 * here.step, 10 * here.step
        lowest = _lowest(before, here)
        before, here = here, at(most if lowest is None else _clamped(lowest, least, most))
    return here if here.loss < start.loss else start


def _within(
    start: Trial[P], low: Trial[P], high: Trial[P], at: Callable[[float], Trial[P]], *, left: int, shortest: float
) -> Trial[P]:
    """Algorithm 3.6: `low` is the lowest so far, and a good step lies between it and `high`, in either order."""
    for _ in range(left):
        width = abs(high.step - low.step)
        if width < shortest:
            break
        least, lowest = min(low.step, high.step), _lowest(low, high)
        middle = least + 0.5 * width
        here = at(middle if lowest is None else _clamped(lowest, least + 0.1 * width, least + 0.9 * width))
        if not _falls(here, start) or here.loss >= low.loss:
            high = here
            continue
        if abs(here.slope) <= -FLATTENING * start.slope:
            return here
        if here.slope * (high.step - low.step) >= 0:
            high = low
        low = here
    return low


def _falls(here: Trial[P], start: Trial[P]) -> bool:
    return here.loss <= start.loss + FALL * here.step * start.slope


def _lowest(one: Trial[P], other: Trial[P]) -> float | None:
    """The step at which the cubic through two trials and their slopes has its valley (equation 3.59), if it has one."""
    mean = one.slope + other.slope - 3 * (one.loss - other.loss) / (one.step - other.step)
    inner = mean**2 - one.slope * other.slope
    root = math.copysign(math.sqrt(max(inner, 0.0)), other.step - one.step)
    across = other.slope - one.slope + 2 * root
    if inner < 0 or across == 0:
        return None
    return other.step - (other.step - one.step) * (other.slope + root - mean) / across


def _clamped(value: float, least: float, most: float) -> float:
    return min(max(value, least), most)
