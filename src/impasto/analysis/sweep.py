"""Many paintings that differ in some options, each kept as soon as it is done."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from impasto.analysis.axes import Axis, points
from impasto.analysis.sweep_metrics import Pictures, SweepMetrics
from impasto.config.job import Job
from impasto.core.errors import ImpastoError, OptionError
from impasto.core.paths import written_whole
from impasto.image import files
from impasto.stylizers.protocol import Step

CELLS = "cells"
"""Folder of the pictures and of what is known of each."""


class Finished(Protocol):
    """A painting that can be saved."""

    pixels: Tensor

    def save(self, path: Path, /) -> None:
        """Write the picture."""
        ...


class Written(Protocol):
    """A recipe."""

    def to_json(self) -> str:
        """As one JSON object with `job`, `inputs` and `weights`."""
        ...


class Work(Protocol):
    """A job that is about to be painted, as `impasto.begun` gives it."""

    @property
    def inputs(self) -> Pictures:
        """What it is made of."""
        ...

    @property
    def recipe(self) -> Written | None:
        """What decides the result."""
        ...

    def steps(self) -> Iterator[Step]:
        """Paint."""
        ...

    def painting(self, step: Step, /) -> Any:
        """The `Finished` painting at a step."""
        ...


@dataclass(frozen=True)
class Cell:
    """One painting of a sweep: the varied options as texts by their paths, the job, and where its picture lies."""

    number: int
    texts: Mapping[str, str]
    job: Job
    picture: Path

    @property
    def record(self) -> Path:
        """What is known of the finished picture, beside it."""
        return self.picture.with_suffix(".json")


@dataclass(frozen=True)
class Result:
    """What came of a cell. `error` is empty where there is a picture; `kept` says that it was there already."""

    cell: Cell
    error: str = ""
    seconds: float = 0.0
    steps: int = 0
    losses: Mapping[str, float] = field(default_factory=dict)
    measures: Mapping[str, float] = field(default_factory=dict)
    gauge: str = ""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    kept: bool = False


@dataclass(frozen=True)
class SweepStep:
    """A step in painting a cell, or, with `result`, its end."""

    cell: Cell
    count: int
    step: Step | None = None
    result: Result | None = None


def cells_of(job: Job, axes: Sequence[Axis], folder: Path) -> list[Cell]:
    """Every cell, the last axis changing fastest; `OptionError` before anything is painted where a value is refused."""
    if not axes:
        raise OptionError("nothing is varied. Name an option and its values: --vary strength=0.5,1,2.")
    found = [
        Cell(number, point.texts, point.job, folder / CELLS / f"{_stem(axes, point.texts)}.png")
        for number, point in enumerate(points(job, axes), start=1)
    ]
    return found


def swept(
    cells: Sequence[Cell],
    begin: Callable[[Job, Path], Work],
    *,
    gauge: SweepMetrics | None = None,
    again: bool = False,
) -> Iterator[SweepStep]:
    """Paint every cell, and yield every step and each cell's result.

    `begin(job, picture)` reads a job's inputs (`impasto.begun` with an output). A cell whose picture lies there with an
    equal recipe (job, inputs, weights) is kept, unless `again`. An error ends its cell only. Stop at any time: what is
    finished stays.
    """
    for cell in cells:
        result: Result | None = None
        for event in _painted(cell, begin, gauge=gauge, again=again):
            if isinstance(event, Result):
                result = event
            else:
                yield SweepStep(cell, len(cells), step=event)
        yield SweepStep(cell, len(cells), result=result)


def _painted(
    cell: Cell, begin: Callable[[Job, Path], Work], *, gauge: SweepMetrics | None, again: bool
) -> Iterator[Step | Result]:
    try:
        work = begin(cell.job, cell.picture)
        recipe = json.loads(work.recipe.to_json()) if work.recipe else {}
        known = None if again else _known(cell, recipe)
        if known is not None:
            yield _measured_anew(known, work, gauge)
            return
        start, last = time.perf_counter(), None
        for last in work.steps():
            yield last
        if last is None:
            raise ImpastoError("the stylizer painted no step.")
        painting = work.painting(last)
        seconds = time.perf_counter() - start
        painting.save(cell.picture)
        result = Result(cell, "", seconds, last.index, dict(last.losses), recipe=recipe)
        yield _kept(_measured(result, painting.pixels, work, gauge))
    except (ImpastoError, OSError, RuntimeError, MemoryError) as error:
        yield Result(cell, " ".join(str(error).split()) or type(error).__name__)


def _measured(result: Result, pixels: Tensor, work: Work, gauge: SweepMetrics | None) -> Result:
    if gauge is None:
        return result
    try:
        found = gauge.measures(pixels, work.inputs)
    except ImpastoError:  # too small for the layers measured in: the picture is no worse for it
        found = {}
    return dataclasses.replace(result, measures=found, gauge=gauge.name)


def _measured_anew(known: Result, work: Work, gauge: SweepMetrics | None) -> Result:
    """A kept result, its picture measured again where the numbers are of another gauge."""
    if gauge is None or known.gauge == gauge.name:
        return known
    pixels = files.read(known.cell.picture).pixels
    return _kept(_measured(known, pixels, work, gauge))


def _kept(result: Result) -> Result:
    """The result, written beside its picture."""
    with written_whole(result.cell.record) as temporary:
        temporary.write_text(json.dumps(as_json(result), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return result


def _known(cell: Cell, recipe: Mapping[str, Any]) -> Result | None:
    """The result on disk, where it is of this recipe; versions and threads may differ."""
    if not (cell.picture.is_file() and cell.record.is_file()):
        return None
    try:
        found = json.loads(cell.record.read_text(encoding="utf-8"))
        if any(found["recipe"][key] != recipe[key] for key in ("job", "inputs", "weights")):
            return None
        names = ("seconds", "steps", "losses", "measures", "gauge", "recipe")
        return Result(cell, kept=True, **{name: found[name] for name in names})
    except (ValueError, KeyError, TypeError):  # half a record is none
        return None


def as_json(result: Result) -> dict[str, Any]:
    """Plain values, as they stand in the cell's record and in results.json."""
    return {
        "options": dict(result.cell.texts),
        "picture": result.cell.picture.name,
        "error": result.error,
        "seconds": round(result.seconds, 3),
        "steps": result.steps,
        "losses": dict(result.losses),
        "measures": dict(result.measures),
        "gauge": result.gauge,
        "recipe": dict(result.recipe),
    }


def _stem(axes: Sequence[Axis], texts: Mapping[str, str]) -> str:
    """A file name that says the values, and does not change when an axis gets more of them."""
    said = "_".join(f"{axis.path}={texts[axis.path]}" for axis in axes)
    plain = re.sub(r"[^A-Za-z0-9.=+_-]", "-", said)
    if plain == said and len(said) <= 120:
        return said.rstrip(".")
    return f"{plain[:100]}-{hashlib.sha256(said.encode('utf-8', 'replace')).hexdigest()[:8]}"
