"""The methods side by side: four photographs in four drawn styles, painted by each, with processor seconds.

`python benchmarks/methods.py docs/pictures/methods.jpg` paints the sheet of docs/optimise.md. Finished pictures are
kept in `--folder` and not painted again; `--row 2` paints one row only, so that several processes can share the work.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import impasto
from impasto.analysis.sheet import contact_sheet
from impasto.api import LossOptions, OutputOptions, read
from impasto.core.memory import keep_freed_memory
from impasto.image.samples import sample_path
from impasto.image.swatches import swatch_path
from impasto.session.painting import Painting

PAIRS = (("astronaut", "strokes"), ("rocket", "fire"), ("coffee", "circles"), ("chelsea", "woodblock"))

METHODS: Mapping[str, Mapping[str, Any]] = {
    "one pass": {"method": "arbitrary"},
    "wasserstein2 (default)": {"method": "optimise"},
    "gram": {"method": "optimise", "losses": LossOptions(style_loss="gram")},
    "sliced": {"method": "optimise", "losses": LossOptions(style_loss="sliced")},
    "nnst": {"preset": "nnst"},
    "strotss": {"preset": "strotss"},
}


def painted(pair: tuple[str, str], method: str, *, size: int, folder: Path) -> tuple[Path, float]:
    """The file of one painting and its processor seconds."""
    picture = folder / f"{'-'.join(pair)}-{method.split()[0]}-{size}.png"
    notes = picture.with_suffix(".json")
    if not notes.exists():
        began = time.process_time()
        impasto.stylize(sample_path(pair[0]), swatch_path(pair[1]), size=size, **METHODS[method]).save(picture)
        notes.write_text(json.dumps(time.process_time() - began))
    return picture, float(json.loads(notes.read_text()))


def main() -> None:
    """The sheet, or one row's pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sheet", type=Path)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--folder", type=Path, default=Path("out/methods"))
    parser.add_argument("--row", type=int)
    asked = parser.parse_args()
    keep_freed_memory()
    asked.folder.mkdir(parents=True, exist_ok=True)
    pairs = PAIRS if asked.row is None else PAIRS[asked.row : asked.row + 1]
    rows, seconds = [], dict.fromkeys(METHODS, 0.0)
    for content, style in pairs:
        cells = [read(sample_path(content)).pixels, read(swatch_path(style)).pixels]
        for method in METHODS:
            picture, took = painted((content, style), method, size=asked.size, folder=asked.folder)
            cells.append(read(picture).pixels)
            seconds[method] += took / len(pairs)
        rows.append(cells)
    for method, mean in seconds.items():
        print(f"{method}: {mean:.1f} processor seconds a picture of {asked.size} px")
    if asked.row is None:
        labels = ["", "style", *METHODS]
        sheet = Painting(contact_sheet(rows, column_labels=labels, cell_px=asked.size))
        sheet.save(asked.sheet, OutputOptions(quality=82))


if __name__ == "__main__":
    main()
