"""Options of the demonstration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from impasto.config.job import DEFAULT_METHOD, OF_PICTURES
from impasto.config.optimise import LossOptions
from impasto.core.options import Choice, Doc, Options, Range


@dataclass(frozen=True, kw_only=True)
class DemoOptions(Options, title="Demo"):
    """What the demonstration paints, and how large."""

    content: Annotated[
        tuple[str, ...],
        Doc("Photographs: astronaut, chelsea, coffee, rocket, motorcycle, camera, hubble, text. Default: two."),
    ] = ()
    style: Annotated[
        tuple[str, ...],
        Doc("Styles to paint in: strokes, woodblock, mosaic, fire, ink, circles, points, cubes. Default: three."),
    ] = ()
    size: Annotated[
        int, Doc("Long side in pixels of the painting: the first photograph in the first style."), Range(64, 4096)
    ] = 384
    sheet_size: Annotated[
        int | None,
        Doc("Long side in pixels at which the pictures of the sheet are painted. Default: 384; by optimisation less."),
        Range(64, 4096),
    ] = None
    sheet: Annotated[Path | None, Doc("Write only the large sheet, all photographs in all styles, to this file.")] = (
        None
    )
    method: Annotated[str, Doc("Method."), Choice(OF_PICTURES)] = DEFAULT_METHOD
    encoder: Annotated[str, Doc("Encoder for optimisation: a name or a weight file.")] = LossOptions().encoder
