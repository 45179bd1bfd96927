"""Options of how a command runs and reports; results do not depend on them, except for the last bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from impasto.core.options import Doc, Options, Range


@dataclass(frozen=True, kw_only=True)
class ConsoleOptions(Options, title="Console"):
    """What the command prints, and how many threads it takes."""

    json: Annotated[bool, Doc("Print one JSON object for each result.")] = False
    quiet: Annotated[bool, Doc("Suppress progress and notes; print errors and results only.")] = False
    threads: Annotated[int | None, Doc("Processor threads. Without: one per core."), Range(1, 4096)] = None
