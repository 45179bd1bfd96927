"""A film repainted: decoding, the search for motion, painting, steadying and encoding, each beside the others."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction

from torch import Tensor

from impasto.flow.warping import warped
from impasto.image.resize import SizeHW, resized
from impasto.video.ahead import Ahead
from impasto.video.frames import Frame, Stored
from impasto.video.motion import Motion, Tracker
from impasto.video.steady import Steadier

Paint = Callable[[Frame, int], Tensor]
"""Paints a frame, given its index: `(1, 3, h, w)` of the frame's size, in `[0, 1]`."""


@dataclass(frozen=True, eq=False)
class Start:
    """What a frame begins with: the last output `carried` along the motion, and how far that can be trusted."""

    carried: Tensor
    trust: Tensor

    def over(self, content: Tensor) -> Tensor:
        """The carried picture, and `content` where it is not trusted."""
        return content + self.trust * (self.carried - content)


PaintFrom = Callable[[Frame, Start | None], Tensor]
"""Paints a frame from a start; there is none for the first frame of a shot."""


@dataclass(frozen=True, eq=False)
class Before:
    """What the next frame needs of the last: its content and its output, `(1, 3, h, w)` in `[0, 1]`."""

    content: Tensor
    output: Tensor


@dataclass(frozen=True, eq=False)
class Painted:
    """An output frame with its content. `cut`: it begins a shot."""

    frame: Frame
    content: Tensor
    cut: bool

    @property
    def before(self) -> Before:
        """What the frame after this one needs."""
        return Before(self.content, self.frame.pixels)


@dataclass(frozen=True)
class Following:
    """A painter whose frames begin with the output of the frame before (Ruder et al. 2016, section 3.2)."""

    paint: PaintFrom


@dataclass(frozen=True)
class Several:
    """Painters that work at the same time, each in a thread of its own, on frames by themselves: one per device."""

    paints: tuple[Paint, ...]


@dataclass(frozen=True, eq=False)
class _Moved:
    frame: Frame
    motion: Motion | None
    painted: Tensor | None = None


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
    """The frames of a film repainted at `size_hw`, one by one; memory does not grow with their number.

    `paint` paints each frame by itself, or several of them at a time, or is a `Following` that begins with what came
    before.

    Each stage runs in a thread of its own, at most two frames ahead. With a `tracker` and a `steadier` the output is
    steadied; `before` is what came before the first frame, whose index is `first`, when a job is resumed. Closing the
    iterator stops all threads.
    """
    frames: Iterator[Frame] = (sized(item, size_hw) for item in stored)
    content = None if before is None else before.content
    with (
        Ahead(frames) as decoded,
        Ahead(_moved(decoded, tracker, content)) as moved,
        ExitStack() as stack,
    ):
        if isinstance(paint, Following):
            yield from stack.enter_context(Ahead(_following(moved, paint.paint, steadier, before)))
            return
        painted = stack.enter_context(Ahead(_painted(moved, paint, first)))
        yield from stack.enter_context(Ahead(_steadied(painted, steadier, before)))


def sized(stored: Stored, size_hw: SizeHW) -> Frame:
    """The frame at the output's size."""
    frame = stored.open()
    alpha = None if frame.alpha is None else resized(frame.alpha, size_hw, mode="bilinear")
    return Frame(resized(frame.pixels, size_hw), stored.time_s, alpha)


def _moved(frames: Iterable[Frame], tracker: Tracker | None, before: Tensor | None) -> Iterator[_Moved]:
    for frame in frames:
        motion = None if tracker is None or before is None else tracker(frame.pixels, before)
        yield _Moved(frame, motion)
        before = frame.pixels


def _painted(moved: Iterable[_Moved], paint: Paint | Several, first: int) -> Iterator[_Moved]:
    if not isinstance(paint, Several):
        for index, item in enumerate(moved, first):
            yield _Moved(item.frame, item.motion, paint(item.frame, index))
        return
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


def _steadied(items: Iterable[_Moved], steadier: Steadier | None, before: Before | None) -> Iterator[Painted]:
    output = None if before is None else before.output
    for item in items:
        assert item.painted is not None
        cut = item.motion is None
        output = item.painted if steadier is None or output is None else steadier(item.painted, output, item.motion)
        made = Frame(output, item.frame.time_s, item.frame.alpha)
        yield Painted(made, item.frame.pixels, cut)


def _following(
    moved: Iterable[_Moved], paint: PaintFrom, steadier: Steadier | None, before: Before | None
) -> Iterator[Painted]:
    """Painting and steadying in turn: each frame begins with the output before."""
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
