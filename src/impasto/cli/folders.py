"""Painting the pictures of one command: each is painted while the next is read and the last is written."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from impasto import api
from impasto.api import JobCache, OutputOptions, Plan, Session
from impasto.cli.bars import Bar, TimeLeft, fetch_progress, prepare_processor
from impasto.cli.failures import described, unexpected
from impasto.cli.painting import PaintingResult, PlaceInRun, check_gradual, done_already, painted
from impasto.cli.stopping import INTERRUPTED
from impasto.config.console import ConsoleOptions
from impasto.core.errors import OptionError, StateError
from impasto.jobs.pipeline import Stages, pipelined

LISTED = 10  # failures that the last line names


@dataclass(frozen=True)
class PlannedPicture:
    """A planned job and where it goes; `number` counts from 0."""

    number: int
    plan: Plan
    output: Path
    options: OutputOptions

    @property
    def name(self) -> str:
        """The files that it is made of."""
        return f"{self.plan.job.content} in {' + '.join(style.name for style in self.plan.styles)}"


class FolderRun:
    """The items of one command.

    `several` says that more than one picture was asked for, also where a folder holds one only: then an item that
    fails is reported and the next one started. Wrong options end the command.
    """

    def __init__(
        self,
        items: Sequence[PlannedPicture],
        *,
        resume: bool,
        several: bool,
        console: ConsoleOptions,
        force: bool = False,
        report: Callable[[PaintingResult, Bar], object] | None = None,
    ) -> None:
        """`force`: ignore the estimate of memory. `report` replaces the lines on each picture.

        Raises `OptionError` for an animation of a method that is not gradual.
        """
        prepare_processor(console)
        for item in items:
            check_gradual(item.plan.method.gradual, item.options)
        self.items, self._resume, self._several, self._console = items, resume, several, console
        self._force, self._report = force, report or partial(PaintingResult.report, as_json=console.json)
        self._cache, self._failed = JobCache(codes=several), list[PlannedPicture]()
        self._stopped, self._complete, self._left = False, True, TimeLeft(len(items))

    def paint(self) -> int:
        """Paint every item, to the end or the first Ctrl-C; the exit code. The last line names what failed."""
        timed = any(item.plan.job.optimise.seconds for item in self.items)
        with Bar(quiet=self._console.quiet) as self._bar:
            stages = Stages(self._opened, self._painted, self._written, self._report_failure)
            with contextlib.closing(pipelined(self.items, stages, overlapped=not timed)) as done:
                item = next(item for item in done if self._stopped or item.number == len(self.items) - 1)
            if self._stopped and len(self.items) > 1:
                self._bar.note(f"{item.number} of {len(self.items)} pictures were finished before.")
            return self._exit_code()

    @contextlib.contextmanager
    def single(self) -> Iterator[tuple[Session, Bar]]:
        """The session of the only item, and the bar of painting it; `finished` takes the result."""
        with Bar(quiet=self._console.quiet) as self._bar:
            session = self._opened(self.items[0])
            assert session is not None, "only one of several pictures is left out"
            yield session, self._bar

    def finished(self, result: PaintingResult) -> int:
        """Write and report the picture of the only item; the exit code."""
        self._stopped, self._complete = result.stopped, result.complete
        self._written(self.items[0], result)
        return self._exit_code()

    def _opened(self, item: PlannedPicture) -> Session | None:
        """The item's session; None if a resumed command has painted it already."""
        if item.number == 0:
            self._bar.wait("reading pictures and weights")
        state = api.paused_path(item.output) if item.plan.method.gradual else None
        if state is not None and not self._resume:
            self._bar.note(f"{state} is there: --resume would continue that painting")
        opened = partial(
            api.open_session,
            item.plan,
            output=item.output,
            force=self._force,
            cache=self._cache,
            progress=fetch_progress(self._bar, ", ".join(item.plan.weights)),
        )
        try:
            session = opened(resume=self._resume and (not self._several or state is not None))
        except StateError as error:
            if not (self._several and state is not None):
                raise
            self._bar.note(f"{item.output} is painted anew: {error}")  # as a finished picture of other options is
            state.unlink()
            session = opened()
        if self._several and self._resume and session.resume is None and done_already(session, item.output):
            return None
        return session

    def _painted(self, item: PlannedPicture, session: Session | None) -> PaintingResult | None:
        if session is None:
            return None
        place = PlaceInRun(item.number, len(self.items), self._left) if len(self.items) > 1 else None
        result = painted(session, item.output, options=item.options, bar=self._bar, place=place)
        self._stopped, self._complete = result.stopped, self._complete and result.complete
        return result

    def _written(self, item: PlannedPicture, result: PaintingResult | None) -> None:
        if result is None:
            self._bar.note(f"{item.output} is done already")
            return
        result.save()
        self._report(result, self._bar)

    def _report_failure(self, item: PlannedPicture, error: Exception) -> None:
        if not self._several or isinstance(error, OptionError):
            raise error
        self._failed.append(item)
        self._bar.tell_error(f"{item.plan.job.content}: {described(error) or unexpected(error)}")

    def _exit_code(self) -> int:
        if self._stopped:
            return INTERRUPTED
        failed, count = self._failed, len(self._failed)
        if failed:
            more = f" and {count - LISTED} more" if count > LISTED else ""
            names = ", ".join(item.name for item in failed[:LISTED])
            self._bar.tell_error(f"{count} of {len(self.items)} pictures could not be painted: {names}{more}.")
        return 1 if failed or not self._complete else 0
