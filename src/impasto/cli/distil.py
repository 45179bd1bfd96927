"""`impasto train distil`: one network learns from several teachers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from impasto.cli.flags import flagged, plain
from impasto.cli.groups import ConsoleFlags
from impasto.cli.train import FastFitFlags, _trained
from impasto.config.distil import DistilOptions

if TYPE_CHECKING:
    from impasto.training.fit import Progress


@flagged("Network")
class DistilFlags(DistilOptions):
    """Flags of `DistilOptions`."""


_DISTIL, _FIT, _CONSOLE = DistilFlags(), FastFitFlags(), ConsoleFlags()


def distil(
    *,
    output: Annotated[
        Path, Parameter(name=("--output", "-o"), help="Folder for network.safetensors, checkpoints, samples and log.")
    ],
    distil: DistilFlags = _DISTIL,
    fit: FastFitFlags = _FIT,
    console: ConsoleFlags = _CONSOLE,
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
        return train_distil(plain(distil), plain(fit), output, tell=tell)  # type: ignore[type-var]

    return _trained(started, output, fit=fit, console=console)
