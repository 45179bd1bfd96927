"""The paintings of a sweep: one job, painted with every combination of some options."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impasto.analysis.axes import Axis, GridPoint, points
from impasto.analysis.runs import FAILED, FAILURES, FINISHED, Record, file_stem, one_line, read_record, write_record
from impasto.analysis.sweep_metrics import SweepMetrics
from impasto.config.job import Job
from impasto.core.errors import ImageTooSmall, ImpastoError, OptionError, StateError, UnknownName
from impasto.image import files
from impasto.session.opened import Session
from impasto.stylizers.protocol import Step

CELLS = "cells"
"""Folder of the pictures and their records."""


@dataclass(frozen=True, kw_only=True)
class SweepPainter:
    """How the runs are painted and measured.

    `open_session(job, output)` reads the inputs of a job. A picture on disk is kept if its recipe is equal in job,
    inputs and weights, unless `again`.
    """

    open_session: Callable[[Job, Path], Session]
    metrics: SweepMetrics | None = None
    again: bool = False


class PaintRun:
    """One painting: the varied options as `texts` by their paths, the job, and the file of the picture.

    `kept` says that the picture was there before.
    """

    def __init__(self, point: GridPoint, picture: Path, *, painter: SweepPainter) -> None:
        self.texts, self.job, self.picture = point.texts, point.job, picture
        self.name = "  ".join(f"{path} {text}" for path, text in point.texts.items())
        self.record = Record()
        self.recipe: Mapping[str, Any] = {}
        self.kept = False
        self._painter = painter
        self._session: Session | None = None

    @property
    def record_file(self) -> Path:
        """Where the record is kept: beside the picture."""
        return self.picture.with_suffix(".json")

    def steps(self) -> Generator[Step, None, None]:
        """Paint and save; yields nothing if the picture is kept."""
        session = self._session = self._painter.open_session(self.job, self.picture)
        self.recipe = json.loads(session.recipe.to_json()) if session.recipe else {}
        known = None if self._painter.again else self._known()
        if known is not None:
            self.record, self.kept = known, True
            return
        last = None
        for last in session.steps():
            yield last
        if last is None:
            raise ImpastoError("the stylizer painted no step.")
        session.painting(last).save(self.picture)

    def progressed(self, step: Step, /) -> None:
        """Update the record after a step."""
        self.record = dataclasses.replace(
            self.record, step=step.index, steps=step.total, losses={k: float(v) for k, v in step.losses.items()}
        )

    def ended(self) -> None:
        """Measure the picture, where it was not measured in this way before, and save the record."""
        session, self._session = self._session, None
        if session is None or self.record.state != FINISHED:
            return
        try:
            self._measure(session)
            write_record(self.record_file, self.record, settings=self.recipe)
        except FAILURES as error:
            self.record = dataclasses.replace(self.record, state=FAILED, error=one_line(error))

    def _known(self) -> Record | None:
        """The record on disk, if picture and recipe fit it; versions and number of threads may differ."""
        try:
            known = read_record(self.record_file)
        except StateError:  # damaged: the picture is painted again
            return None
        if known is None or not self.picture.is_file():
            return None
        settings, record = known
        same = all(settings.get(key) == self.recipe.get(key) for key in ("job", "inputs", "weights"))
        return record if same and record.state == FINISHED else None

    def _measure(self, session: Session) -> None:
        metrics = self._painter.metrics
        if metrics is None or self.record.measured_with == metrics.name:
            return
        measures: dict[str, float] = {}
        try:
            pixels = files.read(self.picture).pixels
            measures, note = metrics.measures(pixels, session.inputs)
        except (ImageTooSmall, UnknownName) as error:  # the painting itself is fine
            note = one_line(error)
        self.record = dataclasses.replace(self.record, measures=measures, measured_with=metrics.name, note=note)


def paint_runs(job: Job, axes: Sequence[Axis], *, folder: Path, painter: SweepPainter) -> list[PaintRun]:
    """A run for every combination of values, the last axis changing fastest.

    File names depend on the values only, so that an axis may get more of them later. Raises `OptionError` for a value
    that is refused, before anything is painted.
    """
    if not axes:
        raise OptionError("no option varies. Name one with its values: `vary=strength=0.5,1,2`.")

    def stem(point: GridPoint) -> str:
        return file_stem("_".join(f"{path}={text}" for path, text in point.texts.items()))

    return [PaintRun(point, folder / CELLS / f"{stem(point)}.png", painter=painter) for point in points(job, axes)]
