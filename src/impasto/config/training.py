"""Options of training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from impasto.core.options import Choice, Doc, Options, Range

ENCODERS = ("compact-vgg", "vgg16-bn", "vgg19-bn")


@dataclass(frozen=True, kw_only=True)
class FitOptions(Options, title="Training"):
    """The training loop, for any task."""

    steps: Annotated[int, Doc("Number of optimiser steps; may be raised when a run is resumed."), Range(1)] = 6000
    batch_size: Annotated[int, Doc("Batch size."), Range(1, 4096)] = 32
    optimizer: Annotated[str, Doc("Optimiser."), Choice(("adamw", "adam", "sgd"))] = "adamw"
    learning_rate: Annotated[float, Doc("Peak learning rate, reached after the warm-up."), Range(0)] = 2e-3
    schedule: Annotated[str, Doc("Learning rate schedule."), Choice(("cosine", "constant", "inverse"))] = "cosine"
    decay: Annotated[
        float, Doc("Decay of the inverse schedule: the learning rate is divided by 1 + decay × step."), Range(0)
    ] = 5e-5  # as in AdaIN's code (Huang & Belongie 2017)
    warmup_steps: Annotated[int, Doc("Steps of linear warm-up."), Range(0)] = 50
    weight_decay: Annotated[float, Doc("Weight decay; not applied to biases and norms."), Range(0, 1)] = 1e-4
    accumulate: Annotated[int, Doc("Gradient accumulation steps: less memory, more time."), Range(1, 4096)] = 1
    clip_norm: Annotated[float, Doc("Maximum gradient norm; 0 disables clipping."), Range(0)] = 5.0
    precision: Annotated[
        str,
        Doc("Precision of forward and backward passes. Auto: bfloat16 where the hardware computes it natively."),
        Choice(("auto", "bfloat16", "float32")),
    ] = "auto"
    average_decay: Annotated[
        float, Doc("Decay of the exponential moving average of the weights; 0 disables it."), Range(0, 0.99999)
    ] = 0.998
    checkpoint_every: Annotated[int, Doc("Steps between checkpoints."), Range(1)] = 250
    log_every: Annotated[int, Doc("Steps between log entries."), Range(1)] = 20
    sample_every: Annotated[int, Doc("Steps between sample pictures; 0 disables them."), Range(0)] = 0
    animation: Annotated[bool, Doc("Write samples.gif, an animation of the sample pictures.")] = False
    tensorboard: Annotated[bool, Doc("Write losses and sample pictures for TensorBoard.")] = False
    device: Annotated[
        str, Doc("Device. Auto: CUDA if available, else CPU."), Choice(("auto", "cpu", "cuda", "mps"))
    ] = "auto"
    seed: Annotated[int, Doc("Seed of initial weights, data order and crops."), Range(0)] = 0


@dataclass(frozen=True, kw_only=True)
class BackboneOptions(Options, title="Encoder"):
    """Training of an encoder: classification of labelled pictures, or distillation from a teacher."""

    data: Annotated[
        tuple[Path, ...],
        Doc(
            "Folders of pictures, or CSVs with the columns path and class. For classification, one sub-folder a class."
        ),
    ] = ()
    data_weights: Annotated[
        tuple[float, ...], Doc("Relative frequency of the pictures of each source; one number for all."), Range(0)
    ] = (1.0,)
    validation: Annotated[Path | None, Doc("Folder or CSV to measure on; not trained on.")] = None
    arch: Annotated[
        str, Doc("Architecture. Batch norms are folded into the convolutions of the weight file."), Choice(ENCODERS)
    ] = "compact-vgg"
    teacher: Annotated[
        str | None, Doc("Teacher encoder for distillation: a name or a file. Without: classification.")
    ] = None
    start_from: Annotated[str | None, Doc("Encoder to initialise the weights from: a name or a file.")] = None
    epochs: Annotated[float | None, Doc("Passes over the pictures; sets `steps`."), Range(0)] = None
    crop_px: Annotated[int, Doc("Side of the training crops in pixels."), Range(32, 1024)] = 128
    short_side_px: Annotated[int, Doc("Short side that pictures are scaled down to."), Range(32, 2048)] = 160
    smallest_crop: Annotated[float, Doc("Smallest crop, relative to the short side."), Range(0.1, 1)] = 0.5
    memory_gb: Annotated[float, Doc("Size of the cache of decoded pictures."), Range(0, 1e6)] = 4
    score_weight: Annotated[float, Doc("Weight of the teacher's class scores, relative to its features."), Range(0)] = (
        0.2
    )
    temperature: Annotated[float, Doc("Temperature of the class scores (Hinton 2015)."), Range(0.1, 100)] = 2.0
    licence: Annotated[str, Doc("Licence of the trained weights, for the card.")] = "not stated"
    about: Annotated[str, Doc("Origin of data and teacher, for the card.")] = ""
