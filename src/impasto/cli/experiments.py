"""Sweeps and loss curves: `impasto analyze sweep`, `impasto train sweep` and `impasto analyze curves`."""

from __future__ import annotations

import json
import math
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from impasto.cli import outputs
from impasto.cli.bars import Bar, TimeLeft, as_losses, as_time, working
from impasto.cli.flags import output_flag, takes_options
from impasto.cli.mixes import MixFlags
from impasto.cli.stopping import INTERRUPTED, on_interrupt
from impasto.config.analysis import CurveOptions, SweepOptions
from impasto.config.console import ConsoleOptions
from impasto.config.job import Job, LookOptions

if TYPE_CHECKING:
    from impasto.analysis.runs import Record, RunEvent
    from impasto.training.fit import Progress

STOPPED_NOTE = "stopped; finished runs are kept. Run the same command again to continue."


Axes = Annotated[
    tuple[str, ...],
    Parameter(
        negative=(),
        metavar="OPTION=VALUE,VALUE",
        help="Option and its values: strength=0.5,1,2 or losses.style_weight=5,10. Join the items of a list with +: "
        "steps=60+40+20,100. styles.2.scale is an option of the second style; mix=0,0.5,1 blends the first style into "
        "the second. Repeat for more axes.",
    ),
]


@takes_options
def paint_sweep(
    content: Annotated[Path, Parameter(help="Picture to repaint.")],
    /,
    *,
    mix: MixFlags,
    vary: Axes,
    output: Annotated[Path, output_flag("Folder for sheet, report, results.json and pictures.")],
    sweep: SweepOptions,
    look: LookOptions,
    console: ConsoleOptions,
) -> int:
    """Paint a picture with every combination of some options, and compare the results side by side.

    Run the same command again to continue: finished pictures are kept. A run that fails is reported, and the others go
    on.
    """
    job = Job(content=str(content), styles=mix.sources(), **vars(look))
    with working(console) as bar:
        from impasto import api
        from impasto.analysis.report import DATA, PAGE
        from impasto.analysis.sweep_report import SHEET, summary

        try:
            runs = api.sweep(job, vary, folder=output, options=sweep, progress=RunProgress(bar))
        except KeyboardInterrupt:
            bar.note(STOPPED_NOTE)
            return INTERRUPTED
        counts = summary(runs)
        paths = {name: str(output / name) for name in (SHEET, PAGE, DATA)}
        print(json.dumps({"files": paths, **counts}) if console.json else "\n".join(paths.values()), flush=True)
        bar.note(", ".join(f"{count} {state}" for state, count in counts.items()))
    return 1 if counts["failed"] else 0


@takes_options
def sweep(
    grid: Annotated[Path, Parameter(help="TOML file: [base] common options, [grid] value lists, [[runs]].")],
    /,
    *,
    output: Annotated[Path, output_flag("Folder for report.html and one sub-folder per run.")],
    console: ConsoleOptions,
) -> int:
    """Train a fast network with each of many settings, and compare them on one page.

    The file has the options of impasto train fast, by the names of its flags. Ctrl-C stops after the current step. Run
    the same command again to continue: finished runs are kept, and others resume exactly. A run that fails is reported,
    and the others go on.
    """
    from impasto.analysis.report import PAGE
    from impasto.analysis.runs import state_counts
    from impasto.jobs.experiments import run_experiments
    from impasto.jobs.grid import experiments

    planned = experiments(grid)
    title = f"{grid.stem}: {len(planned)} experiment{'s' if len(planned) > 1 else ''}"
    with working(console) as bar:
        with closing(run_experiments(planned, output, title=title, report_error=bar.tell_error)) as events:
            ends, stopped = _shown(events, bar)
        counts = state_counts([end.run.record for end in ends])
        if stopped:
            bar.note(STOPPED_NOTE)
            return INTERRUPTED
        bar.note(", ".join(f"{count} {state}" for state, count in counts.items()))
    kept = sum(end.kept for end in ends)
    row = {"report": str(output / PAGE), "runs": len(planned), "kept": kept, **counts}
    print(json.dumps(row) if console.json else output / PAGE, flush=True)
    return 1 if "failed" in counts else 0


def _shown(events: Generator[RunEvent[Progress], None, None], bar: Bar) -> tuple[list[RunEvent[Progress]], bool]:
    """The end of each run, and whether the user stopped before the last; shows the runs on the bar."""
    ends: list[RunEvent[Progress]] = []
    show = RunProgress(bar)
    with on_interrupt(bar.note) as stop:
        for event in events:
            if event.step is not None and not stop.worth_keeping:
                bar.note(f"training on {event.step.device}")
                stop.worth_keeping = True
            show(event)
            if event.step is None:
                ends.append(event)
            if stop.asked and len(ends) < event.count:
                return ends, True
    return ends, False


class RunProgress:
    """Shows the runs of a sweep on a bar: `run 2/5  average  step 20/4000  1:05 left  content 0.52`."""

    def __init__(self, bar: Bar) -> None:
        self._bar = bar
        self._left: dict[int, TimeLeft] = {}

    def __call__(self, event: RunEvent[Any]) -> None:
        """Show a step, or leave a line about the end of a run; failures are shown with `--quiet` too."""
        record, name = event.run.record, f"run {event.number}/{event.count}  {event.run.name}"
        if event.step is not None:
            left = as_time(self._left.setdefault(event.number, TimeLeft(record.steps)).after(record.step))
            parts = [name, f"step {record.step}/{record.steps}", left and f"{left} left", as_losses(record.losses)]
            done = event.number - 1 + record.step / record.steps
            self._bar.show(done, event.count, "  ".join(part for part in parts if part))
        elif event.kept:
            self._bar.note(f"{name}: kept")
        elif record.error:
            self._bar.tell_error(f"{name}: {_end(record)}: {record.error}")
        else:
            self._bar.note(f"{name}: {_end(record)}")


def _end(record: Record) -> str:
    """`finished after step 200, 1:05  content 0.52`."""
    unreadable = f"; {record.unreadable} pictures could not be read" if record.unreadable else ""
    measures = as_losses(dict(list(record.measures.items())[:4]))
    return f"{record.state} after step {record.step}, {as_time(record.seconds)}{unreadable}  {measures}".rstrip()


@takes_options
def curves(
    runs: Annotated[
        tuple[Path, ...], Parameter(metavar="RUN", negative=(), help="Folders of training runs, or their log.jsonl.")
    ],
    /,
    *,
    output: Annotated[Path, output_flag("Picture file to write.")],
    curves: CurveOptions,
    console: ConsoleOptions,
) -> int:
    """Draw the losses of training runs over their steps: all parts of one run, or several runs part by part."""
    from impasto.analysis import curves as drawing
    from impasto.image import files

    files.check_writable(output, 8)
    losses = drawing.read_all(runs)
    outputs.check_no_input(output, [run / drawing.LOG if run.is_dir() else run for run in runs])
    note = {"command": "curves", "runs": [run.name for run in losses], "options": curves.to_dict()}
    files.write(output, drawing.loss_picture(losses, options=curves), notes={"impasto-analysis": json.dumps(note)})
    if not console.json:
        print(output, flush=True)
        return 0
    final = {
        run.name: {name: value if math.isfinite(value) else None for name, value in run.final().items()}
        for run in losses
    }
    print(json.dumps({"output": str(output), "losses": final}), flush=True)
    return 0
