"""Options of painting by optimisation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from impasto.core.options import Choice, Doc, Options, Range

INITS = ("content", "style", "noise", "grey", "statistics", "picture")


@dataclass(frozen=True, kw_only=True)
class LossOptions(Options):
    """What the painted picture is measured by."""

    encoder: Annotated[str, Doc("Encoder: a name of `impasto models list`, or a weight file.")] = "compact-vgg"
    pooling: Annotated[
        str,
        Doc("Pooling of the encoder; native is what its weights were trained with."),
        Choice(("native", "max", "average")),
    ] = "native"
    content_layers: Annotated[tuple[str, ...], Doc("Layers whose features keep the content.")] = ("relu3_2", "relu4_2")
    content_loss: Annotated[str, Doc("Distance of content features."), Choice(("l2", "l1", "huber"))] = "l2"
    content_reduction: Annotated[str, Doc("Sum or mean over features."), Choice(("mean", "sum"))] = "mean"
    content_weight: Annotated[float, Doc("Weight of the content."), Range(0)] = 2.5
    style_layers: Annotated[tuple[str, ...], Doc("Layers whose statistics carry the style.")] = (
        "relu1_1",
        "relu2_1",
        "relu3_1",
        "relu4_1",
        "relu5_1",
    )
    style_layer_weights: Annotated[
        tuple[float, ...],
        Doc("Weight of each style layer, in their order; one number serves all. Without: 0.3, 0.6, then 1 by stage."),
        Range(0),
    ] = ()
    style_loss: Annotated[
        str, Doc("Statistic and distance of the style: a name of the style loss table (docs/optimise.md).")
    ] = "wasserstein2"
    style_weight: Annotated[float, Doc("Weight of the style."), Range(0)] = 10.0
    tv_weight: Annotated[float, Doc("Weight of total variation, which smooths."), Range(0)] = 2.0
    laplacian_weight: Annotated[
        float, Doc("Weight of the Laplacian loss, which keeps the content's edges."), Range(0)
    ] = 0.0
    balance: Annotated[
        str,
        Doc(
            "relative: weights count in parts of how far the content is from the style, so one setting serves all "
            "pictures. absolute: weights multiply the losses as they are, as in Gatys 2016."
        ),
        Choice(("relative", "absolute")),
    ] = "relative"


@dataclass(frozen=True, kw_only=True)
class OptimiseOptions(Options):
    """How the picture is painted."""

    init: Annotated[str, Doc("What the canvas starts as."), Choice(INITS)] = "content"
    init_picture: Annotated[Path | None, Doc("The picture that `--init picture` starts from.")] = None
    optimizer: Annotated[str, Doc("Optimiser of the pixels."), Choice(("lbfgs", "adam"))] = "lbfgs"
    learning_rate: Annotated[float, Doc("Step of Adam in pixel values; L-BFGS searches its own."), Range(1e-5, 1)] = (
        0.02
    )
    steps: Annotated[
        tuple[int, ...], Doc("Steps at each scale, coarse to fine; the last number serves all finer."), Range(1)
    ] = (50, 30, 12)
    scales: Annotated[
        int, Doc("Scales of the pyramid; 1 paints at full size only. 0 chooses by the size."), Range(0, 12)
    ] = 0
    scale_factor: Annotated[float, Doc("Ratio of a scale to the one before."), Range(1.1, 4)] = 2.0
    smallest_px: Annotated[int, Doc("Long side of the coarsest scale, about."), Range(32)] = 128
    history: Annotated[int, Doc("Steps that L-BFGS remembers."), Range(1, 200)] = 20
    average_decay: Annotated[float, Doc("Decay of Adam's averaged canvas; 0 keeps none."), Range(0, 0.9999)] = 0.9
    seed: Annotated[int, Doc("Seed of noise and projections."), Range(0)] = 0
