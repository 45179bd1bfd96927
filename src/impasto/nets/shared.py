"""Statistics of whole pictures, shared by the frames of a shot.

One-pass networks normalise by the means and variances of the frame that they paint. These change with everything that
enters the frame, and the whole painting changes with them: a flicker that no optical flow explains.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from torch import Tensor

from impasto.encoders.padding import exported

RATE = 0.2
"""Weight of a frame's own statistics in the average; `docs/video.md` has the measurements."""


@dataclass
class SharedStatistics:
    """The statistics of one frame, averaged with those of the frames before it.

    `before` holds the averages up to the frame before, empty at the beginning of a shot; `averages` those up to this
    frame, once it is painted. Statistics are known by the order in which a network computes them, and by the `part` of
    the painting that they belong to.
    """

    before: Mapping[str, Tensor] = field(default_factory=dict)
    averages: dict[str, Tensor] = field(default_factory=dict)
    _part: str = ""
    _count: int = 0

    @contextmanager
    def active(self) -> Iterator[None]:
        """What is painted in this block, in this thread, uses the averages."""
        token = _ACTIVE.set(self)
        try:
            yield
        finally:
            _ACTIVE.reset(token)

    def averaged(self, statistic: Tensor) -> Tensor:
        """The next statistic of the frame, averaged: an exponential moving average."""
        key = f"{self._part}.{self._count}"
        self._count += 1
        if (before := self.before.get(key)) is not None:
            statistic = before.to(statistic.device) + RATE * (statistic - before.to(statistic.device))
        self.averages[key] = statistic
        return statistic

    def begin(self, part: str) -> None:
        """The statistics that follow belong to `part`."""
        self._part, self._count = part, 0


_ACTIVE: ContextVar[SharedStatistics | None] = ContextVar("shared statistics", default=None)


def shared(statistic: Tensor) -> Tensor:
    """`statistic` of the whole picture that is being painted, averaged over its shot where it is a frame of one."""
    active = active_statistics()
    return statistic if active is None else active.averaged(statistic)


def active_statistics() -> SharedStatistics | None:
    """The statistics that are shared now; none for a single picture."""
    return None if exported() else _ACTIVE.get()
