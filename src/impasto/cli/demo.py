"""`impasto demo`: repaint a photograph that comes with the package in a style that comes with it, too."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from impasto.cli.bars import Bar, TimeLeft, as_time, fetched
from impasto.cli.flags import takes_options
from impasto.cli.stopping import INTERRUPTED
from impasto.config.console import ConsoleOptions
from impasto.config.demo import DemoOptions
from impasto.config.job import DEFAULT_METHOD, Job, PaintOptions, StyleSource
from impasto.config.optimise import LossOptions, OptimiseOptions
from impasto.config.pictures import OutputOptions, SizeOptions
from impasto.core.errors import OptionError, StateError

if TYPE_CHECKING:
    from impasto.api import JobCache, Session

app = App(name="demo")

CONTENTS, STYLES = ("astronaut", "chelsea"), ("strokes", "mosaic", "fire")
SHEET_CONTENTS = ("astronaut", "chelsea", "coffee", "rocket", "motorcycle", "camera", "hubble", "text")
SHEET_STYLES = ("strokes", "woodblock", "mosaic", "fire", "ink", "circles", "points", "cubes")
GRADUAL_SHEET = 6  # photographs and styles of the large sheet where each picture is painted step by step
SHEET_STEPS, SHEET_SMALLEST_PX = (40, 25), 96  # of optimisation: two scales, however small the pictures are
SHEET_CELL_PX = 200
SIZE_PX = {"arbitrary": 384, "optimise": 192}  # of the sheet's pictures
LARGE_SIZE_PX = {"arbitrary": 384, "optimise": 288}


@dataclass(frozen=True)
class Inputs:
    """The files of the photographs and styles, by name."""

    contents: dict[str, Path]
    styles: dict[str, Path]


@app.default
@takes_options
def demo(
    *,
    output: Annotated[Path, Parameter(name=("--output", "-o"), help="Folder to write to.")] = Path("out"),
    options: DemoOptions,
    console: ConsoleOptions,
) -> int:
    """Repaint an included photograph, and write a contact sheet of several photographs and styles.

    Also writes the photographs and styles, and prints the command that paints the picture. Run again, it keeps
    finished pictures and resumes after Ctrl-C.
    """
    from impasto import api
    from impasto.cli import processor

    chosen = options
    _check(output, chosen)
    large = chosen.sheet is not None
    processor.prepare(console)
    count = GRADUAL_SHEET if chosen.method == "optimise" else None
    files = _written(
        output,
        contents=chosen.content or (SHEET_CONTENTS[:count] if large else CONTENTS),
        styles=chosen.style or (SHEET_STYLES[:count] if large else STYLES),
    )
    with Bar(quiet=console.quiet) as bar:
        first, cache = _first_job(files, chosen), api.JobCache(codes=True)
        cache.loaded(api.plan_job(first), progress=fetched(bar, chosen.encoder))
        if large:
            picture = None
        elif (picture := _painted(first, output, cache=cache, bar=bar)) is None:
            return INTERRUPTED
        sheet = chosen.sheet or output / "sheet.png"
        _write_sheet(sheet, _cells(files, output, chosen, cache=cache, bar=bar), files)
        _report(files, picture, sheet, chosen, bar=bar, as_json=console.json)
    return 0


def command(content: Path, style: Path, picture: Path, options: DemoOptions) -> list[str]:
    """The words of the command that paints `picture` like the demo."""
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


def _written(folder: Path, *, contents: Sequence[str], styles: Sequence[str]) -> Inputs:
    """The photographs and styles as PNG files in `folder`: inputs like any other, so that recipes can name them."""
    from impasto.image import files
    from impasto.image.samples import sample
    from impasto.image.swatches import swatch

    made = Inputs(
        {name: folder / "contents" / f"{name}.png" for name in contents},
        {name: folder / "styles" / f"{name}.png" for name in styles},
    )
    for name, path in made.contents.items():
        files.write(path, sample(name).pixels)
    for name, path in made.styles.items():
        files.write(path, swatch(name))
    return made


def _first_job(files: Inputs, options: DemoOptions) -> Job:
    """The first photograph in the first style, all else as `impasto stylize` has it."""
    content, style = next(iter(files.contents.values())), next(iter(files.styles.values()))
    return _job(content, style, options, size=options.size)


def _job(content: Path, style: Path, options: DemoOptions, *, size: int, steps: OptimiseOptions | None = None) -> Job:
    """`content` in the style of `style`; `steps` counts where it is painted by optimisation."""
    job = Job(
        content=str(content),
        styles=(StyleSource(source=str(style)),),
        paint=PaintOptions(method=options.method),
        size=SizeOptions(size=size),
        losses=LossOptions(encoder=options.encoder),
    )
    return job if steps is None or options.method != "optimise" else dataclasses.replace(job, optimise=steps)


def _painted(job: Job, folder: Path, *, cache: JobCache, bar: Bar) -> Path | None:
    """The file of the painting; None when the user stopped it."""
    from impasto.cli.painting import done_already, painted_file

    picture = folder / f"{Path(job.content).stem}-{Path(job.styles[0].source).stem}.png"
    session = _session(job, picture, cache=cache)
    if done_already(session, picture):
        bar.note(f"{picture} is painted already")
        return picture
    result = painted_file(session, picture, options=OutputOptions(), bar=bar)
    if result.stopped:
        print(picture, flush=True)
        bar.note(f"stopped after step {result.step.index} of {result.step.total}; repeat the command to continue.")
        return None
    session.forget(picture)
    bar.note(f"{picture} is painted: {result.step.index} steps, {result.seconds:.1f} s")
    return picture


def _session(job: Job, picture: Path, *, cache: JobCache) -> Session:
    """The job, where it was stopped the last time; from the beginning where that was another job."""
    from impasto import api

    if api.paused_path(picture) is not None:
        with contextlib.suppress(StateError):
            return api.open_session(job, output=picture, cache=cache, resume=True)
    return api.open_session(job, output=picture, cache=cache)


def _cells(files: Inputs, folder: Path, options: DemoOptions, *, cache: JobCache, bar: Bar) -> list[list[Path]]:
    """Every photograph in every style, row by row, as files in `folder`; existing files are kept."""
    from impasto import api
    from impasto.cli.painting import done_already

    size = options.sheet_size or (LARGE_SIZE_PX if options.sheet else SIZE_PX)[options.method]
    steps = OptimiseOptions(steps=SHEET_STEPS, smallest_px=SHEET_SMALLEST_PX)
    rows = [[folder / "cells" / f"{c}-{s}.png" for s in files.styles] for c in files.contents]
    pairs = [(c, s) for c in files.contents.values() for s in files.styles.values()]
    work = []
    for (content, style), picture in zip(pairs, [path for row in rows for path in row], strict=True):
        job = _job(content, style, options, size=size, steps=steps)
        session = api.open_session(job, output=picture, cache=cache)
        if not done_already(session, picture):
            work.append((session, picture))
    _paint_cells(work, bar)
    return rows


def _paint_cells(work: Sequence[tuple[Session, Path]], bar: Bar) -> None:
    """Paint and write one after another, under one bar: a step's work is taken as its canvas's pixels."""
    total = sum(h * w * steps for session, _ in work for (h, w), steps in session.work())
    done, left = 0, TimeLeft(total)
    for number, (session, picture) in enumerate(work, start=1):
        for step in session.steps():
            done += step.size_hw[0] * step.size_hw[1]
            time_left = as_time(left.after(done))
            text = f"sheet {number}/{len(work)}  {picture.stem}  step {step.index}/{step.total}"
            bar.show(done, total, f"{text}  {time_left} left" if time_left else text)
        session.painting(step).save(picture)


def _write_sheet(path: Path, cells: Sequence[Sequence[Path]], files: Inputs) -> None:
    """The styles along the top, the photographs down the side, and what came of them."""
    from impasto.analysis.sheet import contact_sheet
    from impasto.image.files import read, write

    styles = [read(style).pixels for style in files.styles.values()]
    rows = [[None, *styles]]
    for content, row in zip(files.contents.values(), cells, strict=True):
        rows.append([read(content).pixels, *(read(cell).pixels for cell in row)])
    write(path, contact_sheet(rows, column_labels=("", *files.styles), cell_px=SHEET_CELL_PX))


def _report(files: Inputs, picture: Path | None, sheet: Path, options: DemoOptions, *, bar: Bar, as_json: bool) -> None:
    """The paths on stdout, and the command that paints the same picture."""
    inputs = [*files.contents.values(), *files.styles.values()]
    words = []
    if picture is not None:
        words = command(next(iter(files.contents.values())), next(iter(files.styles.values())), picture, options)
    if as_json:
        row = {"inputs": [str(path) for path in inputs], "sheet": str(sheet)}
        painted = {} if picture is None else {"output": str(picture), "command": words}
        print(json.dumps(painted | row), flush=True)
        return
    for path in [*inputs, *([] if picture is None else [picture]), sheet]:
        print(path, flush=True)
    if words:
        bar.note(f"The painting is what this command makes: {shlex.join(words)}")
