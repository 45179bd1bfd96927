"""Options of training one more style of a fast network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from impasto.config.fast_training import FastFitOptions
from impasto.core.options import Doc, Options, Range


@dataclass(frozen=True, kw_only=True)
class NewStyleFitOptions(
    FastFitOptions,
    steps=250,
    learning_rate=3e-2,
    warmup_steps=20,
    average_decay=0.98,
    checkpoint_every=50,
    sample_every=20,
):
    """The training loop, with defaults for norm parameters."""


@dataclass(frozen=True, kw_only=True)
class NewStyleOptions(Options, title="Style"):
    """A new style of a network: its norm parameters are trained, the convolutions stay unchanged.

    Options that are None keep the values that the network was trained with.
    """

    network: Annotated[str, Doc("Network to train the style in: a name or a file.")] = "compact-styles"
    name: Annotated[str | None, Doc("Name of the style. Without: the file name of the picture.")] = None
    replace: Annotated[bool, Doc("Replace an existing style of this name.")] = False
    contents: Annotated[
        tuple[Path, ...],
        Doc("Folders of content pictures, or CSVs with the column path. Without: photographs of scikit-image."),
    ] = ()
    content_weight: Annotated[float | None, Doc("Weight of the content loss."), Range(0)] = None
    style_weight: Annotated[float | None, Doc("Weight of the style loss."), Range(0)] = None
    style_px: Annotated[
        int | None, Doc("Short side that the picture is scaled down to; larger means larger strokes."), Range(32, 4096)
    ] = None
    crop_px: Annotated[int | None, Doc("Side of the training crops in pixels."), Range(32, 1024)] = None
    whole_steps: Annotated[int, Doc("Further steps that train the whole network for this style alone."), Range(0)] = 0
    whole_learning_rate: Annotated[float, Doc("Peak learning rate of the further steps."), Range(0)] = 1e-3
    licence: Annotated[str, Doc("Licence of the trained weights, for the card.")] = "not stated"
    about: Annotated[str, Doc("Origin of the picture, for the card.")] = ""
