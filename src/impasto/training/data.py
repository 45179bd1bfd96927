"""Training pictures: random crops as a pure function of seed and step."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from impasto.core.errors import DataError
from impasto.image.pixels import from_bytes
from impasto.image.resize import resized
from impasto.training.image_dataset import ImageDataset
from impasto.training.pictures import Bytes as Bytes

NEVER = 2**40
"""A step that no training reaches: its batch serves measurements."""


@dataclass(frozen=True)
class PictureBatch:
    """Pictures `(b, 3, px, px)` in `[0, 1]`, their indices in the set, and their classes if known."""

    images: Tensor
    indices: Tensor
    labels: Tensor | None = None


@dataclass(frozen=True)
class CropPlace:
    """A square of a picture: top left corner and side in pixels, and whether it is mirrored."""

    top: int
    left: int
    side: int
    mirrored: bool

    @classmethod
    def drawn(cls, picture: Bytes, draw: np.random.Generator, *, smallest: float) -> CropPlace:
        """A random square of `picture` whose side is at least `smallest` of the picture's short side."""
        h, w = picture.shape[:2]
        side = max(1, round(min(h, w) * draw.uniform(smallest, 1.0)))
        top, left = draw.integers(0, h - side + 1), draw.integers(0, w - side + 1)
        return cls(int(top), int(left), side, bool(draw.random() < 0.5))

    @classmethod
    def middle(cls, picture: Bytes) -> CropPlace:
        """The largest centred square of `picture`."""
        h, w = picture.shape[:2]
        side = min(h, w)
        return cls((h - side) // 2, (w - side) // 2, side, False)

    def of(self, picture: Bytes, side_px: int) -> Tensor:
        """This square of `picture`, scaled to `side_px`: `(1, 3, side_px, side_px)`."""
        cut = picture[self.top : self.top + self.side, self.left : self.left + self.side]
        if self.mirrored:
            cut = cut[:, ::-1]
        return resized(from_bytes(np.ascontiguousarray(cut)), (side_px, side_px))


@dataclass(frozen=True)
class Crops:
    """Random square crops, scaled to one size; half of them are mirrored.

    `crops(step)` depends on `seed` and `step` only, so that a resumed training sees the same pictures as an
    uninterrupted one. `pictures` are `(h, w, 3)` bytes; `odds` are their relative frequencies.
    """

    pictures: Sequence[Bytes]
    batch_size: int
    crop_px: int
    seed: int
    smallest_crop: float = 0.5
    labels: Sequence[int] | None = None
    odds: Sequence[float] | None = None

    def __post_init__(self) -> None:
        if len(self.pictures) == 0:
            raise DataError("there are no pictures to train on. Give a folder with pictures.")
        for name, given in (("labels", self.labels), ("odds", self.odds)):
            if given is not None and len(given) != len(self.pictures):
                raise DataError(f"there are {len(given)} {name} for {len(self.pictures)} pictures; one each is needed.")
        if self.odds is not None and not (min(self.odds) >= 0 and 0 < sum(self.odds) < math.inf):
            raise DataError("the odds of the pictures must be 0 or more, and one of them above 0.")

    def __call__(self, step: int) -> PictureBatch:
        """The batch of this step."""
        draw = np.random.default_rng((self.seed, step))
        p = None if self.odds is None else np.asarray(self.odds) / np.sum(self.odds)
        chosen = draw.choice(len(self.pictures), self.batch_size, p=p)
        places, pictures = zip(*(self._picture(int(i)) for i in chosen), strict=True)
        crops = ((CropPlace.drawn(picture, draw, smallest=self.smallest_crop), picture) for picture in pictures)
        images = torch.cat([place.of(picture, self.crop_px) for place, picture in crops])
        labels = None if self.labels is None else torch.tensor([self.labels[i] for i in places])
        return PictureBatch(images, torch.tensor(places), labels)

    def _picture(self, index: int) -> tuple[int, Bytes]:
        if isinstance(self.pictures, ImageDataset):
            return self.pictures.readable(index)
        return index, self.pictures[index]


@dataclass(frozen=True)
class Pair:
    """`contents` and `styles` `(b, 3, px, px)` in `[0, 1]`; the i-th content is painted in the i-th style."""

    contents: Tensor
    styles: Tensor


@dataclass(frozen=True)
class Pairs:
    """Independently sampled batches of both; a pure function of the step, like `Crops`."""

    contents: Crops
    styles: Crops

    def __call__(self, step: int) -> Pair:
        """The batch of this step."""
        return Pair(self.contents(step).images, self.styles(step).images)


def centre_crop(picture: Bytes, side_px: int) -> Tensor:
    """The largest centred square of a picture, scaled: `(1, 3, side_px, side_px)`."""
    return CropPlace.middle(picture).of(picture, side_px)


def placed(images: Tensor, module: nn.Module) -> Tensor:
    """The pictures on the module's device, channels last, in which convolutions are fastest."""
    return images.to(next(module.parameters()).device, memory_format=torch.channels_last)


T = TypeVar("T")


class PreparedBatches(Generic[T]):
    """Batches by step, with the next `depth` ones prepared in other threads."""

    def __init__(self, batches: Callable[[int], T], pool: Executor, *, depth: int = 1) -> None:
        self._batches, self._pool, self._depth = batches, pool, depth
        self._next: dict[int, Future[T]] = {}

    def __call__(self, step: int) -> T:
        """The batch of this step."""
        wanted = range(step, step + 1 + self._depth)
        self._next = {i: self._next.get(i) or self._pool.submit(self._batches, i) for i in wanted}
        return self._next.pop(step).result()
