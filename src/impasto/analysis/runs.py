"""The runs of a sweep, paintings or trainings: each is recorded when it ends, and a failure ends that run only."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import itertools
import json
import re
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from impasto.core.errors import ImpastoError, StateError
from impasto.core.paths import written_whole

S = TypeVar("S")

NEW, STOPPED, FAILED, FINISHED = "not started", "stopped", "failed", "finished"
FAILURES = (ImpastoError, OSError, RuntimeError, MemoryError)  # these end one run; other exceptions end the sweep
LONGEST_STEM = 100  # characters
_SAFE_STEM = re.compile(r"[A-Za-z0-9][A-Za-z0-9.=+_-]*(?<!\.)(?<!\.html)(?<!\.json)(?<!\.png)")


@dataclass(frozen=True, kw_only=True)
class Record:
    """The state of a run and its numbers.

    `seconds` is the wall time of all attempts, `step_seconds` the part of it spent in `timed_steps` steps: all but the
    first of each attempt. `skipped` counts steps with a loss that was not finite, `unreadable` pictures that were
    replaced. `measured_with` identifies encoder and layers of the `measures`, and `note` says why some are missing.
    """

    state: str = NEW
    error: str = ""
    step: int = 0
    steps: int = 0
    seconds: float = 0.0
    step_seconds: float = 0.0
    timed_steps: int = 0
    losses: Mapping[str, float] = field(default_factory=dict)
    skipped: int = 0
    unreadable: int = 0
    measures: Mapping[str, float] = field(default_factory=dict)
    measured_with: str = ""
    note: str = ""

    @property
    def seconds_per_step(self) -> float | None:
        """Mean wall time of a step; None if none was timed."""
        return self.step_seconds / self.timed_steps if self.timed_steps else None


class SweepRun(Protocol[S]):
    """One run of a sweep. `record` always holds its current state."""

    name: str
    record: Record

    def steps(self) -> Generator[S, None, None]:
        """Do the work. A run that was finished before sets `record` and yields nothing."""

    def progressed(self, step: S, /) -> None:
        """Update `record` after a step."""

    def ended(self) -> None:
        """Save `record` after the last step, a failure or an interruption."""


@dataclass(frozen=True)
class RunEvent(Generic[S]):
    """A step of run `number` of `count`, or its end, where `step` is None. `kept`: it was finished before."""

    run: SweepRun[S]
    number: int
    count: int
    step: S | None = None
    kept: bool = False


def run_all(runs: Sequence[SweepRun[S]]) -> Generator[RunEvent[S], None, None]:
    """Do the runs one after the other; yields every step and the end of each run. Close it to stop at any time."""
    for number, run in enumerate(runs, start=1):
        event, worked = RunEvent(run, number, len(runs)), False
        with contextlib.closing(_attempted(run)) as steps:
            for step in steps:
                worked = True
                yield dataclasses.replace(event, step=step)
        yield dataclasses.replace(event, kept=not worked and run.record.state == FINISHED)


def _attempted(run: SweepRun[S]) -> Generator[S, None, None]:
    run.record = dataclasses.replace(run.record, state=STOPPED, error="")
    try:
        with contextlib.closing(_timed(run)) as steps:
            for step in steps:
                run.progressed(step)
                yield step
        run.record = dataclasses.replace(run.record, state=FINISHED)
    except FAILURES as error:
        run.record = dataclasses.replace(run.record, state=FAILED, error=one_line(error))
    finally:
        run.ended()


def _timed(run: SweepRun[S]) -> Generator[S, None, None]:
    """The steps of a run. Only its own time is counted, not the consumer's."""
    with contextlib.closing(run.steps()) as steps:
        for index in itertools.count():
            start = time.monotonic()
            step = next(steps, None)
            if step is None:
                return
            spent, record = time.monotonic() - start, run.record
            run.record = dataclasses.replace(
                record,
                seconds=record.seconds + spent,
                step_seconds=record.step_seconds + (spent if index else 0),
                timed_steps=record.timed_steps + bool(index),
            )
            yield step


def state_counts(records: Sequence[Record]) -> dict[str, int]:
    """How many runs are in each state; states without runs are left out."""
    states = [record.state for record in records]
    return {state: states.count(state) for state in (FINISHED, STOPPED, FAILED, NEW) if state in states}


def write_record(path: Path, record: Record, *, settings: Mapping[str, Any]) -> None:
    """Write the record of a run together with all settings that decide its result."""
    data = {"settings": settings, "record": dataclasses.asdict(record)}
    write_text(path, json.dumps(data, ensure_ascii=False, indent=1) + "\n")


def read_record(path: Path) -> tuple[dict[str, Any], Record] | None:
    """The settings and the record in a file, None if there is no file. Raises `StateError` for a damaged one."""
    if not path.is_file():
        return None
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return dict(data["settings"]), Record(**data["record"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StateError(f"{path} cannot be read ({error}); delete it, or give another output folder.") from error


def write_text(path: Path, text: str) -> None:
    """Write a whole UTF-8 file; unpaired surrogates, which file names may hold, become `?`."""
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="replace")


def file_stem(name: str) -> str:
    """A file name for a run: its own name where that is safe on any system, else a safe one with a digest of it."""
    if _SAFE_STEM.fullmatch(name) and len(name) <= LONGEST_STEM:
        return name
    plain = re.sub(r"[^A-Za-z0-9=+_-]+", "-", name).strip("-")[: LONGEST_STEM - 20]
    return f"{plain or 'run'}-{hashlib.sha256(name.encode('utf-8', 'replace')).hexdigest()[:8]}"


def one_line(error: BaseException) -> str:
    """The message of an error on one line; without a message, its class."""
    return " ".join(str(error).split()) or type(error).__name__
