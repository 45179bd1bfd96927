"""Draw the style swatches of the package again: `python -m tools.swatches`."""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from impasto.image.resize import SizeHW
from impasto.image.swatches import FOLDER
from tools.swatches import flowing, outlined, planes
from tools.swatches.brushwork import Bytes

SIZE_HW = (410, 512)
OVERSAMPLING = 2
QUALITY = 66
SEED = 0

DRAWINGS: dict[str, Callable[[SizeHW, np.random.Generator], Bytes]] = {
    "strokes": flowing.night_strokes,
    "woodblock": outlined.woodblock,
    "mosaic": outlined.leaded_glass,
    "fire": flowing.fire_bands,
    "ink": flowing.hatching,
    "circles": planes.geometry,
    "points": flowing.dots,
    "cubes": planes.facets,
}
"""`draw(size_hw, rng)` gives `(h, w, 3)` uint8, the same for the same size and generator."""


def drawn(name: str, size_hw: SizeHW = SIZE_HW) -> Image.Image:
    """The drawing `name` at `size_hw`, drawn larger and shrunk."""
    height, width = size_hw
    large = DRAWINGS[name]((height * OVERSAMPLING, width * OVERSAMPLING), np.random.default_rng(SEED))
    return Image.fromarray(large).resize((width, height), Image.Resampling.LANCZOS)


def encoded(image: Image.Image) -> bytes:
    """The WebP file of a drawing."""
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=QUALITY, method=6, use_sharp_yuv=True)
    return buffer.getvalue()


def main() -> None:
    """Write every swatch into a folder, by default the package's."""
    parser = argparse.ArgumentParser(description="Draw the style swatches of the package.")
    parser.add_argument("--output", type=Path, default=FOLDER, help="folder to write to (default: %(default)s)")
    folder: Path = parser.parse_args().output
    folder.mkdir(parents=True, exist_ok=True)
    for name in DRAWINGS:
        data = encoded(drawn(name))
        (folder / f"{name}.webp").write_bytes(data)
        print(f"{folder / f'{name}.webp'}  {len(data)} bytes", flush=True)


if __name__ == "__main__":
    main()
