"""What a run reads, by its options: lists of pictures, layers with weights, batches made ahead."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from impasto.config.training import FitOptions
from impasto.core.errors import OptionError, UnknownName
from impasto.encoders.table import Encoder
from impasto.losses.table import STYLE_LOSSES
from impasto.training.data import Ahead
from impasto.training.fit import Progress, Task, fit
from impasto.training.image_dataset import ImageDataset
from impasto.training.pictures import listed
from impasto.training.processes import device_for

READERS, DEPTH = 2, 3  # threads that read pictures, and batches that they are ahead

T = TypeVar("T", contravariant=True)


class Named(NamedTuple):
    """A picture file, and the name that it has within its source."""

    path: Path
    name: str


class Seeing(Task[T], Protocol[T]):
    """A task that sees pictures through an encoder."""

    @property
    def encoder(self) -> Encoder:
        """The encoder, which is not trained."""
        ...


def listed_in(flag: str, sources: Sequence[Path]) -> list[Named]:
    """The pictures of all sources in order, and the name that each has within its source.

    Raises `OptionError` where there is no source, `DataError` where one has no picture.
    """
    if not sources:
        raise OptionError(f"--{flag} is missing: name at least one folder of pictures, or a CSV.")
    found = list[Named]()
    for source in sources:
        folder = source if source.is_dir() else source.parent
        found += [Named(item.path, os.path.relpath(item.path, folder)) for item in listed(source)]
    return found


def digest(*lists: Sequence[Named]) -> str:
    """The sha256 of the names, in the order in which they are drawn from."""
    names = "\0\0".join("\0".join(Path(item.name).as_posix() for item in found) for found in lists)
    return hashlib.sha256(os.fsencode(names)).hexdigest()


def shelf(found: Sequence[Named], *, short_side_px: int, memory_gb: float) -> ImageDataset:
    """The pictures, read when they are asked for."""
    return ImageDataset([item.path for item in found], short_side_px=short_side_px, memory_bytes=int(memory_gb * 1e9))


def evenly(flag: str, layers: Sequence[str]) -> dict[str, float]:
    """Layers with equal weights that add up to 1. Raises `OptionError`."""
    _check_once(flag, layers)
    return {name: 1 / len(layers) for name in layers}


def weighted(flag: str, layers: Sequence[str], weights: Sequence[float]) -> dict[str, float]:
    """Layers with their weights, of which one serves all. Raises `OptionError`."""
    _check_once(flag, layers)
    if len(weights) not in (1, len(layers)):
        single = flag.removesuffix("s")
        raise OptionError(f"--{single}-weights has {len(weights)} numbers; {len(layers)} layers need as many, or one.")
    given = tuple(weights) * len(layers) if len(weights) == 1 else weights
    return dict(zip(layers, given, strict=True))


def check_losses(names: Sequence[str]) -> None:
    """Raise `UnknownName` for a style loss that there is not."""
    for name in names:
        if name not in STYLE_LOSSES:
            raise UnknownName.of("style loss", name, STYLE_LOSSES)


def check_size(crop_px: int, encoder: Encoder, layers: Sequence[str], *, stride: int, smallest_px: int) -> None:
    """Raise `UnknownName` for a layer that the encoder has not, `OptionError` for crops that do not suit.

    The network's sides are multiples of `stride`, and of `smallest_px` at least.
    """
    need = max(encoder.smallest_px(layers), 2 * stride, smallest_px)
    if crop_px < need or crop_px % stride:
        nearest = max(-(-need // stride), round(crop_px / stride)) * stride
        raise OptionError(
            f"--crop-px is {crop_px}; {need} or more, and a multiple of {stride}, is needed. Use --crop-px {nearest}."
        )


def steps(
    task: Seeing[T],
    batches: Callable[[int], T],
    fitting: FitOptions,
    *,
    folder: Path,
    unreadable: Callable[[], tuple[str, ...]],
) -> Iterator[Progress]:
    """Train; batches are made in other threads ahead of their step, and the encoder is where training computes.

    `unreadable` tells which pictures could not be read so far; every `Progress` says so.
    """
    pool = ThreadPoolExecutor(READERS)
    task.encoder.net.to(device_for(fitting.device))
    running = fit(task, Ahead(batches, pool, depth=DEPTH), fitting, folder=folder)
    try:
        with contextlib.closing(running):  # type: ignore[type-var]
            for progress in running:
                yield dataclasses.replace(progress, unreadable=unreadable())
    finally:
        pool.shutdown(cancel_futures=True)
        task.encoder.net.to("cpu")


def _check_once(flag: str, layers: Sequence[str]) -> None:
    if len(set(layers)) < len(layers):
        raise OptionError(f"--{flag} names a layer twice: {','.join(layers)}. Name each once.")
