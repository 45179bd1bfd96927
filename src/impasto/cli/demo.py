"""`impasto demo`: repaint a photograph that comes with the package in a style that comes with it, too."""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App

from impasto.cli.bars import Bar
from impasto.cli.flags import output_flag, takes_options
from impasto.config.console import ConsoleOptions
from impasto.config.demo import DemoOptions
from impasto.config.job import DEFAULT_METHOD, Job, PaintOptions, StyleSource
from impasto.config.optimise import LossOptions, OptimiseOptions
from impasto.config.pictures import OutputOptions, SizeOptions
from impasto.core.errors import OptionError

if TYPE_CHECKING:
    from impasto.cli.folders import PlannedPicture
    from impasto.cli.painting import PaintingResult

app = App(name="demo")

CONTENTS, STYLES = ("astronaut", "chelsea"), ("strokes", "mosaic", "fire")
SHEET_CONTENTS = ("astronaut", "chelsea", "coffee", "rocket", "motorcycle", "camera", "hubble", "text")
SHEET_STYLES = ("strokes", "woodblock", "mosaic", "fire", "ink", "circles", "points", "cubes")
GRADUAL_SHEET = 6  # photographs and styles of the large sheet where each picture is painted step by step
SHEET_STEPS, SHEET_SMALLEST_PX = (40, 25), 96  # of optimisation: two scales, however small the pictures are
SHEET_CELL_PX = 200
SIZE_PX = {"arbitrary": 384, "optimise": 192}  # of the sheet's pictures
LARGE_SIZE_PX = {"arbitrary": 384, "optimise": 288}


Files = dict[str, Path]
"""Picture files by the name of the photograph or style."""


@app.default
@takes_options
def demo(
    *,
    output: Annotated[Path, output_flag("Folder to write to.")] = Path("out"),
    options: DemoOptions,
    console: ConsoleOptions,
) -> int:
    """Repaint an included photograph, and write a contact sheet of several photographs and styles.

    Also writes the photographs and styles, and prints the command that paints the picture. Run again, it keeps
    finished pictures and resumes after Ctrl-C.
    """
    from impasto.cli.folders import FolderRun

    _check(output, options)
    contents, styles = _inputs(output, options)
    items = _items(contents, styles, folder=output, options=options)
    run = FolderRun(items, resume=True, several=True, console=console, report=_report)
    if code := run.paint():
        return code
    sheet = options.sheet or output / "sheet.png"
    cells = [item.output for item in items[-len(contents) * len(styles) :]]
    _write_sheet(sheet, cells, contents=contents, styles=styles)
    inputs = [str(path) for path in (*contents.values(), *styles.values())]
    row: dict[str, Any] = {"inputs": inputs, "sheet": str(sheet)}
    paths = [*inputs, str(sheet)]
    if options.sheet is None:
        picture, job = items[0].output, items[0].plan.job
        words = command(Path(job.content), Path(job.styles[0].source), picture=picture, options=options)
        row, paths = {"output": str(picture), "command": words, **row}, [*inputs, str(picture), str(sheet)]
        note = f"The painting is what this command makes: {shlex.join(words)}"
        Bar(quiet=console.quiet or console.json).note(note)
    print(json.dumps(row) if console.json else "\n".join(paths), flush=True)
    return 0


def command(content: Path, style: Path, *, picture: Path, options: DemoOptions) -> list[str]:
    """The words of the command that paints `picture` as the demo does."""
    words = ["impasto", "stylize", str(content), "--style", str(style), "--size", str(options.size)]
    if options.method != DEFAULT_METHOD:
        words += ["--method", options.method]
    if options.encoder != LossOptions().encoder:
        words += ["--encoder", options.encoder]
    return [*words, "--output", str(picture)]


