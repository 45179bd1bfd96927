"""What came of a sweep: results.json, the sheet, and one page that says all."""

from __future__ import annotations

import html
import importlib.resources
import json
import urllib.parse
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

import impasto
from impasto.analysis.axes import Axis
from impasto.analysis.sweep import CELLS, Result, as_json
from impasto.analysis.sweep_metrics import metric_of
from impasto.analysis.sweep_sheet import labelled, sweep_sheet
from impasto.config.job import Job
from impasto.core.paths import written_whole
from impasto.image import files
from impasto.image.inline import address
from impasto.image.resize import fit, resized
from impasto.metrics.table import METRICS

SHEET, PAGE, DATA = "sheet.png", "report.html", "results.json"
THUMBNAIL_QUALITY = 85


def write_report(
    results: Sequence[Result],
    axes: Sequence[Axis],
    job: Job,
    *,
    folder: Path,
    cell_px: int = 256,
    columns: int = 6,
) -> list[Path]:
    """Write `sheet.png`, `report.html` and `results.json` into `folder`; their paths.

    `results` are those of all cells, in their order. The page holds small pictures and needs no other file; each is a
    link to the large one in the folder `cells`.
    """
    title = caption_of(job, axes)
    data = {
        "impasto": impasto.__version__,
        "base": job.to_dict(),
        "axes": [{"option": axis.path, "values": list(axis.texts)} for axis in axes],
        "cells": [as_json(result) for result in results],
    }
    _write_text(folder / DATA, json.dumps(data, ensure_ascii=False, indent=1) + "\n")
    _write_text(folder / PAGE, page(results, axes, job, title=title, cell_px=cell_px))
    sheet = sweep_sheet(results, axes, cell_px=cell_px, columns=columns, caption=title)
    files.write(folder / SHEET, sheet)
    return [folder / SHEET, folder / PAGE, folder / DATA]


def caption_of(job: Job, axes: Sequence[Axis]) -> str:
    """The content, the styles and what varies, in one line."""
    styles = " and ".join(Path(style.source).name for style in job.styles)
    return f"{Path(job.content).name} in the style of {styles}: {' and '.join(axis.name for axis in axes)}"


def page(results: Sequence[Result], axes: Sequence[Axis], job: Job, *, title: str, cell_px: int) -> str:
    """The report as HTML: options as rows, runs as columns, as in a paper's table; below it all fixed options."""
    head = "".join(f"<th>{result.cell.number}</th>" for result in results)
    return _template("page.html").substitute(
        title=html.escape(title),
        width=cell_px,
        head=head,
        pictures="".join(f"<td>{_figure(result, cell_px)}</td>" for result in results),
        options="".join(_option_row(axis, results) for axis in axes),
        numbers="".join(_number_rows(results)),
        chart=_chart(results, axes),
        notes="".join(f"<dt>{html.escape(name)}</dt><dd>{html.escape(_about(name))}</dd>" for name in METRICS),
        failures="".join(_failure(result) for result in results if result.error),
        fixed=html.escape(json.dumps(job.to_dict(), ensure_ascii=False, indent=2)),
        version=html.escape(impasto.__version__),
    )


def _figure(result: Result, cell_px: int) -> str:
    if result.error:
        return '<span class="failed">failed</span>'
    pixels = files.read(result.cell.picture).pixels
    small = resized(pixels, fit((pixels.shape[-2], pixels.shape[-1]), long_side_px=2 * cell_px, enlarge=False))
    link = urllib.parse.quote(f"{CELLS}/{result.cell.picture.name}")
    words = html.escape(", ".join(f"{path} {text}" for path, text in result.cell.texts.items()), quote=True)
    return f'<a href="{link}"><img src="{address(small, "JPEG", quality=THUMBNAIL_QUALITY)}" alt="{words}"></a>'


def _option_row(axis: Axis, results: Sequence[Result]) -> str:
    place = {text: i for i, text in enumerate(axis.texts)}
    cells = (labelled(axis, place[r.cell.texts[axis.path]]).removeprefix(axis.name).strip() for r in results)
    return _row(axis.path, [html.escape(text) for text in cells], kind="option")


