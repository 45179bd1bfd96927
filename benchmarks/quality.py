"""Style and content of every method: means over all pairs of a folder of contents and a folder of styles.

`python benchmarks/quality.py CONTENTS STYLES` paints every content in every style with each method or preset of
`--methods` at each strength of `--strengths`, 0.4 to 1.2: the frontier between style and content. The measures are
those of `impasto evaluate` that need no network, seconds are those of the processor; rows for copies of the content
and of the style mark the ends. `--every 5` takes every fifth pair, `--trained wave scream` adds trained styles, which
are compared with nothing but the content, and `--output DIR` keeps the pictures.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from itertools import product
from pathlib import Path

from torch import Tensor

import impasto
from impasto.config.job import OF_PICTURES
from impasto.config.presets import PRESETS
from impasto.core.memory import keep_freed_memory
from impasto.image.formats import pictures_in
from impasto.image.resize import fit, resized
from impasto.metrics.patches import patch_distance, structure_similarity
from impasto.metrics.pixels import colour_distance
from impasto.metrics.weave import weave

STRENGTHS = (0.4, 0.6, 0.8, 1.0, 1.2)

Row = tuple[float, ...]
"""Style, content, weave, colour, seconds."""


def sized(path: Path, side_px: int) -> Tensor:
    """The picture with a long side of `side_px`."""
    pixels = impasto.read(path).pixels
    return resized(pixels, fit((pixels.shape[-2], pixels.shape[-1]), long_side_px=side_px))


def rows_of(content_path: Path, style_path: Path, asked: argparse.Namespace) -> Iterator[tuple[str, Row]]:
    """Name and measures of every painting of one pair, and of both copies."""
    content, style = sized(content_path, asked.size), impasto.read(style_path).pixels
    copies = {
        "a copy of the content": content,
        "a copy of the style": resized(style, (content.shape[-2], content.shape[-1])),
    }
    for name, copy in copies.items():
        yield name, (*measures(copy, content, style), 0.0)
    for method, strength in product(asked.methods, asked.strengths):
        began = time.process_time()
        named = {"preset": method} if method in PRESETS else {"method": method}
        painting = impasto.stylize(content, style_path, size=asked.size, strength=strength, **named)
        seconds = time.process_time() - began
        name = f"{method}, strength {strength:g}"
        if asked.output:
            painting.save(asked.output / f"{content_path.stem}--{style_path.stem}--{method}-{strength:g}.png")
        yield name, (*measures(painting.pixels, content, style), seconds)
    for trained in asked.trained:
        pixels, nan = impasto.stylize(content, trained, size=asked.size).pixels, float("nan")
        yield f"trained style {trained}", (nan, structure_similarity(pixels, content), weave(pixels), nan, 0.0)


def measures(output: Tensor, content: Tensor, style: Tensor) -> Row:
    """Style, content, weave and colour of one painting."""
    small = resized(style, fit((style.shape[-2], style.shape[-1]), long_side_px=max(output.shape[-2:])))
    near = patch_distance(output, style), structure_similarity(output, content)
    return (*near, weave(output), colour_distance(output, small))


def main() -> None:
    """A Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("contents", type=Path)
    parser.add_argument("styles", type=Path)
    parser.add_argument("--methods", nargs="+", default=OF_PICTURES)
    parser.add_argument("--strengths", type=float, nargs="+", default=STRENGTHS)
    parser.add_argument("--trained", nargs="+", default=[])
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--output", type=Path)
    asked = parser.parse_args()
    keep_freed_memory()
    pairs = list(product(pictures_in(asked.contents), pictures_in(asked.styles)))[:: asked.every]
    rows: dict[str, list[Row]] = defaultdict(list)
    for pair in pairs:
        for name, row in rows_of(*pair, asked):
            rows[name].append(row)
    print(f"{len(pairs)} pairs, {asked.size} px.\n")
    print("| | style ↓ | content ↑ | weave, median ↓ | colour, ΔE ↓ | seconds |\n|---|--:|--:|--:|--:|--:|")
    for name, values in rows.items():
        style, content, lines, *others = zip(*values, strict=True)
        means = [f"{statistics.fmean(column):.3f}" for column in (style, content)]
        rest = [f"{statistics.fmean(column):.1f}" for column in others]
        print(f"| {name} | {' | '.join(means)} | {statistics.median(lines):.1f} | {' | '.join(rest)} |")


if __name__ == "__main__":
    main()
