"""The losses of training runs over their steps, read from `log.jsonl` and drawn."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from impasto.analysis.plot import Line, Numbers, Panel, drawn, smoothed
from impasto.config.experiments import CurveOptions
from impasto.core.errors import DataError, ImpastoError
from impasto.image import files

LOG, PICTURE = "log.jsonl", "losses.png"
TOTAL = "total"
NO_LOSSES = ("step", "learning_rate", "skipped")
ASTRAY = 1e4  # a loss so many times that of the usual run has gone astray
LAST = 0.1  # part of a log that its final losses are the mean of


@dataclass(frozen=True)
class Curves:
    """The losses of one run by part: `steps` `(n,)` and each part's values `(n,)`, NaN where there is none.

    `total` `(n,)` is the sum of the parts that were told at a step, NaN where one is not finite; None of such as do
    not add up.
    """

    name: str
    steps: Numbers
    parts: Mapping[str, Numbers]
    total: Numbers | None = None

    @property
    def lines(self) -> dict[str, Numbers]:
        """The total of two or more parts, and the parts."""
        whole = {} if self.total is None or len(self.parts) < 2 else {TOTAL: self.total}
        return whole | dict(self.parts)

    def final(self) -> dict[str, float]:
        """Total and parts at the end: means of the last tenth, which one batch does not decide. NaN where all are."""
        last = max(1, round(LAST * len(self.steps)))
        return {name: _mean(values[-last:]) for name, values in self.lines.items()}

    def divided(self, by: Mapping[str, float]) -> Curves:
        """Some parts alone, each without its weight; those of weight 0 are left out."""
        parts = {name: self.parts[name] / weight for name, weight in by.items() if name in self.parts and weight > 0}
        return dataclasses.replace(self, parts=parts, total=None)


def _mean(values: Numbers) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else math.nan


def read(source: Path, *, name: str | None = None) -> Curves:
    """The losses that a training run has told of, from its folder or its `log.jsonl`.

    A last line that is cut short, as a killed run leaves it, is left out. `DataError` where there is no log, where it
    is empty, or where a line is none of a log.
    """
    path = source / LOG if source.is_dir() else source
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); name the folder of a training run.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no log of a training run. Name its folder, or its {LOG}.") from error
    rows = list(_rows(text, path))
    told = [{key: _number(value) for key, value in row.items() if key not in NO_LOSSES} for row in rows]
    names = dict.fromkeys(key for losses in told for key in losses)
    if not names:
        raise DataError(f"{path} tells of no losses yet. Train for --log-every steps or more.")
    parts = {key: np.asarray([losses.get(key, math.nan) for losses in told]) for key in names}
    total = np.asarray([sum(losses.values()) for losses in told])
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
            raise DataError(f"{path}, line {number}, is none of a training log. Name the folder of a run.") from error
        yield row


def _number(value: Any) -> float:
    """NaN for null, and for what is no number."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else math.nan


def read_all(sources: Sequence[Path]) -> list[Curves]:
    """The losses of several runs, named by their folders; where two have one name, by their whole paths."""
    found = [read(source) for source in sources]
    names = [run.name for run in found]
    return [
        dataclasses.replace(run, name=str(source)) if names.count(run.name) > 1 else run
        for run, source in zip(found, sources, strict=True)
    ]


def picture(runs: Sequence[Curves], *, options: CurveOptions | None = None, dark: bool = False) -> Tensor:
    """The losses over steps, `(1, 3, H, W)`: parts of one run in one frame; of several runs, a frame for each part.

    The strong lines are running means; the losses as they are lie behind, faint. What is not finite is left out; beside
    other runs, what is 10,000 times the usual lies at the upper edge. `DataError` where nothing is finite.
    """
    options = options or CurveOptions()
    if len(runs) == 1:
        shown, lines = _lines(runs[0].lines, runs[0].steps, options)
        panels, final = [Panel("losses", lines)], runs[0].final()
        legend = [f"{name} {final[name]:.3g}" for name in shown]
    else:
        legend = [run.name for run in runs]
        panels = [Panel(part, lines := _of_part(part, runs, options), _most(lines)) for part in _parts(runs)]
    panels = [panel for panel in panels if panel.lines]
    if not panels:
        raise DataError(f"no loss of {', '.join(run.name for run in runs)} is finite: there is nothing to draw.")
    return drawn(panels, legend, scale=options.scale, dark=dark)


def _lines(parts: Mapping[str, Numbers], steps: Numbers, options: CurveOptions) -> tuple[list[str], list[Line]]:
    """The names of parts with finite values, and their lines."""
    shown = [name for name, values in parts.items() if np.isfinite(values).any()]
    return shown, [_line(i, steps, parts[name], options) for i, name in enumerate(shown)]


def _parts(runs: Iterable[Curves]) -> list[str]:
    return list(dict.fromkeys(part for run in runs for part in run.lines))


def _of_part(part: str, runs: Sequence[Curves], options: CurveOptions) -> list[Line]:
    """A line for each run that has finite values of a part."""
    return [
        _line(i, run.steps, run.lines[part], options)
        for i, run in enumerate(runs)
        if part in run.lines and np.isfinite(run.lines[part]).any()
    ]


def _most(lines: Sequence[Line]) -> float:
    """What a loss may be for the frame to reach so far: one run gone astray must not press the others flat."""
    medians = sorted(float(np.median(line.values)) for line in lines)
    usual = medians[(len(medians) - 1) // 2] if medians else 0.0
    return ASTRAY * usual if usual > 0 else math.inf


def _line(index: int, steps: Numbers, values: Numbers, options: CurveOptions) -> Line:
    finite = np.isfinite(values)
    return Line(index, steps[finite], values[finite], smoothed(values[finite], options.smooth))


def draw_log(folder: Path, tell: Callable[[str], object]) -> None:
    """Write `losses.png` beside the log of a run under way; nothing where nothing is logged yet.

    Never raises an `Exception`, since a picture must not end a training: `tell` is given what went wrong.
    """
    try:
        if not (folder / LOG).is_file() or not (folder / LOG).stat().st_size:
            return
        files.write(folder / PICTURE, picture([read(folder)]))
    except Exception as error:
        kind = "" if isinstance(error, ImpastoError) else f"{type(error).__name__}: "
        tell(f"{folder / PICTURE} could not be drawn; the training goes on. ({kind}{' '.join(str(error).split())})")