def _number_rows(results: Sequence[Result]) -> Iterable[str]:
    """A row for each measure, the best run marked; then the steps and seconds."""
    for name in dict.fromkeys(name for result in results for name in result.measures):
        values = [result.measures.get(name) for result in results]
        known = [value for value in values if value is not None]
        best = (min if METRICS[metric_of(name)].better == "low" else max)(known)
        unique = len(known) > 1 and len(set(known)) > 1
        texts = [_number(value, best=unique and value == best) for value in values]
        yield _row(name, texts, kind="measure")
    done: list[tuple[str, Callable[[Result], str]]] = [
        ("steps", lambda r: str(r.steps)),
        ("seconds", lambda r: f"{r.seconds:.1f}"),
    ]
    for name, text in done:
        yield _row(name, ["" if result.error else text(result) for result in results], kind="cost")


def _row(name: str, texts: Sequence[str], *, kind: str) -> str:
    return f'<tr class="{kind}"><th>{html.escape(name)}</th>{"".join(f"<td>{text}</td>" for text in texts)}</tr>\n'


def _number(value: float | None, *, best: bool) -> str:
    if value is None:
        return ""
    text = f"{value:.3g}"
    return f"<b>{text}</b>" if best else text


def _about(name: str) -> str:
    metric = METRICS[name]
    unit = f" ({metric.unit})" if metric.unit else ""
    return f"{metric.about}{unit}; {metric.better} is better"


def _failure(result: Result) -> str:
    return f'<p class="failed">Run {result.cell.number} failed: {html.escape(result.error)}</p>'


def _chart(results: Sequence[Result], axes: Sequence[Axis]) -> str:
    """Content against style of every run as an SVG: down and to the left is better. Empty below two runs."""
    style = next((name for result in results for name in result.measures if metric_of(name) == "style-gram"), "")
    points = {
        r.cell.number: (r.measures["content"], r.measures[style])
        for r in results
        if "content" in r.measures and style in r.measures
    }
    if len(points) < 2:
        return ""
    wide, high, edge = 420.0, 300.0, 46.0
    (x_of, x_ends), (y_of, y_ends) = (
        _scale([point[i] for point in points.values()], start, stop)
        for i, (start, stop) in enumerate([(edge, wide - 16), (high - edge, 16)])
    )
    dots = "".join(
        f'<circle cx="{x_of(x):.1f}" cy="{y_of(y):.1f}" r="4"/>'
        f'<text x="{x_of(x) + 7:.1f}" y="{y_of(y) - 5:.1f}">{number}</text>'
        for number, (x, y) in points.items()
    )
    return _template("chart.html").substitute(
        wide=f"{wide:g}",
        high=f"{high:g}",
        left=f"{edge:g}",
        low=f"{high - edge:g}",
        right=f"{wide - 16:g}",
        middle_x=f"{(wide + edge) / 2:g}",
        middle_y=f"{(high - edge) / 2:g}",
        tick_y=f"{high - edge + 16:g}",
        name_y=f"{high - 8:g}",
        x0=x_ends[0],
        x1=x_ends[1],
        y0=y_ends[0],
        y1=y_ends[1],
        dots=dots,
        style=html.escape(style),
    )


def _scale(values: Sequence[float], start: float, stop: float) -> tuple[Callable[[float], float], tuple[str, str]]:
    """Numbers to places between `start` and `stop`, and the numbers at both ends."""
    low, high = min(values), max(values)
    pad = 0.08 * (high - low) or 0.1 * abs(high) or 1.0
    low, high = low - pad, high + pad
    return (lambda value: start + (stop - start) * (value - low) / (high - low)), (f"{low:.2g}", f"{high:.2g}")


def _template(name: str) -> Template:
    return Template(importlib.resources.files("impasto.analysis").joinpath(name).read_text(encoding="utf-8"))


def _write_text(path: Path, text: str) -> None:
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="replace")


def summary(results: Sequence[Result]) -> Mapping[str, Any]:
    """How many cells were painted, kept and failed."""
    failed = sum(bool(result.error) for result in results)
    kept = sum(result.kept for result in results)
    return {"painted": len(results) - failed - kept, "kept": kept, "failed": failed}
