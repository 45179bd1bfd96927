"""Painting one picture after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from impasto import api
from impasto.api import JobCache, OutputOptions, Plan, Session
from impasto.cli.bars import Bar, fetched
from impasto.cli.failures import described
from impasto.cli.painting import check_gradual, done_already, painted_file
from impasto.cli.stopping import INTERRUPTED
from impasto.config.console import ConsoleOptions
from impasto.core.errors import OptionError
from impasto.core.memory import keep_freed_memory

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


def prepare(console: ConsoleOptions) -> None:
    """Threads and memory, as computing wants them."""
    keep_freed_memory()
    if console.threads is not None:
        torch.set_num_threads(console.threads)


def painted(items: Sequence[Item], *, resume: bool, several: bool, console: ConsoleOptions) -> int:
    """Paint all; the exit code. With several, one that fails is reported and the next begun; wrong options fail all.

    `several` is what was asked for: of a folder that holds one picture, too.
    """
    prepare(console)
    for item in items:
        check_gradual(item.plan.method.gradual, item.options)
    cache, failed = JobCache(codes=several), list[Item]()
    for number, item in enumerate(items, start=1):
        with Bar(quiet=console.quiet) as bar:
            try:
                begun = _begun(item, bar, resume=resume, several=several, cache=cache)
                if several and resume and begun.resume is None and done_already(begun, item.output):
                    bar.note(f"{item.output} is done already")
                    continue
                result = painted_file(begun, item.output, options=item.options, bar=bar)
            except Exception as error:
                line = described(error)
                if not several or line is None or isinstance(error, OptionError):
                    raise
                failed.append(item)
                bar.tell_error(f"{item.plan.job.content}: {line}")
                continue
        result.report(bar, as_json=console.json)
        if result.stopped:
            if len(items) > 1:
                bar.note(f"{number - 1} of {len(items)} pictures were dealt with before.")
            return INTERRUPTED
    if failed:
        more = f" and {len(failed) - LISTED} more" if len(failed) > LISTED else ""
        names = ", ".join(item.name for item in failed[:LISTED])
        bar.tell_error(f"{len(failed)} of {len(items)} pictures could not be painted: {names}{more}.")
    return 1 if failed else 0


def _begun(item: Item, bar: Bar, *, resume: bool, several: bool, cache: JobCache) -> Session:
    state = api.paused_path(item.output) if item.plan.method.gradual else None
    if state is not None and not resume:
        bar.note(f"{state} is there: --resume would go on with that painting")
    return api.open_session(
        item.plan,
        output=item.output,
        resume=resume and (not several or state is not None),
        cache=cache,
        progress=fetched(bar, ", ".join(item.plan.weights)),
    )
