"""How near outputs come to content and style, in one pass and by optimisation: means over pairs of pictures.

`python benchmarks/quality.py --contents a.jpg b.jpg --styles c.jpg d.jpg` pairs the i-th with the
i-th. Both pictures are scaled to one long side first, so that all are measured at one size. `--learned wave scream`
names the trained style of each pair's painting, to be measured, too.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from torch import Tensor

import impasto
from impasto.config.job import OF_PICTURES
from impasto.core.memory import keep_freed_memory
from impasto.image.resize import fit, resized


def small(path: Path, side_px: int) -> Tensor:
    """The picture with a long side of `side_px`."""
    pixels = impasto.read(path).pixels
    return resized(pixels, fit((pixels.shape[-2], pixels.shape[-1]), long_side_px=side_px))


def main() -> None:
    """A Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contents", type=Path, nargs="+", required=True)
    parser.add_argument("--styles", type=Path, nargs="+", required=True)
    parser.add_argument("--learned", nargs="+", default=[])
    parser.add_argument("--size", type=int, default=320)
    given = parser.parse_args()
    keep_freed_memory()
    found: dict[str, list[dict[str, float]]] = {}
    learned = given.learned or [None] * len(given.contents)
    for content_path, style_path, name in zip(given.contents, given.styles, learned, strict=True):
        content, style = small(content_path, given.size), small(style_path, given.size)
        painted = {method: (style, method) for method in OF_PICTURES} | ({"learned": (name, "fast")} if name else {})
        for row, (source, method) in painted.items():
            output = impasto.stylize(content, source, size=given.size, method=method).pixels
            rows = impasto.evaluate(output, content, style)
            mine, *copies = rows
            found.setdefault(row, []).append(rows[mine])
        for copy in copies:
            found.setdefault(copy, []).append(rows[copy])
    names = list(found[OF_PICTURES[0]][0])
    print(f"| | {' | '.join(names)} |\n|---|" + "--:|" * len(names))
    for row, measures in found.items():
        means = (sum(each[name] for each in measures) / len(measures) for name in names)
        print(f"| {row} | {' | '.join(f'{mean:.3f}' for mean in means)} |")
    for row in ("arbitrary", "learned"):
        for name in names if row in found else ():
            pairs = zip(found[row], found["optimise"], strict=True)
            print(f"{name}: {row} lower on {sum(a[name] < b[name] for a, b in pairs)} of {len(given.contents)}")


if __name__ == "__main__":
    main()
