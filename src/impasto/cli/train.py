"""`impasto train`: train networks."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from impasto.cli.flags import flagged, plain
from impasto.cli.groups import ConsoleFlags
from impasto.config.training import BackboneOptions, FitOptions

if TYPE_CHECKING:
    from impasto.training.fit import Progress

app = App(name="train", help="Train networks.", version_flags=())


@flagged("Encoder")
class BackboneFlags(BackboneOptions):
    """Flags of `BackboneOptions`."""


@flagged("Training")
class FitFlags(FitOptions):
    """Flags of `FitOptions`."""


_BACKBONE, _FIT, _CONSOLE = BackboneFlags(), FitFlags(), ConsoleFlags()


@app.command
def backbone(
    *,
    output: Annotated[
        Path, Parameter(name=("--output", "-o"), help="Folder for encoder.safetensors, checkpoints and log.")
    ],
    backbone: BackboneFlags = _BACKBONE,
    fit: FitFlags = _FIT,
    console: ConsoleFlags = _CONSOLE,
) -> int:
    """Train an encoder: by distillation with --teacher, by classification without.

    Ctrl-C stops after the running step. The same command goes on from the last checkpoint, exactly.
    """
    from impasto.cli import batch
    from impasto.cli.bars import Bar, TimeLeft, as_time
    from impasto.cli.stopping import INTERRUPTED, on_interrupt
    from impasto.training.run import train_backbone

    batch.prepare(console)
    stopped = False
    left = TimeLeft(fit.steps)
    progress = None
    with Bar(quiet=console.quiet) as bar, on_interrupt(bar.note) as stop:
        # closed here, so that what training holds open is let go when it is stopped
        with contextlib.closing(train_backbone(plain(backbone), plain(fit), output)) as steps:  # type: ignore[type-var]
            for progress in steps:
                bar_text = _described(progress, as_time(left.after(progress.step)))
                stop.worth_keeping = True
                bar.show(progress.step, progress.steps, bar_text)
                stopped = stop.asked and progress.step < progress.steps
                if stopped:
                    break
        if stopped and progress is not None:
            bar.note(f"stopped after step {progress.step} of {progress.steps}.")
            bar.note(f"{output} holds the last checkpoint: the same command goes on from there.")
            return INTERRUPTED
    row = {"output": str(output), "steps": fit.steps, "losses": progress.losses if progress is not None else {}}
    print(json.dumps(row) if console.json else output)
    return 0


def _described(progress: Progress, time_left: str) -> str:
    """`step 20/6000  1:05 left  classes 0.52`."""
    from impasto.cli.bars import as_losses

    skipped = f"{progress.skipped} skipped" if progress.skipped else ""
    parts = [f"step {progress.step}/{progress.steps}", time_left and f"{time_left} left", skipped]
    return "  ".join(part for part in [*parts, as_losses(progress.losses)] if part)
