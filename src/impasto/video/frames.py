"""Frames of a film, and the selection of those that are painted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from impasto.core.errors import OptionError, VideoUnreadable


@dataclass(frozen=True, eq=False)
class Frame:
    """Pixels `(1, 3, h, w)` and `alpha` `(1, 1, h, w)` or None, in `[0, 1]`; `time_s` is the time since the start."""

    pixels: Tensor
    time_s: Fraction
    alpha: Tensor | None = None

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.pixels.shape[-2], self.pixels.shape[-1]


@dataclass(frozen=True, eq=False)
class Stored:
    """A frame that is decoded but not yet converted; `open` converts it, so that skipping it is cheap.

    `levels` gives its colours with 8 bits, `(h, w, 3)`, where that is quicker than `open`.
    """

    time_s: Fraction
    open: Callable[[], Frame]
    levels: Callable[[], NDArray[np.uint8]] | None = None


class Held:
    """The frames of a film by time: `at` gives the frame shown at a time; times must not decrease."""

    def __init__(self, frames: Iterator[Stored]) -> None:
        self._frames, self._shown, self._following = frames, next(frames, None), next(frames, None)

    def at(self, time_s: float | Fraction) -> Stored:
        """The last frame that has begun, or the first one before any has.

        Raises `VideoUnreadable` for a film without frames.
        """
        while self._following is not None and self._following.time_s <= time_s:
            self._shown, self._following = self._following, next(self._frames, None)
        if self._shown is None:
            raise VideoUnreadable("the film has no frames.")
        return self._shown


@dataclass(frozen=True)
class Selection:
    """The frames of a film that are painted, and their times.

    Every `every`th frame from `start_s` (included) to `end_s` (excluded); or, with `rate` in frames per second, the
    frame shown at each multiple of its period, so that frames are repeated or skipped.
    """

    start_s: float = 0.0
    end_s: float | None = None
    every: int = 1
    rate: Fraction | None = None

    def __post_init__(self) -> None:
        if self.start_s < 0:
            raise OptionError(f"`start` is {self.start_s:g}; it must be 0 s or later.")
        if self.end_s is not None and self.end_s <= self.start_s:
            raise OptionError(f"`end` is {self.end_s:g} s and `start` {self.start_s:g} s; the end must be later.")
        if self.every < 1:
            raise OptionError(f"`every` is {self.every}; it must be 1 or more.")
        if self.rate is not None and self.rate <= 0:
            raise OptionError(f"`fps` is {float(self.rate):g}; it must be above 0.")
        if self.rate is not None and self.every > 1:
            raise OptionError("`every` and `fps` both choose frames; give one of them.")

    def frames(self, stored: Iterable[Stored]) -> Iterator[Stored]:
        """The selected frames; their times count from `start_s`."""
        within = self._within(stored)
        if self.rate is None:
            return (frame for index, frame in enumerate(within) if index % self.every == 0)
        return _resampled(within, self.rate)

    def _within(self, stored: Iterable[Stored]) -> Iterator[Stored]:
        start = Fraction(self.start_s).limit_denominator(1_000_000)
        for frame in stored:
            if self.end_s is not None and frame.time_s >= self.end_s:
                return
            if frame.time_s >= start:
                yield Stored(frame.time_s - start, frame.open)

    def span_s(self, duration_s: float) -> tuple[float, float]:
        """Start and end of the selection in a film of `duration_s`."""
        end_s = duration_s if self.end_s is None else min(self.end_s, duration_s)
        return min(self.start_s, end_s), end_s

    def count(self, frames: int, duration_s: float) -> int:
        """About how many of a film's `frames` are selected."""
        begin_s, end_s = self.span_s(duration_s)
        length_s = end_s - begin_s
        if self.rate is not None:
            return max(1, round(length_s * self.rate))
        return max(1, round(frames * length_s / duration_s / self.every)) if duration_s > 0 else frames


def _resampled(stored: Iterable[Stored], rate: Fraction) -> Iterator[Stored]:
    """The last frame that has begun, at each multiple of the period, until the last frame begins."""
    index, shown = 0, None
    for frame in stored:
        while shown is not None and index / rate < frame.time_s:
            yield Stored(index / rate, shown.open)
            index += 1
        shown = frame
    if shown is not None and index / rate <= shown.time_s:
        yield Stored(index / rate, shown.open)
