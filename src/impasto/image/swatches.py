"""Style pictures that the package draws itself, so that a first painting needs no file but a photograph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from impasto.core.errors import OptionError, UnknownName
from impasto.image import flowing, outlined, planes
from impasto.image.brushwork import Bytes
from impasto.image.pixels import from_bytes
from impasto.image.resize import SizeHW

SMALLEST_SIDE_PX = 16  # below it nothing of a drawing is left


@dataclass(frozen=True)
class Swatch:
    """A style to draw: `draw(size_hw, rng)` gives `(h, w, 3)` uint8, the same for the same size and generator."""

    name: str
    about: str
    draw: Callable[[SizeHW, np.random.Generator], Bytes]


SWATCHES: dict[str, Swatch] = {
    row.name: row
    for row in (
        Swatch("strokes", "thick night-blue strokes that eddy around yellow lights", flowing.night_strokes),
        Swatch("woodblock", "curling waves in indigo and cream with dark outlines", outlined.woodblock),
        Swatch("mosaic", "jewel-coloured glass in dark lead, around a rose", outlined.leaded_glass),
        Swatch("fire", "long wavy bands of orange and red over dark teal", flowing.fire_bands),
        Swatch("ink", "sepia hatching on cream paper, crossing where it is dark", flowing.hatching),
        Swatch("circles", "circles within circles, wedges and lines on ochre", planes.geometry),
        Swatch("points", "dots of neighbouring and opposite colours", flowing.dots),
        Swatch("cubes", "splintered planes in ochre, grey and blue", planes.facets),
    )
}
"""The swatches by name; the first is the demo's."""


def known(name: str) -> Swatch:
    """The row of a name; `UnknownName` where there is none."""
    if name not in SWATCHES:
        raise UnknownName.of("swatch", name, SWATCHES)
    return SWATCHES[name]


def swatch(name: str, *, size_hw: SizeHW = (480, 600), seed: int = 0) -> Tensor:
    """The swatch `name` as `(1, 3, h, w)` in `[0, 1]`: about half a second at the default size.

    A size gives the same drawing larger or smaller, another aspect or seed another drawing. Raises `UnknownName`, and
    `OptionError` for a side below 16 px or a seed below 0.
    """
    row = known(name)
    if min(size_hw) < SMALLEST_SIDE_PX:
        raise OptionError(f"the swatch's size is {tuple(size_hw)}; {SMALLEST_SIDE_PX} px a side or more are needed.")
    if seed < 0:
        raise OptionError(f"the swatch's seed is {seed}; 0 or more is needed.")
    return from_bytes(row.draw(size_hw, np.random.default_rng(seed)))
