"""Options of distillation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from impasto.config.fast_training import FastNetworkOptions
from impasto.core.options import Doc, Range


@dataclass(frozen=True, kw_only=True)
class DistilOptions(FastNetworkOptions, title="Network"):
    """Training of a fast network to paint like its teachers."""

    teachers: Annotated[
        tuple[Path, ...],
        Doc(
            "Teachers, one a style: names or files of trained styles, pictures, whose style `network` paints, or "
            "folders of finished results with the names of their contents."
        ),
    ] = ()
    network: Annotated[str, Doc("Arbitrary network that paints the style of pictures: a name or a file.")] = (
        "compact-any"
    )
    style_px: Annotated[int, Doc("Long side of style pictures; larger means larger strokes."), Range(64, 4096)] = 256
    teacher_strength: Annotated[float, Doc("Strength of the teachers; 0 is the content itself."), Range(0, 10)] = 1.0
    cache: Annotated[
        Path | None,
        Doc(
            "Folder for a cache of the teachers' paintings, so that each is painted once. Each content then has a "
            "single crop."
        ),
    ] = None
    pixel_weight: Annotated[float, Doc("Weight of the pixel loss."), Range(0)] = 10.0
    feature_weight: Annotated[float, Doc("Weight of the feature loss."), Range(0)] = 1.0
    feature_layers: Annotated[
        tuple[str, ...],
        Doc("Layers of the feature loss. Without: relu1_2, relu2_2, relu3_3, relu4_3 of VGG-16, relu1_1 … relu4_1."),
    ] = ()
    smoothness_weight: Annotated[float, Doc("Weight of total variation."), Range(0)] = 0.0
