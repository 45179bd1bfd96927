"""The runs of a sweep of trainings: each in its own folder, resumable, and compared on one page."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from impasto.analysis.curves import LossPicture
from impasto.analysis.runs import FINISHED, STOPPED, Record, RunEvent, read_record, run_all, write_record
from impasto.config.fast_training import FastFitOptions, FastTrainOptions
from impasto.core.errors import OptionError, StateError
from impasto.core.options import annotated_fields
from impasto.jobs.comparison import write_comparison
from impasto.jobs.grid import Experiment
from impasto.training.checkpoints import FREE
from impasto.training.fast_run import prepare_fast
from impasto.training.fit import Progress

RECORD, NETWORK = "experiment.json", "network.safetensors"

Train = Callable[..., Iterator[Progress]]
"""`train_fast`, or a function in its place."""


def train_fast(options: FastTrainOptions, fitting: FastFitOptions, *, folder: Path) -> Iterator[Progress]:
    """The steps of the training of one experiment."""
    return prepare_fast(options, fitting).train(folder)


class TrainRun:
    """One training in its folder. Its record on disk is read here; see `read_experiment` for the errors."""

    def __init__(
        self, experiment: Experiment, folder: Path, *, train: Train, report_error: Callable[[str], object]
    ) -> None:
        self.experiment, self.folder, self.name = experiment, folder, experiment.name
        self.record = read_experiment(experiment, folder)
        self._finished_before = self.record.state == FINISHED
        self._train, self._losses = train, LossPicture(folder, report_error)

    def steps(self) -> Generator[Progress, None, None]:
        """Train to the end, or yield nothing if that was done before."""
        if not self._finished_before:
            yield from self._train(self.experiment.options, self.experiment.fitting, folder=self.folder)

    def progressed(self, step: Progress, /) -> None:
        """Update the record; save it with each checkpoint and draw the losses with each sample."""
        self.record = dataclasses.replace(
            self.record,
            step=step.step,
            steps=step.steps,
            losses=dict(step.losses),
            skipped=step.skipped,
            unreadable=len(step.unreadable),
        )
        if step.step % self.experiment.fitting.checkpoint_every == 0:
            self._save()
        if step.sample is not None and step.step < step.steps:  # after the last step they are drawn anyway
            self._losses.draw()

    def ended(self) -> None:
        """Save the record and draw the losses."""
        if not self._finished_before:
            self._save()
            self._losses.draw()

    def _save(self) -> None:
        write_record(self.folder / RECORD, self.record, settings=_settings(self.experiment))


def run_experiments(
    experiments: Sequence[Experiment],
    folder: Path,
    *,
    title: str,
    report_error: Callable[[str], object],
    train: Train | None = None,
) -> Generator[RunEvent[Progress], None, None]:
    """Train all experiments in `folder`; yields every step and the end of each.

    Called again, it keeps what is finished, resumes what is not from the last checkpoint, and retries what failed. An
    error ends its run only, and is kept in its record. `report.html` is written after each run and when the sweep is
    stopped. `train` replaces the training of fast networks. `report_error` is called for errors that end no run.
    Raises, before anything is trained, `OptionError` (a missing folder or picture, several processes) and `StateError`
    (a folder of other options).
    """
    _check(experiments, folder)
    train = train or train_fast
    runs = [TrainRun(e, folder / e.folder, train=train, report_error=report_error) for e in experiments]

    def report() -> None:
        write_comparison([(run.experiment, run.record) for run in runs], folder, title=title)

    events = run_all(runs)
    try:
        for event in events:
            if event.step is None and not event.kept and event.number < event.count:
                report()
            yield event
    finally:
        events.close()
        report()


def read_experiment(experiment: Experiment, folder: Path) -> Record:
    """The record in the folder of an experiment, an empty one if there is none.

    A finished run without its network file counts as stopped. Raises `StateError` where the record is damaged or of
    other options.
    """
    known = read_record(folder / RECORD)
    if known is None:
        return Record()
    before, record = known
    now = json.loads(json.dumps(_settings(experiment)))
    if differing := [name for name, value in now.items() if name in before and before[name] != value]:
        raise StateError(
            f"{folder} was trained with another {', '.join(differing)}. Give the run another name, or give another "
            "output folder."
        )
    if record.state == FINISHED and not (folder / NETWORK).is_file():
        return dataclasses.replace(record, state=STOPPED)
    return record


def _settings(experiment: Experiment) -> Mapping[str, Any]:
    """The options that decide the result; of paths only the file name, since folders move."""
    both = (experiment.options, experiment.fitting)
    fields = [(options, field.name) for options in both for field, _ in annotated_fields(type(options))]
    return {name: _file_names(getattr(options, name)) for options, name in fields if name not in (*FREE, "memory_gb")}


def _file_names(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_file_names(item) for item in value]
    return value.absolute().name if isinstance(value, Path) else value


def _check(experiments: Sequence[Experiment], folder: Path) -> None:
    """Raise `OptionError` for mistakes that would end every run, or the sweep."""
    if os.environ.get("WORLD_SIZE", "1") not in ("", "1"):
        raise OptionError("a sweep trains in one process. Start it without torchrun, or train its runs one by one.")
    if folder.exists() and not folder.is_dir():
        raise OptionError(f"{folder} is not a folder; a sweep writes many files. Name a folder.")
    for experiment in experiments:
        options = experiment.options
        for name, sources in (("contents", options.contents), ("styles", options.styles)):
            if not sources:
                raise OptionError(f"run {experiment.name!r} has no {name}. Name some in the table [base].")
        for source in (*options.contents, *options.styles, *filter(None, [options.validation])):
            if not source.exists():
                raise OptionError(f"run {experiment.name!r} needs {source}, which does not exist. Fix the path.")
