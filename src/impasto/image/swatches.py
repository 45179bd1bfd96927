"""Style pictures in the package, for a first painting without a style file.

They are drawn by `tools/swatches` and are in the public domain.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from impasto.core.errors import UnknownName
from impasto.image.files import read
from impasto.image.resize import SizeHW, resized

FOLDER = Path(__file__).parent / "drawn"


@dataclass(frozen=True)
class Swatch:
    """A style picture of the package."""

    name: str
    about: str


SWATCHES: dict[str, Swatch] = {
    row.name: row
    for row in (
        Swatch("strokes", "thick night-blue strokes that eddy around yellow lights"),
        Swatch("woodblock", "curling waves in indigo and cream with dark outlines"),
        Swatch("mosaic", "jewel-coloured glass in dark lead, around a rose"),
        Swatch("fire", "long wavy bands of orange and red over dark teal"),
        Swatch("ink", "sepia hatching on cream paper, crossing where it is dark"),
        Swatch("circles", "circles within circles, wedges and lines on ochre"),
        Swatch("points", "dots of neighbouring and opposite colours"),
        Swatch("cubes", "splintered planes in ochre, grey and blue"),
    )
}
"""The swatches by name; the first is the demo's."""


def swatch_path(name: str) -> Path:
    """The file of the swatch `name`, WebP, 512×410 px. Raises `UnknownName`."""
    if name not in SWATCHES:
        raise UnknownName.of("swatch", name, known=SWATCHES)
    return FOLDER / f"{name}.webp"


def swatch(name: str, *, size_hw: SizeHW | None = None) -> Tensor:
    """The swatch `name` as `(1, 3, h, w)` in `[0, 1]`, at the size of its file unless `size_hw` is given.

    Another aspect takes the largest central part of that aspect. Raises `UnknownName`, and `OptionError` for a size
    below 1 px.
    """
    pixels = read(swatch_path(name)).pixels
    return pixels if size_hw is None else resized(_cropped(pixels, size_hw), size_hw)


def _cropped(pixels: Tensor, aspect_hw: SizeHW) -> Tensor:
    """The largest central part of the aspect of `aspect_hw`, to the nearest pixel."""
    height, width = pixels.shape[-2:]
    scale = min(height / max(aspect_hw[0], 1), width / max(aspect_hw[1], 1))
    rows, columns = (max(1, round(side * scale)) for side in aspect_hw)
    top, left = (height - rows) // 2, (width - columns) // 2
    return pixels[..., top : top + rows, left : left + columns]
