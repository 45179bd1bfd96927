"""What an analysis looks at, and through what."""

from __future__ import annotations

import torch
from torch import Tensor

from impasto.config.analysis import EncoderViewOptions
from impasto.encoders.table import Encoder, Progress, load_encoder
from impasto.image.files import Picture
from impasto.image.resize import fit, resized


def encoder_of(eye: EncoderViewOptions, *, precision: str = "float32", progress: Progress | None = None) -> Encoder:
    """The encoder that the options name; downloads it where it is not at hand."""
    return load_encoder(eye.encoder, pooling=eye.pooling, precision=precision, progress=progress)


def seen(picture: Picture, eye: EncoderViewOptions) -> Tensor:
    """`(1, 3, h, w)` at the size that the options name, transparency laid over white."""
    pixels = picture.pixels
    if picture.alpha is not None:
        pixels = torch.lerp(torch.ones_like(pixels), pixels, picture.alpha)
    size = fit(picture.size_hw, long_side_px=eye.size) if eye.size else picture.size_hw
    return resized(pixels, size)
