"""Pictures of the docs that no command of impasto lays out by itself.

`python -m tools.pictures teaser docs/pictures/teaser.jpg` shows a photograph in three drawn styles, in one pass and by
optimisation; `python -m tools.pictures controls docs/pictures/controls.jpg` strength, style scale, mixes and colours;
`python -m tools.pictures networks docs/pictures/networks.jpg` both networks for any style.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

import impasto
from impasto.analysis.sheet import contact_sheet
from impasto.api import ColourOptions, OutputOptions, read
from impasto.config.arbitrary import ArbitraryOptions
from impasto.core.memory import keep_freed_memory
from impasto.image.samples import sample_path
from impasto.image.swatches import swatch_path
from impasto.session.painting import Painting

NETWORKS = ("compact-any", "compact-any-half")
TEASER_STYLES = ("strokes", "mosaic", "fire")
COLOURS: dict[str, dict[str, str]] = {
    "as painted": {},
    "--keep-colours lab": {"keep_colours": "lab"},
    "--keep-luminance lab": {"keep_luminance": "lab"},
    "--match-style covariance": {"match_style": "covariance"},
    "--match-output histogram": {"match_output": "histogram"},
}


def painted(content: str, styles: Any, **options: Any) -> Tensor:
    """The pixels of a sample photograph, painted at 512 px."""
    pixels: Tensor = impasto.stylize(sample_path(content), styles, **options).pixels
    return pixels


def teaser() -> Tensor:
    """A photograph, three styles, and the results of both methods."""
    contents, styles = read(sample_path("chelsea")).pixels, [swatch_path(name) for name in TEASER_STYLES]
    rows: list[list[Tensor | None]] = [[contents, *(read(style).pixels for style in styles)]]
    for method in ("arbitrary", "optimise"):
        rows.append([None, *(painted("chelsea", style, method=method) for style in styles)])
    return contact_sheet(rows, row_labels=("", "in one pass", "by optimisation"), cell_px=384)


def networks() -> Tensor:
    """Two photographs in four styles, by each network for any style."""
    styles = [swatch_path(name) for name in ("strokes", "woodblock", "fire", "cubes")]
    rows: list[list[Tensor | None]] = [[None, *(read(style).pixels for style in styles)]]
    for content in ("astronaut", "coffee"):
        for network in NETWORKS:
            options = ArbitraryOptions(network=network)
            rows.append([read(sample_path(content)).pixels])
            rows[-1] += [painted(content, style, arbitrary=options) for style in styles]
    return contact_sheet(rows, row_labels=("", *NETWORKS, *NETWORKS), cell_px=384)


def controls() -> Tensor:
    """A control in each row, in one pass."""
    strokes, fire, woodblock = (swatch_path(name) for name in ("strokes", "fire", "woodblock"))
    shares = (1.0, 0.75, 0.5, 0.25, 0.0)
    rows: dict[str, list[tuple[str, Callable[[], Tensor]]]] = {
        "--strength": [
            (f"{strength:g}", lambda strength=strength: painted("coffee", fire, strength=strength))  # type: ignore[misc]
            for strength in (0.25, 0.5, 0.75, 1.0, 1.5)
        ],
        "--style-scale": [
            (f"{scale:g}", lambda scale=scale: painted("astronaut", strokes, style_scale=scale))  # type: ignore[misc]
            for scale in (0.5, 0.75, 1.0, 1.5, 2.0)
        ],
        "two styles": [
            (f"{1 - share:g} and {share:g}", lambda share=share: painted("chelsea", mixed(strokes, woodblock, share)))  # type: ignore[misc]
            for share in reversed(shares)
        ],
        "colours": [
            (name, lambda colour=colour: painted("rocket", strokes, colour=ColourOptions(**colour)))  # type: ignore[misc]
            for name, colour in COLOURS.items()
        ],
    }
    cells = [[paint() for _, paint in row] for row in rows.values()]
    labels = [[label for label, _ in row] for row in rows.values()]
    return contact_sheet(cells, row_labels=tuple(rows), cell_labels=labels, cell_px=320)


def mixed(first: Path, second: Path, share: float) -> Any:
    """The styles with the weights `1 - share` and `share`; one that has none is left out."""
    return [(path, weight) for path, weight in ((first, 1 - share), (second, share)) if weight]


PICTURES: dict[str, Callable[[], Tensor]] = {"teaser": teaser, "controls": controls, "networks": networks}


def main() -> None:
    """Paint a sheet and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", choices=PICTURES)
    parser.add_argument("output", type=Path)
    asked = parser.parse_args()
    keep_freed_memory()
    Painting(PICTURES[asked.picture]()).save(asked.output, OutputOptions(quality=82))


if __name__ == "__main__":
    main()
