"""The page of a sweep: options, results, numbers and charts of all runs, in one file without links to others."""

from __future__ import annotations

import json
import math
import urllib.parse
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import impasto
from impasto.analysis.charts import DARK_LINES, LIGHT_LINES, svg_of
from impasto.analysis.runs import NEW, Record, write_text
from impasto.core.errors import ImageError, MissingExtra
from impasto.image import files
from impasto.image.inline import address
from impasto.image.resize import fit, resized

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGE, DATA = "report.html", "results.json"
JPEG_QUALITY = 88


@dataclass(frozen=True)
class Row:
    """A row of the table with a cell for each run; those at the indices `best` are marked."""

    name: str
    cells: Sequence[str]
    best: Collection[int] = ()


@dataclass(frozen=True)
class Thumbnail:
    """A small picture (`data`, an address that holds it) that links to the large one; or only a `text`."""

    text: str
    link: str = ""
    data: str = ""


@dataclass(frozen=True)
class Chart:
    """An SVG element, or a caption alone."""

    caption: str
    svg: str = ""


@dataclass(frozen=True, kw_only=True)
class ReportPage:
    """Everything that the page shows; runs are columns. `charts` are grouped by their headings."""

    title: str
    summary: str
    heads: Sequence[str]
    failures: Sequence[str]
    options: Sequence[Row]
    results: Sequence[Thumbnail]
    numbers: Sequence[Row]
    costs: Sequence[Row]
    fixed: Mapping[str, Any]
    fixed_title: str
    footer: str
    width: str
    notes: Sequence[str] = ()
    charts: Mapping[str, Sequence[Chart]] = field(default_factory=dict)
    definitions: Mapping[str, str] = field(default_factory=dict)


def write_report(report: ReportPage, folder: Path, *, data: Mapping[str, Any]) -> Path:
    """Write `report.html` and, from `data`, `results.json` into `folder`; the path of the page."""
    whole = {"impasto": impasto.__version__, "title": report.title, **data}
    write_text(folder / DATA, json.dumps(whole, ensure_ascii=False, indent=1) + "\n")
    write_text(folder / PAGE, html_of(report))
    return folder / PAGE


def html_of(report: ReportPage) -> str:
    """The page of a sweep."""
    fixed = json.dumps(report.fixed, ensure_ascii=False, indent=2)
    return rendered("impasto.analysis", **{**vars(report), "fixed": fixed, "light": LIGHT_LINES, "dark": DARK_LINES})


def rendered(package: str, **values: Any) -> str:
    """The template `page.html` of a package with these values; every text is escaped."""
    import jinja2

    loader = jinja2.PackageLoader(package, "")
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    return environment.get_template("page.html").render(values, version=impasto.__version__)


def thumbnail(path: Path, folder: Path, *, long_side_px: int, text: str) -> Thumbnail:
    """A picture file in `folder`, at most `long_side_px` large; a text where it cannot be read."""
    try:
        pixels = files.read(path).pixels
    except ImageError:
        return Thumbnail("cannot be read")
    small = resized(pixels, fit((pixels.shape[-2], pixels.shape[-1]), long_side_px=long_side_px, enlarge=False))
    link = urllib.parse.quote(path.relative_to(folder).as_posix())
    return Thumbnail(text, link, address(small, "JPEG", quality=JPEG_QUALITY))


def chart(draw: Callable[[], Figure], caption: str = "") -> Chart:
    """A chart; without matplotlib, a caption that says how to install it."""
    try:
        return Chart(caption, svg_of(draw()))
    except MissingExtra as error:
        return Chart(str(error))


def cost_rows(records: Sequence[Record]) -> list[Row]:
    """State, steps and times of the runs; counts of skipped steps and unreadable pictures where there are any."""

    def row(name: str, text: Callable[[Record], str]) -> Row:
        return Row(name, ["" if record.state == NEW else text(record) for record in records])

    rows = [Row("state", [record.state for record in records])]
    if any(record.skipped for record in records):
        rows.append(row("skipped steps", lambda r: str(r.skipped)))
    if any(record.unreadable for record in records):
        rows.append(row("unreadable pictures", lambda r: str(r.unreadable)))
    rows.append(row("steps", lambda r: f"{r.step}" if r.step == r.steps else f"{r.step} of {r.steps}"))
    if any(record.seconds_per_step for record in records):
        rows.append(row("seconds a step", lambda r: f"{r.seconds_per_step:.3g}" if r.seconds_per_step else ""))
    return [*rows, row("wall time", lambda r: clock(r.seconds))]


def number(value: float | None) -> str:
    """A value in the table: three digits; empty for None."""
    if value is None:
        return ""
    return f"{value:.3g}".replace("e+", "e") if math.isfinite(value) else "not finite"


def clock(seconds: float) -> str:
    """`0.4 s`, `0:34`, `34:40`, `2:34:10`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
