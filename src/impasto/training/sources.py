"""The inputs of a training by its options: lists of pictures, and layers with weights."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from impasto.core.errors import OptionError, UnknownName
from impasto.core.options import Options, option
from impasto.encoders.table import Encoder
from impasto.losses.table import STYLE_LOSSES
from impasto.objective.output import Weights
from impasto.training.image_dataset import ImageDataset
from impasto.training.pictures import Listed, listed

HELD_OUT = 8  # contents for samples
ENOUGH = 10  # times as many contents are needed to keep those out of the training


def listed_in(name: str, sources: Sequence[Path]) -> list[Listed]:
    """The pictures of all sources, in order. Raises `OptionError` without sources, `DataError` for an empty one."""
    if not sources:
        raise OptionError(f"{option(name)} is missing: name at least one folder of pictures, or a CSV.")
    return [item for source in sources for item in listed(source)]


def digest(*lists: Sequence[Listed]) -> str:
    """The SHA-256 of all names, in order."""
    names = "\0\0".join("\0".join(Path(item.name).as_posix() for item in pictures) for pictures in lists)
    return hashlib.sha256(os.fsencode(names)).hexdigest()


def dataset(pictures: Sequence[Listed], *, short_side_px: int, memory_gb: float) -> ImageDataset:
    """The pictures, read on demand."""
    return ImageDataset(
        [item.path for item in pictures], short_side_px=short_side_px, memory_bytes=int(memory_gb * 1e9)
    )


def evenly(name: str, layers: Sequence[str]) -> dict[str, float]:
    """The layers of the option `name` with equal weights that add up to 1. Raises `OptionError`."""
    _check_once(name, layers)
    return dict.fromkeys(layers, 1 / len(layers))


def weighted(name: str, layers: Sequence[str], *, weights: Sequence[float]) -> dict[str, float]:
    """Layers with their weights; a single weight applies to all. Raises `OptionError`."""
    _check_once(name, layers)
    if len(weights) not in (1, len(layers)):
        single = name.removesuffix("s")
        raise OptionError(f"`{single}_weights` has {len(weights)} numbers; {len(layers)} layers need as many, or one.")
    given = tuple(weights) * len(layers) if len(weights) == 1 else weights
    return dict(zip(layers, given, strict=True))


def loss_weights(options: Options, **others: float) -> Weights:
    """The weight of each part of a loss: the option of its name (`content_weight`), or one of `others`."""
    parts = {field.name: getattr(options, f"{field.name}_weight", None) for field in dataclasses.fields(Weights)}
    return Weights(**{name: weight for name, weight in parts.items() if weight is not None}, **others)


def check_style_losses(names: Sequence[str]) -> None:
    """Raise `UnknownName` for an unknown style loss."""
    for name in names:
        if name not in STYLE_LOSSES:
            raise UnknownName.of("style loss", name, known=STYLE_LOSSES)


def check_size(crop_px: int, encoder: Encoder, *, layers: Sequence[str], stride: int, smallest_px: int) -> None:
    """Raise `UnknownName` for an unknown layer, `OptionError` for crops of an unsuitable size.

    The network needs multiples of `stride`, at least `smallest_px`.
    """
    need = max(encoder.smallest_px(layers), 2 * stride, smallest_px)
    if crop_px < need or crop_px % stride:
        nearest = max(-(-need // stride), round(crop_px / stride)) * stride
        raise OptionError(
            f"`crop_px` is {crop_px}; {need} or more, and a multiple of {stride}, is needed. Use `crop_px={nearest}`."
        )


def held_out(contents: Sequence[Listed], validation: Path | None) -> tuple[list[Listed], list[Listed]]:
    """Contents for samples, and those for training: disjoint if there are enough. Raises `DataError`."""
    if validation is not None:
        return listed_in("validation", [validation])[:HELD_OUT], list(contents)
    count = min(HELD_OUT, len(contents))
    shown = [contents[i * len(contents) // count] for i in range(count)]
    if len(contents) < ENOUGH * HELD_OUT:
        return shown, list(contents)
    return shown, [item for item in contents if item not in shown]


def _check_once(name: str, layers: Sequence[str]) -> None:
    if len(set(layers)) < len(layers):
        raise OptionError(f"{option(name)} names a layer twice: {','.join(layers)}. Name each once.")
