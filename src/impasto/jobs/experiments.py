"""Training runs one after the other, for comparison: each in a folder of its own, and a report of all."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from impasto.analysis.curves import LossPicture
from impasto.config.fast_training import FastFitOptions, FastTrainOptions
from impasto.core.errors import ImpastoError, OptionError
from impasto.jobs import page
from impasto.jobs.grid import Experiment
from impasto.jobs.records import FAILED, FINISHED, STOPPED, Record, keep, known
from impasto.training.fit import Progress

Train = Callable[[FastTrainOptions, FastFitOptions, Path], Iterator[Progress]]
"""Trains in a folder, from its last checkpoint if there is one."""

FAILURES = (ImpastoError, OSError, RuntimeError, MemoryError)  # what ends one run, and not the others


@dataclass(frozen=True)
class Moment:
    """A step of an experiment, or, with `record`, its end; `kept` says that it was finished before."""

    experiment: Experiment
    number: int
    count: int
    progress: Progress | None = None
    record: Record | None = None
    kept: bool = False


def swept(
    experiments: Sequence[Experiment], folder: Path, train: Train, *, title: str, tell: Callable[[str], object]
) -> Generator[Moment, None, None]:
    """Train all experiments in `folder`, and yield every step and each one's end.

    Called again, it leaves what is finished, goes on from the last checkpoint of what is not, and tries again what
    failed. An error ends its run only, and is kept in its record. `report.html` is written after each run, and where
    the sweep is stopped, at any time. `tell` is given what is no reason to end. Raises `OptionError` (a folder or
    picture that is not there, several processes) and `StateError` (a folder of other options) before anything is
    trained, and `OSError` where nothing can be written.
    """
    _check(experiments, folder)
    records = [known(experiment, folder / experiment.folder) for experiment in experiments]

    def report() -> None:
        page.write(list(zip(experiments, records, strict=True)), folder, title=title)

    try:
        for i, experiment in enumerate(experiments):
            at = Moment(experiment, i + 1, len(experiments))
            if records[i].state == FINISHED:
                yield dataclasses.replace(at, record=records[i], kept=True)
                continue
            run = _Run(experiment, folder / experiment.folder, records[i], tell)
            try:
                with contextlib.closing(run.trained(train)) as steps:
                    for progress in steps:
                        yield dataclasses.replace(at, progress=progress)
            finally:
                records[i] = run.record
            if at.number < at.count:
                report()
            yield dataclasses.replace(at, record=run.record)
    finally:
        report()


def _check(experiments: Sequence[Experiment], folder: Path) -> None:
    """Raise `OptionError` for what would end every run or the sweep."""
    if os.environ.get("WORLD_SIZE", "1") not in ("", "1"):
        raise OptionError("a sweep trains in one process. Start it without torchrun, or train its runs one by one.")
    if folder.exists() and not folder.is_dir():
        raise OptionError(f"{folder} is no folder; a sweep writes many files. Name a folder.")
    for experiment in experiments:
        options = experiment.options
        for name, sources in (("contents", options.contents), ("styles", options.styles)):
            if not sources:
                raise OptionError(f"run {experiment.name!r} has no {name}. Name some in the table [base].")
        for source in (*options.contents, *options.styles, *filter(None, [options.validation])):
            if not source.exists():
                raise OptionError(f"there is no {source}, which run {experiment.name!r} is trained on. Mend its path.")


class _Run:
    """One experiment under way; `record` says at any time where it stands."""

    def __init__(self, experiment: Experiment, folder: Path, before: Record, tell: Callable[[str], object]) -> None:
        self._experiment, self._folder = experiment, folder
        self._losses = LossPicture(folder, tell)
        self.record = dataclasses.replace(before, state=STOPPED, error="")

    def trained(self, train: Train) -> Generator[Progress, None, None]:
        """Train to the end, a failure, or until closed; the record is kept in each case."""
        try:
            with contextlib.closing(self._timed(train)) as steps:
                for progress in steps:
                    self._note(progress)
                    yield progress
            self.record = dataclasses.replace(self.record, state=FINISHED)
        except FAILURES as error:
            told = " ".join(str(error).split()) or type(error).__name__
            self.record = dataclasses.replace(self.record, state=FAILED, error=told)
        finally:
            keep(self.record, self._experiment, self._folder)
            self._losses.draw()

    def _timed(self, train: Train) -> Generator[Progress, None, None]:
        """The steps of training; the record gets the time that they take, and not that of who looks at them."""
        steps = train(self._experiment.options, self._experiment.fitting, self._folder)
        with contextlib.closing(steps):  # type: ignore[type-var]
            first = True
            while True:
                began = time.monotonic()
                try:
                    progress = next(steps, None)
                finally:
                    spent = time.monotonic() - began
                    self.record = dataclasses.replace(self.record, seconds=self.record.seconds + spent)
                if progress is None:
                    return
                if not first:
                    self.record = dataclasses.replace(
                        self.record, step_seconds=self.record.step_seconds + spent, timed=self.record.timed + 1
                    )
                first = False
                yield progress

    def _note(self, progress: Progress) -> None:
        self.record = dataclasses.replace(
            self.record,
            step=progress.step,
            steps=progress.steps,
            skipped=progress.skipped,
            unreadable=len(progress.unreadable),
        )
        if progress.step % self._experiment.fitting.checkpoint_every == 0:
            keep(self.record, self._experiment, self._folder)  # a run that is killed has lost little
        if progress.sample is not None and progress.step < progress.steps:  # after the last step it is drawn anyway
            self._losses.draw()
