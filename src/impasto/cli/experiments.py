"""Commands that compare training runs: `impasto train sweep` and `impasto analyze curves`."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from impasto.cli import outputs
from impasto.cli.bars import Bar, TimeLeft, as_losses, as_time
from impasto.cli.flags import flagged, plain
from impasto.cli.groups import ConsoleFlags
from impasto.cli.stopping import INTERRUPTED, on_interrupt
from impasto.config.experiments import CurveOptions

if TYPE_CHECKING:
    from impasto.jobs.experiments import Moment, Train


@flagged("Curves")
class CurveFlags(CurveOptions):
    """Flags of `CurveOptions`."""


_CURVES, _CONSOLE = CurveFlags(), ConsoleFlags()


def sweep(
    grid: Annotated[Path, Parameter(help="TOML file: [base] options of all, [grid] lists of values, [[runs]].")],
    /,
    *,
    output: Annotated[
        Path, Parameter(name=("--output", "-o"), negative=(), help="Folder of report.html and a folder for each run.")
    ],
    console: ConsoleFlags = _CONSOLE,
) -> int:
    """Train a fast network with each of many settings, and compare them on one page.

    Options are those of impasto train fast, by the names of its flags. Ctrl-C stops after the running step. The same
    command leaves what is finished and goes on with the rest, exactly. A run that fails is reported, and the others go
    on.
    """
    from impasto.cli import batch
    from impasto.jobs.experiments import swept
    from impasto.jobs.grid import experiments
    from impasto.jobs.page import PAGE, counts

    found = experiments(grid)
    batch.prepare(console)
    title = f"{grid.stem}: {len(found)} experiment{'s' if len(found) > 1 else ''}"
    with Bar(quiet=console.quiet) as bar:
        with closing(swept(found, output, _trainer(), title=title, tell=bar.tell_error)) as moments:
            ends, stopped = _shown(moments, bar)
        told = counts([end.record for end in ends if end.record is not None])
        if stopped:
            bar.note("stopped; finished runs are kept, and the same command goes on from there.")
            return INTERRUPTED
        bar.note(", ".join(f"{count} {state}" for state, count in told.items()))
    kept = sum(end.kept for end in ends)
    row = {"report": str(output / PAGE), "runs": len(found), "kept": kept, **told}
    print(json.dumps(row) if console.json else output / PAGE, flush=True)
    return 1 if "failed" in told else 0


def _trainer() -> Train:
    from impasto.training.fast_run import train_learned

    return train_learned


def _shown(moments: Iterator[Moment], bar: Bar) -> tuple[list[Moment], bool]:
    """Draw the runs on the bar; how each ended, and whether the user stopped before the last did."""
    from impasto.jobs.records import FAILED

    ends: list[Moment] = []
    left: dict[int, TimeLeft] = {}  # of each run
    with on_interrupt(bar.note) as stop:
        for at in moments:
            if at.progress is not None:
                if not stop.worth_keeping:
                    bar.note(f"training on {at.progress.device}")
                stop.worth_keeping = True
                rest = left.setdefault(at.number, TimeLeft(at.progress.steps)).after(at.progress.step)
                bar.show(at.number - 1 + at.progress.step / at.progress.steps, at.count, _line(at, as_time(rest)))
            elif at.record is not None:
                ends.append(at)
                (bar.tell_error if at.record.state == FAILED else bar.note)(_line(at, ""))
            if stop.asked and len(ends) < at.count:
                return ends, True
    return ends, False


def _line(at: Moment, time_left: str) -> str:
    """`run 2/5  average  step 20/4000  1:05 left  content 0.52`, or how a run ended."""
    name = f"run {at.number}/{at.count}  {at.experiment.name}"
    if at.progress is not None:
        parts = [name, f"step {at.progress.step}/{at.progress.steps}", time_left and f"{time_left} left"]
        return "  ".join(part for part in [*parts, as_losses(at.progress.losses)] if part)
    if at.record is None or at.kept:
        return f"{name}: kept"
    ended = f"{at.record.state} after step {at.record.step}, {as_time(at.record.seconds)}"
    unreadable = f"; {at.record.unreadable} pictures could not be read" if at.record.unreadable else ""
    return f"{name}: {ended}{unreadable}{at.record.error and f': {at.record.error}'}"


def curves(
    runs: Annotated[
        tuple[Path, ...], Parameter(metavar="RUN", negative=(), help="Folders of training runs, or their log.jsonl.")
    ],
    /,
    *,
    output: Annotated[Path, Parameter(name=("--output", "-o"), negative=(), help="Picture file to write.")],
    curves: CurveFlags = _CURVES,
    console: ConsoleFlags = _CONSOLE,
) -> int:
    """Draw the losses of training runs over their steps: all parts of one run, or several runs part by part."""
    from impasto.analysis import curves as drawing
    from impasto.image import files

    files.check_writable(output, 8)
    losses = drawing.read_all(runs)
    outputs.check_no_input(output, [run / drawing.LOG if run.is_dir() else run for run in runs])
    note = {"command": "curves", "runs": [run.name for run in losses], "options": curves.to_dict()}
    files.write(
        output, drawing.loss_picture(losses, options=plain(curves)), notes={"impasto-analysis": json.dumps(note)}
    )
    if not console.json:
        print(output, flush=True)
        return 0
    final = {run.name: {name: _finite(value) for name, value in run.final().items()} for run in losses}
    print(json.dumps({"output": str(output), "losses": final}), flush=True)
    return 0


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
