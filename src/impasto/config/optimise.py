"""Options of painting by optimisation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from impasto.core.errors import OptionError
from impasto.core.options import Choice, Doc, Options, Range, changed_options, option

INITS = ("one-pass", "recoloured", "content", "style", "noise", "grey", "statistics", "picture")


@dataclass(frozen=True, kw_only=True)
class LossOptions(Options, title="Losses (`method=optimise`)"):
    """The losses that painting minimises."""

    encoder: Annotated[str, Doc("Encoder: a name of `impasto models list`, or a weight file.")] = "compact-vgg"
    pooling: Annotated[
        str,
        Doc("Pooling of the encoder; native is the pooling it was trained with."),
        Choice(("native", "max", "average")),
    ] = "native"
    content_layers: Annotated[tuple[str, ...], Doc("Layers of the content loss.")] = ("relu3_2", "relu4_2")
    content_loss: Annotated[
        str, Doc("Distance of content features."), Choice(("l2", "l1", "huber", "self-similarity"))
    ] = "l2"
    content_reduction: Annotated[str, Doc("Sum or mean over features."), Choice(("mean", "sum"))] = "mean"
    content_weight: Annotated[float, Doc("Weight of the content loss."), Range(0)] = 1.5
    style_layers: Annotated[tuple[str, ...], Doc("Layers of the style loss.")] = (
        "relu1_1",
        "relu2_1",
        "relu3_1",
        "relu4_1",
        "relu5_1",
    )
    style_layer_weights: Annotated[
        tuple[float, ...],
        Doc("Weight of each style layer, in order; one number for all. Default: 0.3, 0.6, then 1, by stage."),
        Range(0),
    ] = ()
    style_loss: Annotated[
        str, Doc("Style loss, a statistic and a distance: a name of the table in docs/optimise.md.")
    ] = "wasserstein2"
    style_weight: Annotated[float, Doc("Weight of the style loss."), Range(0)] = 10.0
    neighbour_content: Annotated[
        float,
        Doc("Style loss neighbours: share of the content, against the canvas so far, in the search of neighbours."),
        Range(0, 1),
    ] = 0.25
    palette_weight: Annotated[
        float, Doc("Weight of the palette loss, the relaxed earth mover's distance of colours."), Range(0)
    ] = 0.0
    tv_weight: Annotated[float, Doc("Weight of total variation, which smooths."), Range(0)] = 2.0
    laplacian_weight: Annotated[
        float, Doc("Weight of the Laplacian loss, which keeps the content's edges."), Range(0)
    ] = 0.0
    balance: Annotated[
        str,
        Doc(
            "Loss normalisation. relative: style losses are divided by their value at the content and content losses "
            "by the size of the features, so one setting fits all pictures. absolute: none, as in Gatys 2016."
        ),
        Choice(("relative", "absolute")),
    ] = "relative"


@dataclass(frozen=True, kw_only=True)
class OptimiseOptions(Options, title="Optimisation (`method=optimise`)"):
    """Optimisation of the picture."""

    init: Annotated[
        str,
        Doc("Start of painting. one-pass: the painting of an arbitrary network; recoloured: content in style colours."),
        Choice(INITS),
    ] = "one-pass"
    init_picture: Annotated[Path | None, Doc("Picture that `init=picture` starts from.")] = None
    optimizer: Annotated[str, Doc("Optimiser of the pixels."), Choice(("lbfgs", "adam"))] = "lbfgs"
    learning_rate: Annotated[float, Doc("Step size of Adam in pixel values; L-BFGS finds its own."), Range(1e-5, 1)] = (
        0.02
    )
    steps: Annotated[
        tuple[int, ...],
        Doc("Steps at each scale, coarse to fine; the last number holds for all finer scales."),
        Range(1, 1_000_000),
    ] = (40, 10)
    seconds: Annotated[
        float,
        Doc("Time budget in seconds: the steps are planned from measured speed. 0: no budget, `steps` as given."),
        Range(0, 86400),
    ] = 0.0
    final_steps: Annotated[
        int,
        Doc(
            "Style loss neighbours: steps of a final pass, in which each layer finds its neighbours anew at each step."
        ),
        Range(0, 1_000_000),
    ] = 0
    final_chroma: Annotated[
        bool, Doc("After painting, give the chroma the mean and covariance of the style's, in Lab; lightness stays.")
    ] = False
    variables: Annotated[
        str,
        Doc("What is optimised: the pixels, or the levels of their Laplacian pyramid."),
        Choice(("pixels", "laplacian")),
    ] = "laplacian"
    scales: Annotated[
        int, Doc("Scales of the pyramid; 1 paints at full size only, 0 chooses by size."), Range(0, 12)
    ] = 0
    scale_factor: Annotated[float, Doc("Ratio of successive scales."), Range(1.1, 4)] = 2.0
    smallest_px: Annotated[int, Doc("Approximate long side of the coarsest scale."), Range(32)] = 256
    history: Annotated[int, Doc("Memory of L-BFGS, in steps."), Range(1, 200)] = 20
    average_decay: Annotated[float, Doc("Decay of Adam's averaged canvas; 0 disables averaging."), Range(0, 0.9999)] = (
        0.9
    )
    seed: Annotated[int, Doc("Seed of noise and projections."), Range(0, 2**63 - 1)] = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        foreign = {"lbfgs": ("learning_rate", "average_decay"), "adam": ("history",)}[self.optimizer]
        changed = [option(name) for name in changed_options(self) if name in foreign]
        if changed:
            other = "adam" if self.optimizer == "lbfgs" else "lbfgs"
            raise OptionError(
                f"{' and '.join(changed)} has no effect on `optimizer={self.optimizer}`. Leave it out, or set "
                f"`optimizer={other}`."
            )
