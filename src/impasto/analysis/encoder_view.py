"""The encoder of an analysis, and the picture at the size at which it is analysed."""

from __future__ import annotations

from torch import Tensor

from impasto.config.analysis import EncoderViewOptions
from impasto.encoders.table import Encoder, Progress, load_encoder
from impasto.image.files import Picture
from impasto.image.pixels import over_white
from impasto.image.resize import fit, resized


def encoder_of(view: EncoderViewOptions, *, precision: str = "float32", progress: Progress | None = None) -> Encoder:
    """Load the encoder that the options name; downloads its weights if they are not in the cache."""
    return load_encoder(view.encoder, pooling=view.pooling, precision=precision, progress=progress)


def view_pixels(picture: Picture, view: EncoderViewOptions) -> Tensor:
    """The picture as `(1, 3, h, w)` in `[0, 1]`, over white where transparent, resized to the size in the options."""
    size = fit(picture.size_hw, long_side_px=view.size) if view.size else picture.size_hw
    return resized(over_white(picture.pixels, picture.alpha), size)
