"""Painting one picture after another."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from impasto import api
from impasto.api import JobCache, OutputOptions, Plan, Session
from impasto.cli import processor
from impasto.cli.bars import Bar, fetched
from impasto.cli.failures import described, unexpected
from impasto.cli.painting import Painted, check_gradual, done_already
from impasto.cli.stopping import INTERRUPTED
from impasto.config.console import ConsoleOptions
from impasto.core.errors import OptionError

LISTED = 10  # failures that the last line names


@dataclass(frozen=True)
class Item:
    """A planned job and where it goes."""

    plan: Plan
    output: Path
    options: OutputOptions

    @property
    def name(self) -> str:
        """The files that it is made of."""
        return f"{self.plan.job.content} in {' + '.join(style.name for style in self.plan.styles)}"


class Batch:
    """The items of one command, painted one after another.

    `several` says that more than one picture was asked for, also where a folder holds one only: then an item that
    fails is reported and the next one begun. Wrong options end the command.
    """

    def __init__(self, items: Sequence[Item], *, resume: bool, several: bool, console: ConsoleOptions) -> None:
        """Raises `OptionError` for an animation of a method that is not gradual."""
        processor.prepare(console)
        for item in items:
            check_gradual(item.plan.method.gradual, item.options)
        self.items, self._resume, self._several, self._console = items, resume, several, console
        self._cache, self._failed = JobCache(codes=several), list[Item]()
        self.stopped, self._complete = False, True

    @contextlib.contextmanager
    def attempt(self, item: Item) -> Iterator[Bar]:
        """A bar for one item, whose failure is reported where there are several."""
        with Bar(quiet=self._console.quiet) as bar:
            try:
                yield bar
            except Exception as error:
                if not self._several or isinstance(error, OptionError):
                    raise
                self._failed.append(item)
                bar.tell_error(f"{item.plan.job.content}: {described(error) or unexpected(error)}")

    def opened(self, item: Item, bar: Bar) -> Session | None:
        """The item's session; None where a resumed batch has painted it already."""
        state = api.paused_path(item.output) if item.plan.method.gradual else None
        if state is not None and not self._resume:
            bar.note(f"{state} is there: --resume would go on with that painting")
        session = api.open_session(
            item.plan,
            output=item.output,
            resume=self._resume and (not self._several or state is not None),
            cache=self._cache,
            progress=fetched(bar, ", ".join(item.plan.weights)),
        )
        if self._several and self._resume and session.resume is None and done_already(session, item.output):
            bar.note(f"{item.output} is done already")
            return None
        return session

    def report(self, number: int, result: Painted, bar: Bar) -> None:
        """Print the result of the item of this number, from 0."""
        self.stopped, self._complete = result.stopped, self._complete and result.complete
        result.report(bar, as_json=self._console.json)
        if self.stopped and len(self.items) > 1:
            bar.note(f"{number} of {len(self.items)} pictures were finished before.")

    def exit_code(self) -> int:
        """The exit code at the end; the last line names what could not be painted."""
        if self.stopped:
            return INTERRUPTED
        failed, count = self._failed, len(self._failed)
        if failed:
            more = f" and {count - LISTED} more" if count > LISTED else ""
            names = ", ".join(item.name for item in failed[:LISTED])
            with Bar(quiet=self._console.quiet) as bar:
                bar.tell_error(f"{count} of {len(self.items)} pictures could not be painted: {names}{more}.")
        return 1 if failed or not self._complete else 0
