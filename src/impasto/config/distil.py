"""Options of teaching one network the styles of several teachers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from impasto.config.fast_training import FastNetworkOptions
from impasto.core.options import Doc, Range


@dataclass(frozen=True, kw_only=True)
class DistilOptions(FastNetworkOptions):
    """Training of a fast network by teachers: it paints contents as they do."""

    teachers: Annotated[
        tuple[Path, ...],
        Doc(
            "What teaches a style each: names or files of trained styles, pictures, which --network paints in the "
            "manner of, or folders of finished results, named as their contents."
        ),
    ] = ()
    network: Annotated[str, Doc("Network that paints in the manner of pictures: a name or a file.")] = "compact-any"
    style_px: Annotated[int, Doc("Long side of those pictures: larger ones give larger strokes."), Range(64, 4096)] = (
        256
    )
    teacher_strength: Annotated[
        float, Doc("Strength with which teachers paint; 0 is the content itself."), Range(0, 10)
    ] = 1.0
    cache: Annotated[
        Path | None,
        Doc(
            "Folder to keep the teachers' paintings in, so that each is painted once. Of each content there is then "
            "one crop, always the same."
        ),
    ] = None
    pixel_weight: Annotated[float, Doc("Weight of the teachers' pixels."), Range(0)] = 10.0
    feature_weight: Annotated[float, Doc("Weight of what the encoder sees of them."), Range(0)] = 1.0
    feature_layers: Annotated[
        tuple[str, ...],
        Doc("Layers that are compared. Without: relu1_2, relu2_2, relu3_3, relu4_3 of VGG-16, relu1_1 … relu4_1."),
    ] = ()
    smoothness_weight: Annotated[float, Doc("Weight of total variation."), Range(0)] = 0.0
