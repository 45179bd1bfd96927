"""The results of a sweep of paintings: a contact sheet, a page, and the same as data."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from impasto.analysis.axes import Axis
from impasto.analysis.charts import scatter_chart
from impasto.analysis.report import DATA, PAGE, Chart, ReportPage, Row, Thumbnail, chart, cost_rows, number, thumbnail
from impasto.analysis.report import write_report as write_page
from impasto.analysis.runs import FAILED, FINISHED, state_counts
from impasto.analysis.sheet import contact_sheet, rows_of
from impasto.analysis.sweep import PaintRun
from impasto.analysis.sweep_metrics import metric_of
from impasto.config.analysis import SweepOptions
from impasto.config.job import Job
from impasto.image import files
from impasto.metrics.table import METRICS

SHEET = "sheet.png"


def write_sweep_report(
    runs: Sequence[PaintRun], axes: Sequence[Axis], *, job: Job, folder: Path, options: SweepOptions
) -> list[Path]:
    """Write `sheet.png`, `report.html` and `results.json` into `folder`; their paths.

    `runs` are all combinations of the axes, in their order, also those that failed or were not started.
    """
    report = sweep_report(runs, axes, job=job, folder=folder, cell_px=options.cell_px)
    data: dict[str, Any] = {
        "base": job.to_dict(),
        "axes": [{"option": axis.path, "values": list(axis.texts)} for axis in axes],
        "runs": [
            {"settings": dict(run.texts), "picture": run.picture.name, **dataclasses.asdict(run.record)}
            | {"recipe": dict(run.recipe)}
            for run in runs
        ],
    }
    write_page(report, folder, data=data)
    sheet = sweep_sheet(runs, axes, cell_px=options.cell_px, columns=options.columns, caption=report.title)
    files.write(folder / SHEET, sheet)
    return [folder / SHEET, folder / PAGE, folder / DATA]


def sweep_report(runs: Sequence[PaintRun], axes: Sequence[Axis], *, job: Job, folder: Path, cell_px: int) -> ReportPage:
    """The page's contents: options, pictures and measures, the best of each marked, and content against style."""
    records = [run.record for run in runs]
    styles = " and ".join(Path(style.source).name for style in job.styles)
    varied = " and ".join(axis.name for axis in axes)
    numbered = list(enumerate(runs, start=1))
    return ReportPage(
        title=f"{Path(job.content).name} in the style of {styles}: {varied}",
        summary=", ".join(f"{count} {state}" for state, count in state_counts(records).items()),
        heads=[str(i) for i, _ in numbered],
        failures=[f"Run {i} failed: {run.record.error}" for i, run in numbered if run.record.state == FAILED],
        options=[Row(axis.path, [_file_name(run.texts[axis.path]) for run in runs]) for axis in axes],
        results=[_thumbnail(run, folder, cell_px=cell_px) for run in runs],
        numbers=_measure_rows(runs),
        costs=cost_rows(records),
        notes=[f"{note[0].upper()}{note[1:]}." for note in dict.fromkeys(r.note for r in records) if note],
        charts=_charts(runs),
        definitions={
            name: f"{it.about}{it.unit and f' ({it.unit})'}; {it.better} is better" for name, it in METRICS.items()
        },
        fixed=job.to_dict(),
        fixed_title="All other options",
        footer="The best run of each measure is marked. Every picture in the folder cells carries its recipe.",
        width=f"{cell_px}px",
    )


def _thumbnail(run: PaintRun, folder: Path, *, cell_px: int) -> Thumbnail:
    if run.record.state != FINISHED:
        return Thumbnail(run.record.state)
    return thumbnail(run.picture, folder, long_side_px=2 * cell_px, text=run.name)


def _measure_rows(runs: Sequence[PaintRun]) -> list[Row]:
    rows = []
    for name in dict.fromkeys(name for run in runs for name in run.record.measures):
        values = [run.record.measures.get(name) for run in runs]
        known = [value for value in values if value is not None]
        best = (min if METRICS[metric_of(name)].better == "low" else max)(known)
        marked = [i for i, value in enumerate(values) if value == best] if len(set(known)) > 1 else []
        rows.append(Row(name, [number(value) for value in values], marked[:1] if len(marked) == 1 else []))
    return rows


def _charts(runs: Sequence[PaintRun]) -> Mapping[str, Sequence[Chart]]:
    """Content against style of the measured runs, where there are two or more."""
    style = next((name for run in runs for name in run.record.measures if metric_of(name) == "style-gram"), "")
    points = {
        str(i): (run.record.measures["content"], run.record.measures[style])
        for i, run in enumerate(runs, start=1)
        if "content" in run.record.measures and style in run.record.measures
    }
    if len(points) < 2:
        return {}
    caption = "Nearer to the content is left, nearer to the style is down."
    return {"Content against style": [chart(lambda: scatter_chart(points, x_label="content", y_label=style), caption)]}


def sweep_sheet(
    runs: Sequence[PaintRun], axes: Sequence[Axis], *, cell_px: int = 256, columns: int = 6, caption: str = ""
) -> Tensor:
    """A contact sheet `(1, 3, H, W)` with the axes as labels.

    One axis runs from left to right in rows of at most `columns`; of several, the last runs to the right. A run without
    a picture is a grey blank with its state.
    """
    finished = [run.record.state == FINISHED for run in runs]
    pictures = [files.read(run.picture).pixels if done else None for run, done in zip(runs, finished, strict=True)]
    states = ["" if done else run.record.state for run, done in zip(runs, finished, strict=True)]
    if len(axes) == 1:
        width = math.ceil(len(runs) / math.ceil(len(runs) / columns))  # rows of similar length
        labels = [f"{labelled(axes[0], i)}\n{state}".rstrip() for i, state in enumerate(states)]
        rows = rows_of(pictures, width)
        return contact_sheet(rows, cell_labels=rows_of(labels, width), cell_px=cell_px, caption=caption)
    *outer, last = axes
    width = len(last.texts)
    places = itertools.product(*(range(len(axis.texts)) for axis in outer))
    return contact_sheet(
        rows_of(pictures, width),
        row_labels=["\n".join(labelled(a, i) for a, i in zip(outer, place, strict=True)) for place in places],
        column_labels=[labelled(last, i) for i in range(width)],
        cell_labels=rows_of(states, width) if any(states) else (),
        cell_px=cell_px,
        caption=caption,
    )


def labelled(axis: Axis, index: int) -> str:
    """A value after its option's name; of a path only the file name."""
    return f"{axis.name} {_file_name(axis.texts[index])}"


def _file_name(text: str) -> str:
    return text.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]


def summary(runs: Sequence[PaintRun]) -> dict[str, int]:
    """How many pictures were painted and kept, and how many runs failed."""
    failed = sum(run.record.state == FAILED for run in runs)
    kept = sum(run.kept for run in runs)
    return {"painted": len(runs) - failed - kept, "kept": kept, "failed": failed}
