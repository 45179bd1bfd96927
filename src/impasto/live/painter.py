"""Frames painted small and steadied, one by one."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from impasto.config.job import Job
from impasto.config.pictures import SizeOptions
from impasto.core.errors import OptionError
from impasto.encoders.table import Progress
from impasto.flow.estimators import opencv
from impasto.image.files import Picture
from impasto.image.pixels import from_bytes, to_bytes
from impasto.image.resize import SizeHW, fit
from impasto.live.capture import Levels
from impasto.live.controls import Controls
from impasto.live.enlarging import enlarged_along
from impasto.nets.shared import SharedStatistics
from impasto.session.job_cache import JobCache
from impasto.session.memory import check_memory
from impasto.session.opened import Session, open_session
from impasto.stylizers.protocol import Mix
from impasto.video.frame_plan import frame_plan
from impasto.video.motion import Motion, Tracker
from impasto.video.steady import Steadier

PREPARED = 64  # cached blends
SEARCH_PX = 256  # of the motion; with 384 it takes twice the time, with 160 films flicker by a third more
LONGEST_GAP_S = 0.3  # between two frames; motion in a longer gap is not estimated well enough to carry strokes along


@dataclass(frozen=True, eq=False)
class _Last:
    """The last frame that was painted, and its output, which may not be steadied yet."""

    controls: Controls
    at_s: float
    content: Tensor
    output: Future[Tensor]
    statistics: Mapping[str, Tensor]

    def leads_to(self, controls: Controls, at_s: float) -> bool:
        """Whether a frame with these controls, at this time, may continue the shot."""
        looks = [(c.weights, c.strength, c.mirror) for c in (self.controls, controls)]
        return looks[0] == looks[1] and at_s - self.at_s <= LONGEST_GAP_S


class LivePainter:
    """Paints frames at `paint_hw`, each steadied by the one before. `paint` and `enlarged` may run in two threads.

    Motion is estimated while the network paints, and a frame is steadied while the network paints the next one.
    """

    def __init__(self, session: Session, paint_hw: SizeHW, *, steady: float) -> None:
        self.session, self.paint_hw = session, paint_hw
        self.tracker = Tracker.named("dis-coarse", search_px=SEARCH_PX) if steady else None
        self._steadier = Steadier.of(steady)
        self._codes: OrderedDict[tuple[float, ...], Any] = OrderedDict()
        self._last: _Last | None = None
        self._motion, self._steadying = ThreadPoolExecutor(1, "motion"), ThreadPoolExecutor(1, "steadying")

    def reduced(self, frame: Levels) -> Levels:
        """The frame at the size that is painted."""
        cv2: Any = opencv()
        height, width = self.paint_hw
        small: Levels = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
        return small

    def paint(self, small: Levels, controls: Controls, *, at_s: float) -> Future[Tensor]:
        """The painting `(1, 3, h, w)` of a frame at `paint_hw`, captured at `at_s`, once it is steadied.

        After a change of style or strength, and after a long gap, nothing is carried over from the previous frame.
        """
        content, last = from_bytes(small), self._last
        if self.tracker is None or last is None or not last.leads_to(controls, at_s):
            last, motion = None, None
            painted, averages = self.painted(content, controls, shared={})
        else:
            motion_of = self._motion.submit(self.tracker, content, last.content)
            painted, averages = self.painted(content, controls, shared=last.statistics)
            if (motion := motion_of.result()) is None:  # a cut, which is rare
                painted, averages = self.painted(content, controls, shared={})
            last.output.result()  # at most one frame waits to be steadied
        output = self._steadying.submit(self._steadied, painted, last, motion=motion)
        self._last = _Last(controls, at_s, content, output, averages)
        return output

    def _steadied(self, painted: Tensor, last: _Last | None, *, motion: Motion | None) -> Tensor:
        return painted if last is None else self._steadier(painted, last.output.result(), motion)

    def painted(
        self, content: Tensor, controls: Controls, *, shared: Mapping[str, Tensor]
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The painting of one frame, and the statistics of its shot, `shared` being those of the frames before."""
        statistics = SharedStatistics(shared)
        with statistics.active():
            code = self._code(controls.weights)
            *_, step = self.session.stylizer.paint(content, code, strength=controls.strength)
            return step.picture().float(), statistics.averages

    def enlarged(self, painted: Tensor, small: Levels, *, frame: Levels) -> Levels:
        """The painting `(1, 3, h, w)` of `small` at the size of the frame."""
        painting: Levels = to_bytes(painted)[0]
        return painting if painting.shape == frame.shape else enlarged_along(painting, small, frame=frame)

    def _code(self, weights: tuple[float, ...]) -> Any:
        if weights not in self._codes:
            pairs = zip(self.session.inputs.mix.styles, weights, strict=True)
            styles = tuple(dataclasses.replace(style, weight=weight) for style, weight in pairs if weight > 0)
            self._codes[weights] = self.session.stylizer.prepare(Mix(styles))
            if len(self._codes) > PREPARED:
                self._codes.popitem(last=False)
        return self._codes[weights]


def open_painter(
    job: Job, frame_hw: SizeHW, *, paint_px: int, steady: float, progress: Progress | None = None
) -> LivePainter:
    """The painter of a job for frames of `frame_hw`, its styles read and its weights loaded.

    Each of the job's styles can be shown by itself. Raises `OptionError` for a method that is too slow or a weighted
    style, and what `open_session` raises.
    """
    paint_hw = fit(frame_hw, long_side_px=paint_px, enlarge=False)
    grey = from_bytes(np.full((*paint_hw, 3), 128, np.uint8))
    size = SizeOptions(exact=(paint_hw[1], paint_hw[0]))
    plan = frame_plan(dataclasses.replace(job, size=size), content=Picture(grey))
    if plan.method.gradual:
        raise OptionError(
            f"`method={plan.method.name}` paints step by step. Live painting needs one pass: leave it out."
        )
    if weighted := next((style.source for style in job.styles if style.weight != 1), None):
        raise OptionError(
            f"the style {weighted} has a weight, but live painting shows one style at a time and blends by keys. "
            "Leave the weight out."
        )
    if job.colour.match_style != "no":
        raise OptionError(
            "`match_style` gives styles the colours of a single content. Use `match_output` for live painting."
        )
    cache = JobCache(codes=True)
    check_memory(plan, cache.loaded(plan, progress=progress), size_option="paint_size", may_force=False)
    session = open_session(plan, force=True, cache=cache, progress=progress)
    return LivePainter(session, paint_hw, steady=steady)
