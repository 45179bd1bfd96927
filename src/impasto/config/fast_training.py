"""Options of training fast networks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from impasto.config.training import FitOptions
from impasto.core.options import Choice, Doc, Options, Range

MULTI_STYLE = ("conditional", "sum", "average", "alternate")
LOSS_SCALES = ("relative", "papers")


@dataclass(frozen=True, kw_only=True)
class FastFitOptions(FitOptions, steps=4000, batch_size=4, optimizer="adam", learning_rate=2e-3, weight_decay=0.0):
    """The training loop, with defaults for fast networks."""


@dataclass(frozen=True, kw_only=True)
class FastNetworkOptions(Options):
    """Options of all trainings of fast networks: contents, several styles, and the architecture."""

    contents: Annotated[tuple[Path, ...], Doc("Folders of content pictures, or CSVs with the column path.")] = ()
    multi_style: Annotated[
        str,
        Doc(
            "Several styles: one network with a style each, which blend when painting (conditional), or one style "
            "trained on the weighted sum of their losses, on the average, or on each in turn (alternate)."
        ),
        Choice(MULTI_STYLE),
    ] = "conditional"
    weights: Annotated[tuple[float, ...], Doc("Weights of the styles; one number for all."), Range(0)] = (1.0,)
    alternate_every: Annotated[int, Doc("Steps of each turn, with `multi_style=alternate`."), Range(1)] = 1
    epochs: Annotated[float | None, Doc("Passes over the content set; sets `steps`."), Range(0)] = None
    encoder: Annotated[str, Doc("Encoder of the losses: a name or a file.")] = "compact-vgg"
    pooling: Annotated[str, Doc("Pooling of the encoder."), Choice(("native", "max", "average"))] = "native"
    smoothness_weight: Annotated[float, Doc("Weight of the total variation loss."), Range(0)] = 1.0
    noise_weight: Annotated[float, Doc("Weight of the stability loss under input noise, for video."), Range(0)] = 0.0
    motion_weight: Annotated[
        float, Doc("Weight of the stability loss under random motion of the input, for video."), Range(0)
    ] = 0.0
    short_side_px: Annotated[int, Doc("Short side that contents are scaled down to."), Range(32, 4096)] = 320
    crop_px: Annotated[int, Doc("Side of the training crops in pixels."), Range(32, 1024)] = 256
    smallest_crop: Annotated[float, Doc("Smallest crop, relative to the short side."), Range(0.05, 1)] = 0.6
    validation: Annotated[
        Path | None,
        Doc("Contents of the samples. Without: some contents, which are not trained on if there are enough."),
    ] = None
    memory_gb: Annotated[float, Doc("Size of the cache of decoded pictures."), Range(0, 1e6)] = 4
    widths: Annotated[
        tuple[int, ...],
        Doc("Channels of the downsampling stages, each at half the resolution of the previous one."),
        Range(1, 1024),
    ] = (16, 32, 96)
    blocks: Annotated[int, Doc("Residual blocks."), Range(0, 64)] = 4
    outer_px: Annotated[
        int, Doc("Kernel size of the first and last convolution (Johnson et al.: 9)."), Range(1, 15)
    ] = 3
    skips: Annotated[bool, Doc("Additive skip connections, as in a U-Net.")] = True
    recolours: Annotated[
        bool, Doc("Transfer the style's colours to the content first, so that only strokes and shapes are learned.")
    ] = True
    upsampling: Annotated[
        str,
        Doc("Upsampling. Bilinear, after a blur, avoids grid patterns; nearest is faster."),
        Choice(("bilinear", "nearest", "transposed")),
    ] = "bilinear"
    norm: Annotated[
        str,
        Doc("Normalisation: each picture by itself (instance), which suits style, or by the batch (Johnson et al.)."),
        Choice(("instance", "batch")),
    ] = "instance"
    texture_noise: Annotated[
        bool, Doc("Noise inputs with learned strength inside the network: irregular texture in flat areas.")
    ] = True
    start_from: Annotated[str | None, Doc("Network to initialise the weights from: a name or a file.")] = None
    name: Annotated[str | None, Doc("Name of the network, for the card. Without: the name of its style.")] = None
    licence: Annotated[str, Doc("Licence of the trained weights, for the card.")] = "not stated"
    about: Annotated[str, Doc("Origin of the data, for the card.")] = ""


@dataclass(frozen=True, kw_only=True)
class FastTrainOptions(FastNetworkOptions, title="Network"):
    """Training of a fast network of one or several styles."""

    styles: Annotated[
        tuple[Path, ...], Doc("Style pictures, folders of them, or CSVs with the columns path, name and about.")
    ] = ()
    alpha: Annotated[
        float | None, Doc("Weight of the first of two styles; the second gets 1 - alpha."), Range(0, 1)
    ] = None
    content_layers: Annotated[
        tuple[str, ...], Doc("Layers of the content loss. Without: relu2_2 of VGG-16, relu3_3 and relu4_2 of others.")
    ] = ()
    style_layers: Annotated[
        tuple[str, ...],
        Doc("Layers of the style loss. Without: relu1_2, relu2_2, relu3_3, relu4_3 of VGG-16, reluN_1 of others."),
    ] = ()
    style_layer_weights: Annotated[
        tuple[float, ...],
        Doc("Weights of the style layers. Without: 0.3, 0.6, 1, 1, 1 for five relative losses, else 1."),
        Range(0),
    ] = ()
    style_losses: Annotated[
        tuple[str, ...],
        Doc("Style losses, which are added. Without: mean-std and gram, or gram with `loss_scale=papers`."),
    ] = ()
    loss_scale: Annotated[
        str,
        Doc(
            "Loss normalisation: relative to the targets, for any encoder and size, or as in the papers (squared "
            "errors of features and of Gram matrices / (c h w)), for weights like 1e5 and 1e10."
        ),
        Choice(LOSS_SCALES),
    ] = "relative"
    content_weight: Annotated[float, Doc("Weight of the content loss."), Range(0)] = 1.0
    normalise_content: Annotated[
        bool, Doc("Compare content features after instance normalisation, so that the contrast of the output is free.")
    ] = False
    sizes: Annotated[int, Doc("Number of scales of the style loss: the crop, half of it, and so on."), Range(1, 4)] = 1
    coherence_weight: Annotated[
        float, Doc("Weight of contrastive coherence with the content, for video."), Range(0)
    ] = 0.0
    style_weight: Annotated[float, Doc("Weight of the style loss."), Range(0)] = 2.0
    style_px: Annotated[int, Doc("Short side of the style pictures; larger means larger strokes."), Range(32, 4096)] = (
        320
    )
