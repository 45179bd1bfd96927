"""What came of experiments: one page that compares them, and the same as data."""

from __future__ import annotations

import html
import importlib.resources
import json
import math
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import impasto
from impasto.analysis.curves import Curves, loss_picture, read_curves
from impasto.core.errors import DataError, ImageError
from impasto.core.paths import written_whole
from impasto.image import files
from impasto.image.inline import address
from impasto.image.resize import fit, resized
from impasto.jobs.grid import Experiment, flag_name, written
from impasto.jobs.records import FAILED, FINISHED, NEW, STOPPED, Record

PAGE, DATA = "report.html", "results.json"
SAMPLE_PX, SAMPLE_QUALITY = 900, 88  # longest side of a picture in the page, and its JPEG quality
NOTES = (
    "Losses are as they are minimised, with their weights, and means of the last tenth of the log. They compare "
    "between experiments of the same encoder, layers, kinds of loss and scale. Times are wall times: those of a step "
    "without what comes before the first, those of a run with all."
)
NOTES_WEIGHTS = " Weights differ here: the rows and curves without weight are the ones to compare."


@dataclass(frozen=True)
class Entry:
    """An experiment with all that the page shows of it. `sample` is its last picture."""

    experiment: Experiment
    record: Record
    curves: Curves | None
    sample: Path | None

    @property
    def final(self) -> Mapping[str, float]:
        """The losses at the end."""
        return self.curves.final() if self.curves is not None else {}

    def weight(self, part: str) -> float | None:
        """The weight of a part of the loss, where it is an option."""
        name = f"{part}_weight"
        return float(self.experiment.value(name)) if hasattr(self.experiment.options, name) else None


def write(runs: Sequence[tuple[Experiment, Record]], folder: Path, *, title: str) -> Path:
    """Write `report.html`, which needs no other file, and `results.json` into `folder`; the path of the first."""
    entries = [_entry(experiment, record, folder / experiment.folder) for experiment, record in runs]
    rows = [
        {
            "name": entry.experiment.name,
            "folder": entry.experiment.folder,
            "settings": {name: _plain(value) for name, value in entry.experiment.settings.items()},
            "losses": {name: value if math.isfinite(value) else None for name, value in entry.final.items()},
            "seconds_per_step": entry.record.per_step,
            **vars(entry.record),
        }
        for entry in entries
    ]
    data = json.dumps({"impasto": impasto.__version__, "title": title, "runs": rows}, ensure_ascii=False, indent=1)
    _write_text(folder / DATA, data + "\n")
    _write_text(folder / PAGE, page(entries, title=title))
    return folder / PAGE


def page(entries: Sequence[Entry], *, title: str) -> str:
    """The page as HTML: options as rows, experiments as columns; then results, losses and times, then the curves."""
    varied = _varied([entry.experiment for entry in entries])
    return _template().substitute(
        title=html.escape(title),
        summary=html.escape(_summary([entry.record for entry in entries])),
        failures="".join(_failure(entry) for entry in entries if entry.record.state == FAILED),
        head="".join(f"<th>{html.escape(entry.experiment.head)}</th>" for entry in entries),
        options="".join(
            _row(flag_name(name), [html.escape(_short(e.experiment.value(name))) for e in entries], kind="option")
            for name in varied
        ),
        pictures="".join(f"<td>{_sample(entry)}</td>" for entry in entries),
        numbers="".join(_number_rows(entries)),
        notes=html.escape(NOTES + (NOTES_WEIGHTS if _reweighted(entries) else "")),
        curves=_curves(entries),
        fixed=html.escape(json.dumps(_shared(entries, varied), ensure_ascii=False, indent=2)),
        version=html.escape(impasto.__version__),
    )


def counts(records: Sequence[Record]) -> dict[str, int]:
    """How many experiments stand where; those that none does are left out."""
    states = [record.state for record in records]
    return {state: states.count(state) for state in (FINISHED, STOPPED, FAILED, NEW) if state in states}


def _entry(experiment: Experiment, record: Record, folder: Path) -> Entry:
    try:
        curves = read_curves(folder, name=experiment.name) if record.state != NEW else None
    except DataError:  # nothing is logged yet
        curves = None
    samples = sorted((folder / "samples").glob("step-*.png"), key=lambda path: (len(path.name), path.name))
    return Entry(experiment, record, curves, samples[-1] if samples and record.state != NEW else None)


def _summary(records: Sequence[Record]) -> str:
    told = ", ".join(f"{count} {state}" for state, count in counts(records).items())
    return f"Experiments: {told}. {_as_time(sum(record.seconds for record in records))} of wall time in all."


def _failure(entry: Entry) -> str:
    name, record = html.escape(entry.experiment.name), entry.record
    return f'<p class="failed">{name} failed after step {record.step}: {html.escape(record.error)}</p>\n'


def _varied(experiments: Sequence[Experiment]) -> list[str]:
    """Options that are not the same in all, in the order of the file; of one experiment, those of its own."""
    names = dict.fromkeys(name for experiment in experiments for name in experiment.settings)
    if len(experiments) == 1:
        return list(names)
    first = experiments[0]
    return [name for name in names if any(e.value(name) != first.value(name) for e in experiments)]


