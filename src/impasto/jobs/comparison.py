"""The results of experiments: one page that compares them, and the same as data."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from impasto.analysis.curves import Curves, loss_chart, read_curves
from impasto.analysis.report import Chart, ReportPage, Row, Thumbnail, chart, clock, cost_rows, number, thumbnail
from impasto.analysis.report import write_report as write_page
from impasto.analysis.runs import FAILED, NEW, Record, state_counts
from impasto.core.errors import DataError
from impasto.jobs.grid import Experiment, flag_name, value_text

SAMPLE_PX = 900  # longest side of a sample in the page
LOSS_NOTE = (
    "Losses are as they are minimised, with their weights, and means of the last tenth of the log. They compare "
    "between experiments with the same encoder, layers, kinds of loss and scale. Seconds a step leave out the first "
    "step of each attempt."
)
WEIGHT_NOTE = "The loss weights differ between runs: compare the rows and curves without weight."


@dataclass(frozen=True)
class ComparedRun:
    """An experiment with its curves and its last sample."""

    experiment: Experiment
    record: Record
    curves: Curves | None
    sample: Path | None

    @property
    def final(self) -> Mapping[str, float]:
        """The losses at the end."""
        return self.curves.final() if self.curves is not None else {}

    def weight(self, part: str) -> float | None:
        """The weight of a part of the loss, if it is an option."""
        name = f"{part}_weight"
        return float(self.experiment.value(name)) if hasattr(self.experiment.options, name) else None


def write_comparison(runs: Sequence[tuple[Experiment, Record]], folder: Path, *, title: str) -> Path:
    """Write `report.html`, which needs no other file, and `results.json` into `folder`; the path of the page."""
    entries = [_entry(experiment, record, folder=folder / experiment.folder) for experiment, record in runs]
    rows = [
        {
            "name": entry.experiment.name,
            "folder": entry.experiment.folder,
            "settings": {name: _plain(value) for name, value in entry.experiment.settings.items()},
            **dataclasses.asdict(entry.record),
            "losses": {name: value if math.isfinite(value) else None for name, value in entry.final.items()},
            "seconds_per_step": entry.record.seconds_per_step,
        }
        for entry in entries
    ]
    return write_page(_comparison(entries, folder, title=title), folder, data={"runs": rows})


def _comparison(entries: Sequence[ComparedRun], folder: Path, *, title: str) -> ReportPage:
    varied = _varied([entry.experiment for entry in entries])
    first, records = entries[0].experiment, [entry.record for entry in entries]
    counts = ", ".join(f"{count} {state}" for state, count in state_counts(records).items())
    every = first.options.to_dict() | first.fitting.to_dict()
    return ReportPage(
        title=title,
        summary=f"Experiments: {counts}. Wall time: {clock(sum(record.seconds for record in records))}.",
        heads=[entry.experiment.head for entry in entries],
        failures=[
            f"{entry.experiment.name} failed after step {entry.record.step}: {entry.record.error}"
            for entry in entries
            if entry.record.state == FAILED
        ],
        options=[Row(flag_name(name), [_short(e.experiment.value(name)) for e in entries]) for name in varied],
        results=[_sample(entry, folder) for entry in entries],
        numbers=_loss_rows(entries),
        costs=cost_rows(records),
        notes=[LOSS_NOTE, *([WEIGHT_NOTE] if _reweighted(entries) else [])],
        charts=_charts(entries),
        fixed={flag_name(name): value for name, value in every.items() if name not in varied},
        fixed_title="Options of all runs",
        footer="Each result is the last sample of its run and links to the whole picture; all paint the same.",
        width="clamp(9rem,22vw,20rem)",
    )


def _entry(experiment: Experiment, record: Record, *, folder: Path) -> ComparedRun:
    try:
        curves = read_curves(folder, name=experiment.name) if record.state != NEW else None
    except DataError:  # nothing is logged yet
        curves = None
    samples = sorted((folder / "samples").glob("step-*.png"), key=lambda path: (len(path.name), path.name))
    return ComparedRun(experiment, record, curves, samples[-1] if samples and record.state != NEW else None)


def _varied(experiments: Sequence[Experiment]) -> list[str]:
    """Options that differ between experiments, in the order of the file; of a single one, its own options."""
    names = dict.fromkeys(name for experiment in experiments for name in experiment.settings)
    if len(experiments) == 1:
        return list(names)
    first = experiments[0]
    return [name for name in names if any(e.value(name) != first.value(name) for e in experiments)]


def _sample(entry: ComparedRun, folder: Path) -> Thumbnail:
    if entry.sample is None:
        return Thumbnail("")
    return thumbnail(entry.sample, folder, long_side_px=SAMPLE_PX, text=f"samples of {entry.experiment.name}")


def _loss_rows(entries: Sequence[ComparedRun]) -> list[Row]:
    """Final losses, and without their weights those whose weights differ."""
    finals = [entry.final for entry in entries]
    parts = dict.fromkeys(name for final in finals for name in final)
    rows = [Row(f"{part} loss", [number(final.get(part)) for final in finals]) for part in parts]
    for part in _reweighted(entries):
        pairs = [(final.get(part), entry.weight(part)) for final, entry in zip(finals, entries, strict=True)]
        texts = [number(value / weight) if value is not None and weight else "" for value, weight in pairs]
        rows.append(Row(f"{part} loss without weight", texts))
    return rows


def _reweighted(entries: Sequence[ComparedRun]) -> list[str]:
    """Parts of the loss whose weights differ between experiments."""
    parts = dict.fromkeys(part for entry in entries if entry.curves is not None for part in entry.curves.parts)
    return [part for part in parts if len({entry.weight(part) for entry in entries}) > 1]


def _charts(entries: Sequence[ComparedRun]) -> Mapping[str, Sequence[Chart]]:
    """The losses of all runs in one chart, then a chart for each run."""
    drawable = [
        (entry, entry.curves)
        for entry in entries
        if entry.curves is not None and any(math.isfinite(v) for values in entry.curves.parts.values() for v in values)
    ]
    charts: dict[str, Sequence[Chart]] = {}
    if len(drawable) > 1:
        reweighted = bool(_reweighted(entries))
        runs = [_without_weights(entry, run) if reweighted else run for entry, run in drawable]
        heading = "Losses of all runs, without weights, since those differ" if reweighted else "Losses of all runs"
        charts[heading] = [chart(lambda: loss_chart(runs))]
    if drawable:
        charts["Losses of each run"] = [chart(partial(loss_chart, [run]), run.name) for _, run in drawable]
    return charts


def _without_weights(entry: ComparedRun, run: Curves) -> Curves:
    """The run with each part divided by its weight, if it has one."""
    weights = {part: entry.weight(part) for part in run.parts}
    return run.divided({part: 1.0 if weight is None else weight for part, weight in weights.items()})


def _short(value: Any) -> str:
    """A value for a cell of the table; of a path only the file name."""
    if isinstance(value, tuple):
        return ", ".join(map(_short, value))
    return value.name if isinstance(value, Path) else "" if value is None else value_text(value)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
