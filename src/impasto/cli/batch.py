"""Painting one picture after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from impasto import api
from impasto.api import Begun, Encoder, Job, OutputOptions
from impasto.cli.bars import Bar, fetched
from impasto.cli.failures import described
from impasto.cli.painting import done_already, painted_file
from impasto.cli.stopping import INTERRUPTED
from impasto.config.console import ConsoleOptions
from impasto.core.errors import OptionError
from impasto.core.memory import keep_freed_memory


@dataclass(frozen=True)
class Item:
    """A job and where it goes."""

    job: Job
    output: Path
    options: OutputOptions


def prepare(console: ConsoleOptions) -> None:
    """Threads and memory, as computing wants them."""
    keep_freed_memory()
    if console.threads is not None:
        torch.set_num_threads(console.threads)


def painted(items: Sequence[Item], *, resume: bool, console: ConsoleOptions) -> int:
    """Paint all; the exit code. With several, one that fails is reported and the next begun; wrong options fail all."""
    prepare(console)
    encoder: Encoder | None = None
    failed = 0
    for number, item in enumerate(items, start=1):
        with Bar(quiet=console.quiet) as bar:
            try:
                begun = _begun(item, bar, resume=resume, alone=len(items) == 1, encoder=encoder)
                encoder = begun.encoder
                if len(items) > 1 and resume and begun.resume is None and done_already(begun, item.output):
                    bar.note(f"{item.output} is done already")
                    continue
                result = painted_file(begun, item.output, options=item.options, bar=bar)
            except Exception as error:
                line = described(error)
                if len(items) == 1 or line is None or isinstance(error, OptionError):
                    raise
                failed += 1
                bar.tell_error(f"{item.job.content}: {line}")
                continue
        result.report(bar, as_json=console.json)
        if result.stopped:
            if len(items) > 1:
                bar.note(f"{number - 1} of {len(items)} pictures were dealt with before.")
            return INTERRUPTED
    if failed:
        bar.tell_error(f"{failed} of {len(items)} pictures could not be painted.")
    return 1 if failed else 0


def _begun(item: Item, bar: Bar, *, resume: bool, alone: bool, encoder: Encoder | None) -> Begun:
    state = api.paused_path(item.output)
    if state is not None and not resume:
        bar.note(f"{state} is there: --resume would go on with that painting")
    return api.begun(
        item.job,
        output=item.output,
        resume=resume and (alone or state is not None),
        encoder=encoder,
        progress=fetched(bar, item.job.losses.encoder),
    )
