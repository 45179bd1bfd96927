"""`impasto style`: styles kept without their pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from impasto.cli import outputs
from impasto.cli.flags import about, output_flag, takes_options
from impasto.cli.models import Json, card_values, print_values
from impasto.config.arbitrary import ArbitraryOptions
from impasto.config.console import ConsoleOptions
from impasto.config.job import StyleSource
from impasto.core.options import Range

app = App(name="style", help="Save styles in small files, and show them.", version_flags=())


@app.command
@takes_options
def save(
    picture: Annotated[Path, Parameter(help="Picture to save the style of.")],
    /,
    *,
    output: Annotated[Path, output_flag("File to write, ending in .safetensors.")],
    style_scale: Annotated[float, Parameter(help=about(StyleSource, "scale"))] = 1.0,
    size: Annotated[int, Parameter(help="Long side in pixels of the intended outputs.")] = 512,
    network: Annotated[str, Parameter(help=about(ArbitraryOptions, "network"))] = ArbitraryOptions().network,
    console: ConsoleOptions,
) -> int:
    """Save the style of a picture, as encoded by the arbitrary network, in a file of a few kilobytes.

    impasto stylize --style FILE uses it like the picture, also mixed with pictures. It works with the network that
    it was made with, and with others of the same encoder.
    """
    outputs.check_no_input(output, [picture])
    Range(1, 100_000).check("--size", size)
    from impasto import api
    from impasto.cli.bars import fetch_progress, working

    with working(console) as bar:
        card = api.save_style(
            picture, output, scale=style_scale, size=size, network=network, progress=fetch_progress(bar, network)
        )
    if console.json:
        print_values({"output": str(output), **card_values(card)}, as_json=True)
    else:
        print(output, flush=True)
    return 0


@app.command
def show(file: Annotated[Path, Parameter(help="File of impasto style save.")], /, *, json: Json = False) -> int:
    """Show the picture, encoder and layers of a saved style."""
    from impasto.styles.code_file import read_code

    saved = read_code(file)
    shapes = {layer: list(stats.shape[1:]) for layer, stats in saved.tensors.items()}
    path = {"path": str(file), "size_bytes": file.stat().st_size}
    print_values({**card_values(saved.card), "statistics": shapes, "sha256": saved.sha256, **path}, as_json=json)
    return 0
