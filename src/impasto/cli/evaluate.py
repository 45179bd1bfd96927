"""`impasto evaluate`: measure a result against its content and its style."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from impasto.cli.flags import about, takes_options
from impasto.config.console import ConsoleOptions
from impasto.config.job import StyleSource
from impasto.config.optimise import LossOptions
from impasto.core.errors import OptionError

app = App(name="evaluate")

Rows = Mapping[str, Mapping[str, float]]


@app.default
@takes_options
def evaluate(
    output: Annotated[Path, Parameter(help="Picture or film to measure.")],
    /,
    *,
    content: Annotated[Path | None, Parameter(help="The content of the output. Default: the recipe's.")] = None,
    style: Annotated[
        tuple[Path, ...],
        Parameter(help="The style picture of the output; with several, measures are averaged. Default: the recipe's."),
    ] = (),
    video: Annotated[
        bool, Parameter(negative=(), help="Measure the temporal stability of a film; needs no --style.")
    ] = False,
    frame_by_frame: Annotated[
        Path | None, Parameter(help="The same film painted with --steady 0, for comparison (with --video).")
    ] = None,
    style_scale: Annotated[
        float | None, Parameter(help=f"{about(StyleSource, 'scale')} Default: the recipe's, or 1.")
    ] = None,
    encoder: Annotated[str, Parameter(help=about(LossOptions, "encoder"))] = LossOptions().encoder,
    console: ConsoleOptions,
) -> int:
    """Measure a result against its content and its style.

    Two reference rows show the ends of each scale: a copy of the content, which has no style, and a copy of the style,
    which has no content. A good result lies between them. Everything is compared at the size of the result. Content,
    style and scale are read from the recipe in the picture unless they are given.

    With --video: the warping error (Lai et al. 2018) between consecutive frames and over 5 and 10 frames, flicker of
    static areas, sharpness, and luminance drift, for the film, the same film painted frame by frame, and the source.
    The optical flow is Farnebäck's, which steadying does not use.
    """
    if video:
        if content is None:
            raise OptionError("--content is missing: a film is measured against its source.")
        return _evaluate_film(output, content, frame_by_frame=frame_by_frame, console=console)
    if frame_by_frame is not None:
        raise OptionError("--frame-by-frame is for a film. Add --video, or leave it out.")
    from impasto import api
    from impasto.cli.bars import fetch_progress, working
    from impasto.session.evaluated import compared

    with working(console) as bar:
        features = api.load_encoder(encoder, precision="float32", progress=fetch_progress(bar, encoder))
        rows = api.evaluate(
            output, content, style=style or None, style_scale=style_scale, encoder=features, progress=bar.show
        )
    if console.json:
        against = compared(output, content, style=style or None)
        named = {"content": str(against.content), "style": [str(each.picture) for each in against.styles]}
        print(json.dumps({"output": str(output), **named, "measures": rows}))
    else:
        _print(rows)
    return 0


def _evaluate_film(output: Path, content: Path, *, frame_by_frame: Path | None, console: ConsoleOptions) -> int:
    from impasto.cli.bars import working
    from impasto.video.scoring import as_numbers, film_rows

    with working(console) as bar:
        rows = film_rows(output, content, frame_by_frame=frame_by_frame, progress=bar.show)
    measures = {name: as_numbers(row) for name, row in rows.items()}
    if console.json:
        print(json.dumps({"output": str(output), "content": str(content), "measures": measures}))
    else:
        _print_film(measures)
    return 0


def _print_film(rows: Mapping[str, Mapping[str, float | int | None]]) -> None:
    columns = list(rows["output"])
    texts = {
        row: ["" if (value := values.get(name)) is None else f"{value:.4g}" for name in columns]
        for row, values in rows.items()
    }
    _print_table(texts, columns=[name.replace("_", " ") for name in columns])


def _print(rows: Rows) -> None:
    from impasto.metrics.table import METRICS

    signs = {"low": "↓", "high": "↑"}
    columns = {name: f"{name} {signs[METRICS[name].better]}" for name in rows["output"]}
    texts = {row: [f"{values[name]:.3f}" for name in columns] for row, values in rows.items()}
    _print_table(texts, columns=list(columns.values()))
    print()
    for name, column in columns.items():
        metric = METRICS[name]
        unit = f" ({metric.unit})" if metric.unit else ""
        print(f"{column}  {metric.about}{unit}; {metric.better} is good")
    if "style copy" not in rows:
        print("The style has no picture: name one with --style to measure against it.")


def _print_table(rows: Mapping[str, Sequence[str]], *, columns: Sequence[str]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("", box=None, pad_edge=False)
    for name in columns:
        table.add_column(name, justify="right")
    for row, values in rows.items():
        table.add_row(row, *values)
    Console(highlight=False).print(table)
