"""Styles, masks and strength of each frame: constant, or changing with key frames and films of masks."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from torch import Tensor

from impasto.config.job import REST, StyleSource
from impasto.core.errors import OptionError
from impasto.image.masks import feathered, read_mask, rest_of, shares_of
from impasto.image.resize import SizeHW, resized
from impasto.nets.shared import active_statistics
from impasto.session.inputs import cover_of
from impasto.session.opened import Session
from impasto.stylizers.protocol import Mix, Style
from impasto.stylizers.temporal import Temporal
from impasto.video.frames import Frame, Held
from impasto.video.keyframes import Timeline
from impasto.video.painting import Start
from impasto.video.source import is_moving, opened


@dataclass(frozen=True, eq=False)
class Look:
    """A stylizer with its prepared styles, and the strength.

    Looks of the same `part` compute the same statistics of a frame (`nets.shared`).
    """

    session: Session
    code: Any
    strength: float
    part: str = ""

    def painted(self, content: Tensor) -> Tensor:
        """`content` `(1, 3, h, w)` painted."""
        return self._painted(content, self.session)

    def painted_from(self, start: Start, content: Tensor, *, steps: int, temporal_weight: float) -> Tensor:
        """`content` `(1, 3, h, w)` painted by `steps` steps of optimisation at full size, beginning at `start`."""
        session = self.session
        optimise = dataclasses.replace(session.job.optimise, init="picture", scales=1, steps=(steps,))
        plan = dataclasses.replace(session.plan, job=dataclasses.replace(session.job, optimise=optimise))
        temporal = Temporal(start.carried, start.trust, temporal_weight) if temporal_weight else None
        inputs = dataclasses.replace(session.inputs, init_picture=start.over(content), temporal=temporal)
        return self._painted(content, dataclasses.replace(session, plan=plan, inputs=inputs))

    def _painted(self, content: Tensor, session: Session) -> Tensor:
        if (statistics := active_statistics()) is not None:
            statistics.begin(self.part)
        *_, last = session.stylizer.paint(content, self.code, strength=self.strength)
        return last.picture().float()


class Looks:
    """The look of each frame of a session, in chronological order; styles are prepared again only if weights change.

    `masks` has an entry for each style of `sources` if any mask is a film; None is the area that the others leave.
    """

    def __init__(
        self,
        session: Session,
        timeline: Timeline,
        *,
        sources: Sequence[StyleSource] = (),
        masks: Sequence[MaskFilm | Tensor | None] = (),
    ) -> None:
        self._session, self._timeline, self._sources, self._masks = session, timeline, sources, masks
        self._last: tuple[tuple[float, ...], Any] | None = None

    def at(self, time_s: Fraction) -> Look | None:
        """The look at a time of the source; None if all masks are black, so that nothing is painted."""
        strength, weights = self._timeline.at(float(time_s))
        styles = [
            dataclasses.replace(style, weight=weight)
            for style, weight in zip(self._session.inputs.mix.styles, weights, strict=True)
        ]
        if self._masks:
            shown = [mask.at(time_s) if isinstance(mask, MaskFilm) else mask for mask in self._masks]
            rest = rest_of([mask for mask in shown if mask is not None])
            pairs = zip(styles, [rest if mask is None else mask for mask in shown], strict=True)
            styles = [dataclasses.replace(style, mask=mask) for style, mask in pairs if bool(mask.any())]
            if sum(style.weight for style in styles) <= 0:
                return None
            cover = cover_of(self._sources, [style.mask for style in styles if style.mask is not None])
            inputs = dataclasses.replace(self._session.inputs, mix=Mix(tuple(styles)), cover=cover)
            session = dataclasses.replace(self._session, inputs=inputs)
            return Look(session, session.stylizer.prepare(inputs.mix), strength, _part(styles, strength))
        if self._last is None or self._last[0] != weights:
            self._last = weights, self._session.stylizer.prepare(Mix(tuple(styles)))
        return Look(self._session, self._last[1], strength, _part(styles, strength))


def _part(styles: Sequence[Style], strength: float) -> str:
    """Which networks paint, as styles without weight do not, and a network paints twice at a strength below 1."""
    names = ",".join(style.name for style in styles if style.weight)
    return f"{names}@{min(math.ceil(strength), 2)}" if strength != 1 else names


class MaskFilm:
    """A mask that is a film or a folder of frames; its frame at the same time is the mask."""

    def __init__(self, path: Path, size_hw: SizeHW, *, rate: Fraction, feather_px: float) -> None:
        self._held = Held(opened(path, folder_rate=rate).stored())
        self._size_hw, self._feather_px = size_hw, feather_px
        self._last: tuple[Fraction, Tensor] | None = None

    def at(self, time_s: Fraction) -> Tensor:
        """The mask `(1, 1, h, w)` in `[0, 1]`; times must not decrease. After its end the last frame is used."""
        stored = self._held.at(time_s)
        if self._last is None or self._last[0] != stored.time_s:
            self._last = stored.time_s, self._mask(stored.open())
        return self._last[1]

    def _mask(self, frame: Frame) -> Tensor:
        shares = shares_of(frame.pixels, frame.alpha)
        return feathered(resized(shares, self._size_hw, mode="bilinear"), self._feather_px)


def moving_masks(
    sources: Sequence[StyleSource], size_hw: SizeHW, *, rate: Fraction, feather: float
) -> list[MaskFilm | Tensor | None]:
    """The masks of the styles if any is a film or a folder of frames, which has `rate` frames per second.

    None is the style that paints what the others leave. Empty if all masks are pictures, or there are none.
    """
    paths = [source.mask for source in sources if source.mask is not None]
    if not any(is_moving(path) for path in paths if path != REST):
        return []
    if len(paths) < len(sources):
        raise OptionError("some styles have a mask and some have none. Give each style a mask, or none.")
    feather_px = feather * max(size_hw)
    return [
        None
        if path == REST
        else MaskFilm(path, size_hw, rate=rate, feather_px=feather_px)
        if is_moving(path)
        else feathered(read_mask(path, size_hw), feather_px)
        for path in paths
    ]
