"""The losses of training runs over their steps, read from `log.jsonl` and drawn."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from impasto.analysis.charts import Line, Numbers, Panel, line_chart, pixels_of, running_means
from impasto.config.analysis import CurveOptions
from impasto.core.errors import DataError, ImpastoError, MissingExtra
from impasto.image import files

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LOG, PICTURE = "log.jsonl", "losses.png"
TOTAL = "total"
NO_LOSSES = ("step", "learning_rate", "skipped")
LAST = 0.1  # final losses are means over this last part of a log


@dataclass(frozen=True)
class Curves:
    """The losses of one run: `steps` `(n,)` and the values of each part `(n,)`, NaN where a step has none.

    `total` `(n,)` is the sum of the parts logged at a step, NaN where one is not finite. None if parts do not add.
    """

    name: str
    steps: Numbers
    parts: Mapping[str, Numbers]
    total: Numbers | None = None

    @property
    def lines(self) -> dict[str, Numbers]:
        """The parts, after the total if there are two or more parts."""
        whole = {} if self.total is None or len(self.parts) < 2 else {TOTAL: self.total}
        return whole | dict(self.parts)

    def final(self) -> dict[str, float]:
        """Final total and parts: means over the last tenth of the log, so that one batch does not decide."""
        last = max(1, round(LAST * len(self.steps)))
        return {name: _finite_mean(values[-last:]) for name, values in self.lines.items()}

    def divided(self, by: Mapping[str, float]) -> Curves:
        """Only the parts in `by`, each divided by its weight; parts of weight 0 are dropped."""
        parts = {name: self.parts[name] / weight for name, weight in by.items() if name in self.parts and weight > 0}
        return dataclasses.replace(self, parts=parts, total=None)


def _finite_mean(values: Numbers) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else math.nan


def read_curves(source: Path, *, name: str | None = None) -> Curves:
    """The losses that a training run has logged, from its folder or its `log.jsonl`.

    A truncated last line, as a killed run leaves it, is ignored. Raises `DataError` for a log that is missing, empty or
    malformed.
    """
    path = source / LOG if source.is_dir() else source
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); name the folder of a training run.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not a training log. Name the run's folder, or its {LOG}.") from error
    rows = list(_rows(text, path))
    logged = [{key: _number(value) for key, value in row.items() if key not in NO_LOSSES} for row in rows]
    names = dict.fromkeys(key for losses in logged for key in losses)
    if not names:
        raise DataError(f"{path} has no losses yet. Train for `log_every` steps or more.")
    parts = {key: np.asarray([losses.get(key, math.nan) for losses in logged]) for key in names}
    total = np.asarray([sum(losses.values()) for losses in logged])
    steps = np.asarray([float(row["step"]) for row in rows])
    return Curves(name or path.absolute().parent.name, steps, parts, total)


def _rows(text: str, path: Path) -> Iterator[dict[str, Any]]:
    lines = text.splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            row = dict(json.loads(line))
            if not math.isfinite(row["step"]):
                raise ValueError
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            if number == len(lines) and not text.endswith("\n"):
                return
            raise DataError(f"{path}, line {number}, is not a training log. Name the folder of a run.") from error
        yield row


def _number(value: Any) -> float:
    """The value as a float; NaN for null and for anything that is not a finite number."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else math.nan


def read_all(sources: Sequence[Path]) -> list[Curves]:
    """The losses of several runs, named by their folders, or by their whole paths where folder names repeat."""
    runs = [read_curves(source) for source in sources]
    names = [run.name for run in runs]
    return [
        dataclasses.replace(run, name=str(source)) if names.count(run.name) > 1 else run
        for run, source in zip(runs, sources, strict=True)
    ]


def loss_chart(runs: Sequence[Curves], *, options: CurveOptions | None = None) -> Figure:
    """Losses over steps: the parts of one run in one panel, or several runs with a panel for each part.

    Values that are not finite are left out. Raises `DataError` where none is finite, `MissingExtra` without matplotlib.
    """
    options = options or CurveOptions()
    if len(runs) == 1:
        parts = [name for name, values in runs[0].lines.items() if np.isfinite(values).any()]
        legend = [f"{name} {runs[0].final()[name]:.3g}" for name in parts]
        panels = [Panel("losses", _lines([runs[0]] * len(parts), parts, options=options))]
    else:
        legend = [run.name for run in runs]
        parts = list(dict.fromkeys(part for run in runs for part in run.lines))
        panels = [Panel(part, _lines(runs, [part] * len(runs), options=options)) for part in parts]
    panels = [panel for panel in panels if panel.lines]
    if not panels:
        raise DataError(f"no loss of {', '.join(run.name for run in runs)} is finite: there is nothing to draw.")
    return line_chart(panels, legend, scale=options.scale)


def loss_picture(runs: Sequence[Curves], *, options: CurveOptions | None = None) -> Tensor:
    """`loss_chart` as `(1, 3, H, W)` in `[0, 1]`."""
    return pixels_of(loss_chart(runs, options=options))


def _lines(runs: Sequence[Curves], parts: Sequence[str], *, options: CurveOptions) -> list[Line]:
    """A line for each pair of a run and a part that has finite values."""
    lines = []
    for index, (run, part) in enumerate(zip(runs, parts, strict=True)):
        values = run.lines.get(part, np.empty(0))
        finite = np.isfinite(values)
        if finite.any():
            values = values[finite]
            lines.append(Line(index, run.steps[finite], values, running_means(values, options.smooth)))
    return lines


class LossPicture:
    """Keeps `losses.png` beside the log of a run in progress.

    It never raises an `Exception`, since a picture must not end a training: `report_error` is called instead, and only
    once where matplotlib is not installed.
    """

    def __init__(self, folder: Path, report_error: Callable[[str], object]) -> None:
        self._folder, self._report_error = folder, report_error
        self._installed = True

    def draw(self) -> None:
        """Draw the log again; does nothing while it is empty."""
        log, picture = self._folder / LOG, self._folder / PICTURE
        try:
            if self._installed and log.is_file() and log.stat().st_size:
                files.write(picture, loss_picture([read_curves(self._folder)]))
        except Exception as error:
            self._installed = not isinstance(error, MissingExtra)
            kind = "" if isinstance(error, ImpastoError) else f"{type(error).__name__}: "
            reason = " ".join(str(error).split())
            self._report_error(f"{picture} could not be drawn; the training goes on. ({kind}{reason})")
