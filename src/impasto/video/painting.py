"""Repainting a film: decoding, motion estimation, painting and steadying, each in its own thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction

from torch import Tensor

from impasto.flow.warping import warped
from impasto.image.resize import SizeHW, resized
from impasto.nets.shared import SharedStatistics
from impasto.video.ahead import Ahead
from impasto.video.frames import Frame, Stored
from impasto.video.motion import Motion, Tracker
from impasto.video.steady import Steadier

Paint = Callable[[Frame, int], Tensor]
"""Paints a frame, given its index: `(1, 3, h, w)` of the frame's size, in `[0, 1]`."""


@dataclass(frozen=True, eq=False)
class Start:
    """Where painting starts: the previous output `carried` along the motion, and how far that can be trusted."""

    carried: Tensor
    trust: Tensor

    def over(self, content: Tensor) -> Tensor:
        """The carried picture where it is trusted, `content` elsewhere."""
        return content + self.trust * (self.carried - content)


PaintFrom = Callable[[Frame, Start | None], Tensor]
"""Paints a frame from a start, which is None for the first frame of a shot."""


@dataclass(frozen=True, eq=False)
class Before:
    """What the next frame needs: content and output of this one, `(1, 3, h, w)` in `[0, 1]`.

    `statistics` are the averages of its shot, as `nets.shared.SharedStatistics` has them.
    """

    content: Tensor
    output: Tensor
    statistics: Mapping[str, Tensor] = field(default_factory=dict)

    def tensors(self) -> dict[str, Tensor]:
        """All of it by name, as it is stored for a job that is resumed."""
        return {"content": self.content, "output": self.output, **self.statistics}

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> Before:
        """The inverse of `tensors`."""
        rest = dict(tensors)
        return cls(rest.pop("content"), rest.pop("output"), rest)


@dataclass(frozen=True, eq=False)
class Painted:
    """An output frame with its content. `cut`: it is the first of a shot. `statistics`: see `Before`."""

    frame: Frame
    content: Tensor
    cut: bool
    statistics: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def before(self) -> Before:
        """What the next frame needs."""
        return Before(self.content, self.frame.pixels, self.statistics)


@dataclass(frozen=True)
class Following:
    """A painter that starts each frame from the previous output (Ruder et al. 2016, section 3.2)."""

    paint: PaintFrom


@dataclass(frozen=True)
class Several:
    """Painters that work at the same time, each in a thread of its own, on frames by themselves."""

    paints: tuple[Paint, ...]


@dataclass(frozen=True, eq=False)
class _Moved:
    frame: Frame
    motion: Motion | None
    painted: Tensor | None = None
    statistics: Mapping[str, Tensor] = field(default_factory=dict)


def painted_film(
    stored: Iterable[Stored],
    paint: Paint | Several | Following,
    *,
    size_hw: SizeHW,
    tracker: Tracker | None = None,
    steadier: Steadier | None = None,
    before: Before | None = None,
    first: int = 0,
) -> Iterator[Painted]:
    """The frames of a film repainted at `size_hw`, one by one; memory use does not grow with their number.

    `paint` paints each frame by itself, or several at the same time, or from the previous output if it is a
    `Following`. Each stage runs in a thread of its own, at most two frames ahead. With a `tracker` and a `steadier` the
    output is steadied; a steadier that `shares` needs frames that are painted one by one. When a job is resumed,
    `before` is what preceded its first frame, whose index is `first`. Closing the iterator stops all threads.
    """
    frames: Iterator[Frame] = (sized(item, size_hw) for item in stored)
    content = None if before is None else before.content
    with (
        Ahead(frames) as decoded,
        Ahead(_moved(decoded, tracker, before=content)) as moved,
        ExitStack() as stack,
    ):
        if isinstance(paint, Following):
            yield from stack.enter_context(Ahead(_following(moved, paint.paint, steadier=steadier, before=before)))
            return
        shares = steadier is not None and steadier.shares
        shared = None if not shares else {} if before is None else before.statistics
        painted = stack.enter_context(Ahead(_painted(moved, paint, first=first, averages=shared)))
        yield from stack.enter_context(Ahead(_steadied(painted, steadier, before=before)))