def _check(output: Path, options: DemoOptions) -> None:
    """Raise errors of options and paths before any work."""
    from impasto.image.formats import check_writable
    from impasto.image.samples import SAMPLES, sample_path
    from impasto.image.swatches import SWATCHES, swatch_path

    if output.exists() and not output.is_dir():
        raise OptionError(f"{output} is a file; the demo writes several. Name a folder: -o FOLDER")
    if options.sheet is not None:
        check_writable(options.sheet, OutputOptions().bits)
    for name in options.content or SAMPLES:
        sample_path(name)
    for name in options.style or SWATCHES:
        swatch_path(name)


def _inputs(folder: Path, options: DemoOptions) -> tuple[Files, Files]:
    """The photographs and styles as PNG files in `folder`: inputs like any other, so that recipes can name them."""
    from impasto.image import files
    from impasto.image.samples import sample
    from impasto.image.swatches import swatch

    large, count = options.sheet is not None, GRADUAL_SHEET if options.method == "optimise" else None
    names = options.content or (SHEET_CONTENTS[:count] if large else CONTENTS)
    contents = {name: folder / "contents" / f"{name}.png" for name in names}
    names = options.style or (SHEET_STYLES[:count] if large else STYLES)
    styles = {name: folder / "styles" / f"{name}.png" for name in names}
    for name, path in contents.items():
        files.write(path, sample(name).pixels)
    for name, path in styles.items():
        files.write(path, swatch(name))
    return contents, styles


def _items(contents: Files, styles: Files, *, folder: Path, options: DemoOptions) -> list[PlannedPicture]:
    """The painting, unless only the sheet is asked for, and every photograph in every style, row by row."""
    from impasto import api
    from impasto.cli.folders import PlannedPicture

    painting = Job(
        content=str(next(iter(contents.values()))),
        styles=(StyleSource(source=str(next(iter(styles.values())))),),
        paint=PaintOptions(method=options.method),
        size=SizeOptions(size=options.size),
        losses=LossOptions(encoder=options.encoder),
    )
    small = options.sheet_size or (LARGE_SIZE_PX if options.sheet else SIZE_PX)[options.method]
    cell = dataclasses.replace(painting, size=SizeOptions(size=small))
    if options.method == "optimise":
        steps = OptimiseOptions(steps=SHEET_STEPS, smallest_px=SHEET_SMALLEST_PX)
        cell = dataclasses.replace(cell, optimise=steps)
    jobs = {} if options.sheet else {folder / f"{next(iter(contents))}-{next(iter(styles))}.png": painting}
    for name, content in contents.items():
        for style_name, style in styles.items():
            job = dataclasses.replace(cell, content=str(content), styles=(StyleSource(source=str(style)),))
            jobs[folder / "cells" / f"{name}-{style_name}.png"] = job
    catalogue, written = api.StyleCatalogue(), OutputOptions()
    plans = {path: api.plan_job(job, catalogue=catalogue) for path, job in jobs.items()}
    return [PlannedPicture(number, plan, path, written) for number, (path, plan) in enumerate(plans.items())]


def _report(result: PaintingResult, bar: Bar) -> None:
    """A line on the painting, none on the pictures of the sheet unless one was stopped."""
    if result.stopped:
        print(result.output, flush=True)
        bar.note(f"stopped after step {result.step.index} of {result.step.total}; repeat the command to continue.")
    elif result.output.parent.name != "cells":
        bar.note(f"{result.output} is painted: {result.step.index} steps, {result.seconds:.1f} s")


def _write_sheet(path: Path, cells: Sequence[Path], *, contents: Files, styles: Files) -> None:
    """The styles along the top, the photographs down the side, and their paintings."""
    from impasto.analysis.sheet import contact_sheet
    from impasto.image.files import read, write

    rows = [[None, *(read(style).pixels for style in styles.values())]]
    for number, content in enumerate(contents.values()):
        painted = cells[number * len(styles) : (number + 1) * len(styles)]
        rows.append([read(content).pixels, *(read(cell).pixels for cell in painted)])
    write(path, contact_sheet(rows, column_labels=("", *styles), cell_px=SHEET_CELL_PX))
