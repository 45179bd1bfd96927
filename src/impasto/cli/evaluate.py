"""`impasto evaluate`: measure a result against its content and its style."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from impasto.cli.flags import about
from impasto.cli.groups import ConsoleFlags
from impasto.config.job import StyleSource
from impasto.config.optimise import LossOptions

app = App(name="evaluate")
_CONSOLE = ConsoleFlags()

Rows = Mapping[str, Mapping[str, float]]


@app.default
def evaluate(
    output: Annotated[Path, Parameter(help="Picture to measure.")],
    /,
    *,
    content: Annotated[Path, Parameter(help="The content picture of the output.")],
    style: Annotated[Path, Parameter(help="The style picture of the output.")],
    style_scale: Annotated[float, Parameter(help=about(StyleSource, "scale"))] = 1.0,
    encoder: Annotated[str, Parameter(help=about(LossOptions, "encoder"))] = LossOptions().encoder,
    console: ConsoleFlags = _CONSOLE,
) -> int:
    """Measure a result against its content and its style.

    Two more rows mark the ends of each scale: a copy of the content, which has no style, and a copy of the style, which
    has no content. A good result lies between them. Everything is compared at the size of the result.
    """
    from impasto import api
    from impasto.cli import batch
    from impasto.cli.bars import Bar, fetched

    batch.prepare(console)
    with Bar(quiet=console.quiet) as bar:
        features = api.load_encoder(encoder, precision="float32", progress=fetched(bar, encoder))
        rows = api.evaluate(output, content, style, style_scale=style_scale, encoder=features, progress=bar.show)
    if console.json:
        print(json.dumps({"output": str(output), "content": str(content), "style": str(style), "measures": rows}))
    else:
        _print(rows)
    return 0


def _print(rows: Rows) -> None:
    from rich.console import Console
    from rich.table import Table

    from impasto.metrics.table import METRICS

    signs = {"low": "↓", "high": "↑"}
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for name, metric in METRICS.items():
        table.add_column(f"{name} {signs[metric.better]}", justify="right")
    for row, values in rows.items():
        table.add_row(row, *(f"{values[name]:.3f}" for name in METRICS))
    out = Console(highlight=False)
    out.print(table)
    out.print()
    for name, metric in METRICS.items():
        unit = f" ({metric.unit})" if metric.unit else ""
        out.print(f"{name} {signs[metric.better]}  {metric.about}{unit}; {metric.better} is good", markup=False)