def sized(stored: Stored, size_hw: SizeHW) -> Frame:
    """The frame at the output's size."""
    frame = stored.open()
    alpha = None if frame.alpha is None else resized(frame.alpha, size_hw, mode="bilinear")
    return Frame(resized(frame.pixels, size_hw), stored.time_s, alpha)


def _moved(frames: Iterable[Frame], tracker: Tracker | None, *, before: Tensor | None) -> Iterator[_Moved]:
    if tracker is None:
        yield from (_Moved(frame, None) for frame in frames)
        return
    then = None if before is None else tracker.reduced(before)
    for frame in frames:
        now = tracker.reduced(frame.pixels)
        yield _Moved(frame, None if then is None else tracker.between(now, then, size_hw=frame.size_hw))
        then = now


def _painted(
    moved: Iterable[_Moved], paint: Paint | Several, *, first: int, averages: Mapping[str, Tensor] | None
) -> Iterator[_Moved]:
    """Frames painted; with `averages`, the statistics are averaged over each shot."""
    if isinstance(paint, Several):
        yield from _painted_by_several(moved, paint, first=first)
        return
    for index, item in enumerate(moved, first):
        if averages is None:
            yield _Moved(item.frame, item.motion, paint(item.frame, index))
            continue
        statistics = SharedStatistics({} if item.motion is None else averages)
        with statistics.active():
            painted = paint(item.frame, index)
        averages = statistics.averages
        yield _Moved(item.frame, item.motion, painted, averages)


def _painted_by_several(moved: Iterable[_Moved], paint: Several, *, first: int) -> Iterator[_Moved]:
    with ExitStack() as stack:
        threads = [stack.enter_context(ThreadPoolExecutor(1)) for _ in paint.paints]
        pending: deque[tuple[_Moved, Future[Tensor]]] = deque()
        for index, item in enumerate(moved, first):
            if len(pending) == len(threads):
                yield _finished(*pending.popleft())
            place = index % len(threads)
            pending.append((item, threads[place].submit(paint.paints[place], item.frame, index)))
        while pending:
            yield _finished(*pending.popleft())


def _finished(item: _Moved, painted: Future[Tensor]) -> _Moved:
    return _Moved(item.frame, item.motion, painted.result())


def _steadied(items: Iterable[_Moved], steadier: Steadier | None, *, before: Before | None) -> Iterator[Painted]:
    output = None if before is None else before.output
    for item in items:
        assert item.painted is not None
        cut = item.motion is None
        output = item.painted if steadier is None or output is None else steadier(item.painted, output, item.motion)
        made = Frame(output, item.frame.time_s, item.frame.alpha)
        yield Painted(made, item.frame.pixels, cut, item.statistics)


def _following(
    moved: Iterable[_Moved], paint: PaintFrom, *, steadier: Steadier | None, before: Before | None
) -> Iterator[Painted]:
    """Painting and steadying in turn: each frame starts from the previous output."""
    output = None if before is None else before.output
    for item in moved:
        start, motion = None, item.motion
        if output is not None and motion is not None:
            start = Start(warped(output, motion.flow).clamp(0, 1), motion.trust)
        painted = paint(item.frame, start)
        output = painted if steadier is None or output is None else steadier(painted, output, motion)
        yield Painted(Frame(output, item.frame.time_s, item.frame.alpha), item.frame.pixels, motion is None)


def with_durations(items: Iterable[Painted], period_s: Fraction) -> Iterator[tuple[Painted, Fraction]]:
    """Each frame with the time until the next; the last is shown for `period_s`."""
    last: Painted | None = None
    for item in items:
        if last is not None:
            yield last, item.frame.time_s - last.frame.time_s
        last = item
    if last is not None:
        yield last, period_s
