"""`impasto train distil`: one network learns from several teachers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from impasto.cli.flags import takes_options
from impasto.cli.train import Output, _trained
from impasto.config.console import ConsoleOptions
from impasto.config.distil import DistilOptions
from impasto.config.fast_training import FastFitOptions

if TYPE_CHECKING:
    from impasto.training.fit import Progress


@takes_options
def distil(
    *,
    output: Output,
    distil: DistilOptions,
    fit: FastFitOptions,
    console: ConsoleOptions,
) -> int:
    """Train a fast network to paint like its teachers: trained styles, pictures, or folders of results.

    Ctrl-C stops after the current step; the same command resumes exactly there.
    """
    from impasto.training.distil_run import train_distil
    from impasto.training.processes import is_first

    def tell(line: str) -> None:
        if is_first() and not console.quiet:
            print(line, file=sys.stderr)

    def started() -> Iterator[Progress]:
        return train_distil(distil, fit, folder=output, tell=tell)  # type: ignore[type-var]

    return _trained(started, output, fit=fit, console=console)
