"""Options of teaching a network of many styles one more."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from impasto.config.fast_training import FastFitOptions
from impasto.core.options import Doc, Options, Range


@dataclass(frozen=True, kw_only=True)
class NewStyleFitOptions(FastFitOptions):
    """How it is trained: as a fast network, with other defaults."""

    steps: Annotated[int, Doc("Number of optimiser steps of the scales and shifts."), Range(1)] = 250
    learning_rate: Annotated[float, Doc("Highest learning rate, reached after the warm-up."), Range(0)] = 3e-2
    warmup_steps: Annotated[int, Doc("Steps in which the learning rate climbs from zero."), Range(0)] = 20
    average_decay: Annotated[float, Doc("Decay of the averaged weights (EMA); 0 keeps none."), Range(0, 0.99999)] = 0.98
    checkpoint_every: Annotated[int, Doc("Steps between checkpoints."), Range(1)] = 50
    sample_every: Annotated[int, Doc("Steps between pictures that the network makes; 0 makes none."), Range(0)] = 20


@dataclass(frozen=True, kw_only=True)
class NewStyleOptions(Options):
    """A new style for a network that knows some: scales and shifts are learned, its convolutions stay.

    What is left out is as the network was trained.
    """

    network: Annotated[str, Doc("Network that is to learn the style: a name or a file.")] = "compact-styles"
    name: Annotated[str | None, Doc("Name of the style. Without: the picture's.")] = None
    replace: Annotated[bool, Doc("Take the place of a style that has this name already.")] = False
    contents: Annotated[
        tuple[Path, ...],
        Doc("Folders of content pictures, or CSVs with a column path. Without: photographs of scikit-image."),
    ] = ()
    content_weight: Annotated[float | None, Doc("Weight of the content."), Range(0)] = None
    style_weight: Annotated[float | None, Doc("Weight of the style."), Range(0)] = None
    style_px: Annotated[
        int | None,
        Doc("Short side that the picture is scaled down to: larger ones give larger strokes."),
        Range(32, 4096),
    ] = None
    crop_px: Annotated[int | None, Doc("Side of the square that the network sees."), Range(32, 1024)] = None
    whole_steps: Annotated[
        int, Doc("Steps in which the whole network is trained afterwards, for this style alone."), Range(0)
    ] = 0
    whole_learning_rate: Annotated[float, Doc("Their highest learning rate."), Range(0)] = 1e-3
    licence: Annotated[str, Doc("Licence of the trained weights, for their card.")] = "not stated"
    about: Annotated[str, Doc("Whose picture it is, for the card.")] = ""
