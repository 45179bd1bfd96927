"""Options of training arbitrary networks."""

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
    "efdm",
    "wct",
    "wct-skip",
    "predicted",
    "predicted-half",
)


@dataclass(frozen=True, kw_only=True)
class ArbitraryFitOptions(
    FitOptions, steps=20_000, batch_size=8, optimizer="adam", learning_rate=1e-3, weight_decay=0.0
):
    """The training loop, with defaults for arbitrary networks; a batch is of pairs of content and style."""


@dataclass(frozen=True, kw_only=True)
class ArbitraryTrainOptions(Options, title="Network"):
    """Training of an arbitrary network: random pairs of contents and styles."""

    contents: Annotated[tuple[Path, ...], Doc("Folders of content pictures, or CSVs with the column path.")] = ()
    styles: Annotated[tuple[Path, ...], Doc("Folders of style pictures, or CSVs with the column path.")] = ()
    variant: Annotated[str, Doc("Variant of the network."), Choice(VARIANTS)] = "predicted"
    encoder: Annotated[str, Doc("Encoder of the losses and of the style: a name or a file.")] = "compact-vgg"
    start_from: Annotated[
        str | None,
        Doc(
            "Network to initialise the weights from: a name or a file; none for random weights. Without, `predicted` "
            "starts with the painter of compact-styles, all others with random weights. `predicted-half` can start "
            "from a network of `predicted`; it then paints as that one does at half the size."
        ),
    ] = None
    teacher: Annotated[
        str | None, Doc("Arbitrary network to distil: its paintings replace the contents in the content loss.")
    ] = None
    keep_painter: Annotated[bool, Doc("Train the predictor only; the painter of `start_from` stays unchanged.")] = False
    short_side_px: Annotated[int, Doc("Short side that pictures are scaled down to."), Range(32, 4096)] = 512
    crop_px: Annotated[int, Doc("Side of the training crops in pixels."), Range(32, 1024)] = 256
    smallest_crop: Annotated[float, Doc("Smallest crop, relative to the short side."), Range(0.05, 1)] = 0.5
    memory_gb: Annotated[float, Doc("Size of the cache of decoded pictures."), Range(0, 1e6)] = 4
    content_weight: Annotated[float, Doc("Weight of the content loss."), Range(0)] = 1.0
    style_weight: Annotated[float, Doc("Weight of the style loss."), Range(0)] = 4.0
    pixel_weight: Annotated[float, Doc("Weight of the pixel loss against the painting of `teacher`."), Range(0)] = 10.0
    identity_weight: Annotated[float, Doc("Weight of the identity loss."), Range(0)] = 0.0
    smoothness_weight: Annotated[float, Doc("Weight of the total variation loss."), Range(0)] = 0.0
    noise_weight: Annotated[float, Doc("Weight of the stability loss under input noise, for video."), Range(0)] = 0.0
    motion_weight: Annotated[
        float, Doc("Weight of the stability loss under random motion of the input, for video."), Range(0)
    ] = 0.0
    coherence_weight: Annotated[
        float, Doc("Weight of contrastive coherence with the content, for video."), Range(0)
    ] = 0.0
    content_layers: Annotated[tuple[str, ...], Doc("Layers of the content loss.")] = ("relu3_3", "relu4_2")
    normalise_content: Annotated[
        bool, Doc("Compare content features after instance normalisation, so that the contrast of the output is free.")
    ] = False
    sizes: Annotated[int, Doc("Number of scales of the style loss: the crop, half of it, and so on."), Range(1, 4)] = 1
    style_layers: Annotated[tuple[str, ...], Doc("Layers of the style loss.")] = (
        "relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1",
    )  # fmt: skip
    style_layer_weights: Annotated[tuple[float, ...], Doc("Weights of the style layers."), Range(0)] = (
        0.3, 0.6, 1.0, 1.0, 1.0,
    )  # fmt: skip
    style_losses: Annotated[tuple[str, ...], Doc("Style losses, which are added: mean-std, gram, covariance, ….")] = (
        "mean-std",
        "gram",
    )
    name: Annotated[str, Doc("Name of the network, for the card.")] = "arbitrary"
    licence: Annotated[str, Doc("Licence of the trained weights, for the card.")] = "not stated"
    about: Annotated[str, Doc("Origin of the data, for the card.")] = ""
