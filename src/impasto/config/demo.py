"""Options of the demonstration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from impasto.config.optimise import LossOptions
from impasto.core.options import Doc, Options, Range


@dataclass(frozen=True, kw_only=True)
class DemoOptions(Options):
    """What the demonstration paints, and how large."""

    content: Annotated[
        tuple[str, ...],
        Doc("Photographs to repaint: astronaut, chelsea, coffee, rocket, motorcycle, camera, hubble. Default: two."),
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
        Doc("Long side in pixels at which the pictures of the sheet are painted. Default: 192, with --sheet 288."),
        Range(64, 4096),
    ] = None
    sheet: Annotated[
        Path | None, Doc("Draw the large sheet, six photographs in six styles, into this file, and no single painting.")
    ] = None
    encoder: Annotated[str, Doc("Encoder: a name of `impasto models list`, or a weight file.")] = LossOptions().encoder
