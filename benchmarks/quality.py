"""Style and content of every method: means over all pairs of a folder of contents and a folder of styles.

`python benchmarks/quality.py CONTENTS STYLES` paints every content in every style with each method of `--methods` at
each strength of `--strengths`: the frontier between style and content. The measures are those of `impasto evaluate`
that need no network; rows for copies of the content and of the style mark the ends. `--every 5` takes every fifth pair,
`--trained wave scream` adds trained styles, which are compared with nothing but the content, and `--output DIR` keeps
the pictures.
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
from impasto.core.memory import keep_freed_memory
from impasto.image.formats import pictures_in
from impasto.image.resize import fit, resized
from impasto.metrics.patches import patch_distance, structure_similarity
from impasto.metrics.weave import weave

Row = tuple[float, float, float, float]
"""Style, content, weave, seconds."""


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
        yield name, (patch_distance(copy, style), structure_similarity(copy, content), weave(copy), 0.0)
    for method, strength in product(asked.methods, asked.strengths):
        began = time.perf_counter()
        painting = impasto.stylize(content, style_path, size=asked.size, method=method, strength=strength)
        seconds = time.perf_counter() - began
        name = f"{method}, strength {strength:g}"
        if asked.output:
            painting.save(asked.output / f"{content_path.stem}--{style_path.stem}--{method}-{strength:g}.png")
        pixels = painting.pixels
        yield name, (patch_distance(pixels, style), structure_similarity(pixels, content), weave(pixels), seconds)
    for trained in asked.trained:
        pixels = impasto.stylize(content, trained, size=asked.size).pixels
        yield f"trained style {trained}", (float("nan"), structure_similarity(pixels, content), weave(pixels), 0.0)


def main() -> None:
    """A Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("contents", type=Path)
    parser.add_argument("styles", type=Path)
    parser.add_argument("--methods", nargs="+", default=OF_PICTURES)
    parser.add_argument("--strengths", type=float, nargs="+", default=[1.0])
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
    print("| | style ↓ | content ↑ | weave, median ↓ | seconds |\n|---|--:|--:|--:|--:|")
    for name, values in rows.items():
        style, content, lines, seconds = zip(*values, strict=True)
        means = [f"{statistics.fmean(column):.3f}" for column in (style, content)]
        print(f"| {name} | {' | '.join(means)} | {statistics.median(lines):.1f} | {statistics.fmean(seconds):.1f} |")


if __name__ == "__main__":
    main()
