"""Options of training a network that paints in any style."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from impasto.config.training import FitOptions
from impasto.core.options import Choice, Doc, Options, Range

VARIANTS = (
    "adain",
    "adain-residual",
    "adain-skip",
    "adain-colour",
    "wct",
    "wct-skip",
    "predicted",
    "predicted-half",
)


@dataclass(frozen=True, kw_only=True)
class ArbitraryFitOptions(FitOptions):
    """How it is trained: as any network, with other defaults."""

    steps: Annotated[int, Doc("Number of optimiser steps."), Range(1)] = 20_000
    batch_size: Annotated[int, Doc("Pairs of pictures a step."), Range(1, 4096)] = 8
    optimizer: Annotated[str, Doc("Optimiser."), Choice(("adamw", "adam", "sgd"))] = "adam"
    learning_rate: Annotated[float, Doc("Highest learning rate, reached after the warm-up."), Range(0)] = 1e-3
    weight_decay: Annotated[float, Doc("Weight decay; not applied to biases and norms."), Range(0, 1)] = 0.0


@dataclass(frozen=True, kw_only=True)
class ArbitraryTrainOptions(Options):
    """Training of a one-pass network for any style: contents painted in the manner of styles, drawn apart."""

    contents: Annotated[tuple[Path, ...], Doc("Folders of content pictures, or CSVs with a column path.")] = ()
    styles: Annotated[tuple[Path, ...], Doc("Folders of style pictures, or CSVs with a column path.")] = ()
    variant: Annotated[str, Doc("Network to train."), Choice(VARIANTS)] = "predicted"
    encoder: Annotated[str, Doc("Encoder that sees content and style: a name or a file.")] = "compact-vgg"
    start_from: Annotated[
        str | None,
        Doc(
            "Trained network whose weights to begin with: a name or a file; none for random ones. Without, --variant "
            "predicted begins with the painter of compact-styles, all others with random ones."
        ),
    ] = None
    keep_painter: Annotated[
        bool, Doc("Train only what predicts; the painter stays that of --start-from, bit for bit.")
    ] = False
    short_side_px: Annotated[int, Doc("Pictures are scaled down to this short side."), Range(32, 4096)] = 512
    crop_px: Annotated[int, Doc("Side of the square that the network sees."), Range(32, 1024)] = 256
    smallest_crop: Annotated[float, Doc("Smallest crop, as a part of the short side."), Range(0.05, 1)] = 0.5
    memory_gb: Annotated[float, Doc("Pictures that fit into so much memory are kept there."), Range(0)] = 4
    content_weight: Annotated[float, Doc("Weight of the content."), Range(0)] = 1.0
    style_weight: Annotated[float, Doc("Weight of the style."), Range(0)] = 4.0
    identity_weight: Annotated[float, Doc("Weight of a content in its own style staying itself."), Range(0)] = 0.0
    smoothness_weight: Annotated[float, Doc("Weight of total variation."), Range(0)] = 0.0
    noise_weight: Annotated[float, Doc("Weight of steadiness under noise, for video."), Range(0)] = 0.0
    content_layers: Annotated[tuple[str, ...], Doc("Layers of the content loss.")] = ("relu3_3", "relu4_2")
    normalise_content: Annotated[
        bool, Doc("Compare content features after an instance norm, which leaves the contrast of the output free.")
    ] = False
    sizes: Annotated[
        int, Doc("Sizes at which the style is compared: the crop, half of it, and so on."), Range(1, 4)
    ] = 1
    style_layers: Annotated[tuple[str, ...], Doc("Layers of the style loss.")] = (
        "relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1",
    )  # fmt: skip
    style_layer_weights: Annotated[tuple[float, ...], Doc("Their weights; one number serves all."), Range(0)] = (
        0.3, 0.6, 1.0, 1.0, 1.0,
    )  # fmt: skip
    style_losses: Annotated[tuple[str, ...], Doc("Style losses, added: mean-std, gram, covariance, ….")] = (
        "mean-std",
        "gram",
    )
    name: Annotated[str, Doc("Name of the network, for its card.")] = "adain"
    licence: Annotated[str, Doc("Licence of the trained weights, for their card.")] = "not stated"
    about: Annotated[str, Doc("Where the data are from, for the card.")] = ""
