"""Options of training networks of one trained style, or of several."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from impasto.config.training import FitOptions
from impasto.core.options import Choice, Doc, Options, Range

MANY = ("conditional", "sum", "average", "alternate")
LOSS_SCALES = ("relative", "papers")


@dataclass(frozen=True, kw_only=True)
class FastFitOptions(FitOptions):
    """How it is trained: as any network, with other defaults."""

    steps: Annotated[int, Doc("Number of optimiser steps."), Range(1)] = 4000
    batch_size: Annotated[int, Doc("Contents a step."), Range(1, 4096)] = 4
    optimizer: Annotated[str, Doc("Optimiser."), Choice(("adamw", "adam", "sgd"))] = "adam"
    learning_rate: Annotated[float, Doc("Highest learning rate, reached after the warm-up."), Range(0)] = 2e-3
    weight_decay: Annotated[float, Doc("Weight decay; not applied to biases and norms."), Range(0, 1)] = 0.0


@dataclass(frozen=True, kw_only=True)
class FastNetworkOptions(Options):
    """What the trainings of fast networks share: contents, what several styles become, and the network."""

    contents: Annotated[tuple[Path, ...], Doc("Folders of content pictures, or CSVs with a column path.")] = ()
    many: Annotated[
        str,
        Doc(
            "What several styles become: a style each, blended at will when painting (conditional), or one style by "
            "the weighted sum of their losses, by the average, or by turns (alternate)."
        ),
        Choice(MANY),
    ] = "conditional"
    weights: Annotated[tuple[float, ...], Doc("Weights of the styles; one number serves all."), Range(0)] = (1.0,)
    alternate_every: Annotated[int, Doc("Steps of each turn, with --many alternate."), Range(1)] = 1
    epochs: Annotated[
        float | None, Doc("Times that as many contents are seen as there are; sets --steps."), Range(0)
    ] = None
    encoder: Annotated[str, Doc("Encoder that sees the pictures: a name or a file.")] = "compact-vgg"
    pooling: Annotated[str, Doc("Pooling of the encoder."), Choice(("native", "max", "average"))] = "native"
    smoothness_weight: Annotated[float, Doc("Weight of total variation."), Range(0)] = 1.0
    noise_weight: Annotated[float, Doc("Weight of steadiness under noise, for video."), Range(0)] = 0.0
    short_side_px: Annotated[int, Doc("Contents are scaled down to this short side."), Range(32, 4096)] = 320
    crop_px: Annotated[int, Doc("Side of the square that the network sees."), Range(32, 1024)] = 256
    smallest_crop: Annotated[float, Doc("Smallest crop, as a part of the short side."), Range(0.05, 1)] = 0.6
    validation: Annotated[
        Path | None, Doc("Pictures to paint as samples. Without: some contents, which are kept out of the training.")
    ] = None
    memory_gb: Annotated[float, Doc("Pictures that fit into so much memory are kept there."), Range(0)] = 4
    widths: Annotated[
        tuple[int, ...], Doc("Channels on the way down; each next one at half the size."), Range(1, 1024)
    ] = (16, 32, 96)
    blocks: Annotated[int, Doc("Residual blocks."), Range(0, 64)] = 4
    outer_px: Annotated[int, Doc("Side of the first and last convolution (Johnson et al.: 9)."), Range(1, 15)] = 3
    skips: Annotated[bool, Doc("Add to each layer on the way up the one of its size on the way down.")] = True
    recolours: Annotated[
        bool, Doc("Give contents the colours of the style first, so that strokes and forms alone are to be learned.")
    ] = True
    upsampling: Annotated[str, Doc("How the picture is doubled."), Choice(("nearest", "transposed"))] = "nearest"
    start_from: Annotated[str | None, Doc("Trained network whose weights to begin with: a name or a file.")] = None
    name: Annotated[str | None, Doc("Name of the network, for its card. Without: of its style.")] = None
    licence: Annotated[str, Doc("Licence of the trained weights, for their card.")] = "not stated"
    about: Annotated[str, Doc("Where the data are from, for the card.")] = ""


@dataclass(frozen=True, kw_only=True)
class FastTrainOptions(FastNetworkOptions):
    """Training of a fast network: contents painted in one style, in a mixture of some, or in each of many."""

    styles: Annotated[
        tuple[Path, ...], Doc("Style pictures, folders of them, or CSVs with the columns path, name and about.")
    ] = ()
    alpha: Annotated[float | None, Doc("Of two styles: weight of the first; the second has the rest."), Range(0, 1)] = (
        None
    )
    content_layers: Annotated[
        tuple[str, ...], Doc("Layers of the content loss. Without: relu2_2 of VGG-16, relu3_3 and relu4_2 of others.")
    ] = ()
    style_layers: Annotated[
        tuple[str, ...],
        Doc("Layers of the style loss. Without: relu1_2, relu2_2, relu3_3, relu4_3 of VGG-16, reluN_1 of others."),
    ] = ()
    style_layer_weights: Annotated[
        tuple[float, ...],
        Doc("Their weights; one number serves all. Without: 0.3, 0.6, 1, 1, 1 of five relative ones, else 1."),
        Range(0),
    ] = ()
    style_losses: Annotated[
        tuple[str, ...],
        Doc("Style losses, added: covariance, …. Without: gram and mean-std, or gram with --loss-scale papers."),
    ] = ()
    loss_scale: Annotated[
        str,
        Doc(
            "What the weights weigh: losses relative to their targets, which suits every encoder and size, or those of "
            "the papers (squared errors of the encoder's features, and of their Gram matrices / (c h w)), for weights "
            "like 1e5 and 1e10."
        ),
        Choice(LOSS_SCALES),
    ] = "relative"
    content_weight: Annotated[float, Doc("Weight of the content."), Range(0)] = 1.0
    style_weight: Annotated[float, Doc("Weight of the style."), Range(0)] = 2.0
    style_px: Annotated[
        int, Doc("Short side of the style pictures: larger ones give larger strokes."), Range(32, 4096)
    ] = 320
