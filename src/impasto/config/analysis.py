"""Options of analysing pictures and encoders: reconstructions, Gram matrices, feature maps, sweeps and loss curves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from impasto.config.optimise import LossOptions
from impasto.core.options import Choice, Doc, Options, Range

STAGE_LAYERS = LossOptions().style_layers


@dataclass(frozen=True, kw_only=True)
class EncoderViewOptions(Options, title="Encoder"):
    """The encoder of an analysis and the size of the picture."""

    encoder: Annotated[str, Doc("Encoder: a name of `impasto models list`, or a weight file.")] = "compact-vgg"
    pooling: Annotated[
        str, Doc("Pooling of the encoder; native: as the weights were trained."), Choice(("native", "max", "average"))
    ] = "native"
    size: Annotated[int, Doc("Long side of the picture in pixels; 0 keeps its size."), Range(0, 100_000)] = 256


@dataclass(frozen=True, kw_only=True)
class RebuildOptions(Options, title="Rebuilding"):
    """How a picture is reconstructed from noise."""

    steps: Annotated[int, Doc("Steps of L-BFGS."), Range(1)] = 200
    tv_weight: Annotated[
        float, Doc("Weight of total variation, which smooths areas that the features do not determine."), Range(0)
    ] = 0.3
    style_loss: Annotated[str, Doc("Statistic of the style layers: a name of the style loss table.")] = "gram"
    history: Annotated[int, Doc("History size of L-BFGS."), Range(1, 200)] = 50
    precision: Annotated[
        str,
        Doc("Precision of the encoder; auto: the fastest on this processor."),
        Choice(("auto", "float32", "bfloat16")),
    ] = "auto"
    seed: Annotated[int, Doc("Seed of the noise and of projections."), Range(0)] = 0


@dataclass(frozen=True, kw_only=True)
class RebuildTarget(Options, title="Target"):
    """What a picture is reconstructed from: the features of one layer, or the style statistics of one or several."""

    content_layer: Annotated[str | None, Doc("Layer whose features are matched.")] = None
    style_layer: Annotated[tuple[str, ...], Doc("Layer whose style statistic is matched; may be repeated.")] = ()


@dataclass(frozen=True, kw_only=True)
class GramOptions(Options, title="Gram matrices"):
    """How Gram matrices are drawn."""

    layers: Annotated[tuple[str, ...], Doc("Layers whose Gram matrices are drawn.")] = STAGE_LAYERS
    scale: Annotated[
        str,
        Doc("log: signed logarithm; linear; cosine: normalised by the strengths of both channels."),
        Choice(("log", "linear", "cosine")),
    ] = "log"
    order: Annotated[
        str,
        Doc("Channels by number, by strength, or clustered, so that correlated channels are neighbours."),
        Choice(("index", "strongest", "clustered")),
    ] = "index"
    cell_px: Annotated[int, Doc("Longest side of a matrix in the picture, in pixels."), Range(32, 4096)] = 256


@dataclass(frozen=True, kw_only=True)
class FeatureOptions(Options, title="Channels"):
    """How the channels of a layer are drawn."""

    layer: Annotated[str, Doc("Layer whose channels are drawn.")] = "relu3_1"
    channels: Annotated[int, Doc("Number of channels; 0 draws all."), Range(0, 4096)] = 64
    order: Annotated[
        str, Doc("Which channels come first: the strongest, or by number."), Choice(("strongest", "index"))
    ] = "strongest"
    cell_px: Annotated[int, Doc("Longest side of a channel in the picture, in pixels."), Range(16, 4096)] = 112


@dataclass(frozen=True, kw_only=True)
class LayersOptions(Options, title="Sheet"):
    """The layers of a sheet of reconstructions, and its size."""

    layers: Annotated[tuple[str, ...], Doc("Layers to reconstruct from, shallow to deep.")] = STAGE_LAYERS
    cell_px: Annotated[int, Doc("Longest side of a picture in the sheet, in pixels."), Range(32, 4096)] = 224


@dataclass(frozen=True, kw_only=True)
class SweepOptions(Options, title="Sweep"):
    """How a sweep is painted, measured and shown."""

    cell_px: Annotated[int, Doc("Long side of a picture in sheet and report, in pixels."), Range(32, 4096)] = 256
    columns: Annotated[int, Doc("Pictures per row of the sheet if only one option varies."), Range(1, 100)] = 6
    again: Annotated[bool, Doc("Paint finished pictures again.")] = False
    measure_with: Annotated[str | None, Doc("Encoder of the measures, the same for every run. Without: `encoder`.")] = (
        None
    )
    style_picture: Annotated[
        tuple[Path, ...],
        Doc("Reference picture for the measures of trained and saved styles; one per `style`, in the same order."),
    ] = ()


@dataclass(frozen=True, kw_only=True)
class CurveOptions(Options, title="Curves"):
    """How the losses of training runs are drawn."""

    scale: Annotated[
        str,
        Doc("Scale of the loss axis. auto: logarithmic if the largest loss is at least 20 times the smallest."),
        Choice(("auto", "linear", "log")),
    ] = "auto"
    smooth: Annotated[
        float, Doc("Window of the running mean as a fraction of the run; 0 disables smoothing."),
        Range(0, 1),
    ] = 0.04  # fmt: skip