def _shared(entries: Sequence[Entry], varied: Sequence[str]) -> dict[str, Any]:
    first = entries[0].experiment
    both = first.options.to_dict() | first.fitting.to_dict()
    return {flag_name(name): value for name, value in both.items() if name not in varied}


def _number_rows(entries: Sequence[Entry]) -> Iterator[str]:
    """Rows of the state, the losses at the end, and what it took."""
    yield _row("state", [entry.record.state for entry in entries], kind="cost")
    finals = [entry.final for entry in entries]
    for part in dict.fromkeys(name for final in finals for name in final):
        yield _row(f"{part} loss", [_number(final.get(part)) for final in finals], kind="loss")
    for part in _reweighted(entries):
        pairs = [(final.get(part), entry.weight(part)) for final, entry in zip(finals, entries, strict=True)]
        texts = [_number(value / weight) if value is not None and weight else "" for value, weight in pairs]
        yield _row(f"{part} loss without weight", texts, kind="loss")
    told: list[tuple[str, Callable[[Record], str]]] = [
        ("steps", lambda r: f"{r.step}" if r.step == r.steps else f"{r.step} of {r.steps}"),
        ("a step", lambda r: "" if r.per_step is None else f"{r.per_step:.3g} s"),
        ("wall time", lambda r: _as_time(r.seconds)),
    ]
    rare: list[tuple[str, Callable[[Record], int]]] = [
        ("skipped steps", lambda r: r.skipped),
        ("unreadable pictures", lambda r: r.unreadable),
    ]
    for name, number in rare:
        if any(number(entry.record) for entry in entries):
            yield _row(name, [str(number(entry.record)) for entry in entries], kind="cost")
    for name, text in told:
        yield _row(name, ["" if e.record.state == NEW else text(e.record) for e in entries], kind="cost")


def _reweighted(entries: Sequence[Entry]) -> list[str]:
    """Parts of the loss whose weights differ between experiments."""
    parts = dict.fromkeys(part for entry in entries if entry.curves is not None for part in entry.curves.parts)
    return [part for part in parts if len({entry.weight(part) for entry in entries}) > 1]


def _curves(entries: Sequence[Entry]) -> str:
    """The losses of all in one picture, and those of each."""
    known = [(entry, entry.curves) for entry in entries if entry.curves is not None and _drawable(entry.curves)]
    found = []
    if len(known) > 1:
        weighed = _reweighted(entries)
        same = [run if not weighed else _without_weights(entry, run) for entry, run in known]
        about = "without weights, since those differ" if weighed else ""
        found.append(f'<h2>Losses of all{about and f", {about}"}</h2>\n<div class="all">{_figure(same, "")}</div>')
    if known:
        each = "\n".join(_figure([run], entry.experiment.name) for entry, run in known)
        found.append(f'<h2>Losses of each</h2>\n<div class="curves">{each}</div>')
    return "\n".join(found)


def _drawable(run: Curves) -> bool:
    return any(math.isfinite(value) for values in run.parts.values() for value in values)


def _without_weights(entry: Entry, run: Curves) -> Curves:
    """Parts that have a weight without it, and the others as they are."""
    weights = {part: entry.weight(part) for part in run.parts}
    return run.divided({part: 1.0 if weight is None else weight for part, weight in weights.items()})


def _figure(runs: Sequence[Curves], caption: str) -> str:
    """A picture of curves for light pages, and one for dark ones."""
    light, dark = (address(loss_picture(runs, dark=dark), "PNG") for dark in (False, True))
    words = html.escape(caption or "losses of all experiments", quote=True)
    below = f"<figcaption>{html.escape(caption)}</figcaption>" if caption else ""
    image = f'<img src="{light}" alt="{words}">'
    source = f'<source media="(prefers-color-scheme: dark)" srcset="{dark}">'
    return f"<figure><picture>{source}{image}</picture>{below}</figure>"


def _sample(entry: Entry) -> str:
    if entry.sample is None:
        return ""
    try:
        pixels = files.read(entry.sample).pixels
    except ImageError:
        return '<span class="failed">cannot be read</span>'
    small = resized(pixels, fit((pixels.shape[-2], pixels.shape[-1]), long_side_px=SAMPLE_PX, enlarge=False))
    link = urllib.parse.quote(f"{entry.experiment.folder}/{entry.sample.parent.name}/{entry.sample.name}")
    words = html.escape(f"pictures of {entry.experiment.name}", quote=True)
    return f'<a href="{link}"><img src="{address(small, "JPEG", quality=SAMPLE_QUALITY)}" alt="{words}"></a>'


def _row(name: str, texts: Sequence[str], *, kind: str) -> str:
    return f'<tr class="{kind}"><th>{html.escape(name)}</th>{"".join(f"<td>{text}</td>" for text in texts)}</tr>\n'


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.3g}".replace("e+", "e") if math.isfinite(value) else "not finite"


def _short(value: Any) -> str:
    """A value for a cell of the table; of a path its last part."""
    if isinstance(value, tuple):
        return ", ".join(map(_short, value))
    return value.name if isinstance(value, Path) else "" if value is None else written(value)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _as_time(seconds: float) -> str:
    """`0:07`, `34:40`, `2:34:10`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _template() -> Template:
    return Template(importlib.resources.files("impasto.jobs").joinpath("page.html").read_text(encoding="utf-8"))


def _write_text(path: Path, text: str) -> None:
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="replace")
