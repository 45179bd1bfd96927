"""Batches of contents with their teachers and the paintings that exist already."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from impasto.core.errors import DataError
from impasto.training.data import Bytes, CropPlace
from impasto.training.distil import DistillBatch, Teacher
from impasto.training.fast import style_weights_at
from impasto.training.image_dataset import ImageDataset
from impasto.training.teacher_cache import TeacherCache

Item = tuple[Tensor, Tensor, dict[int, Tensor]]
"""A content's crop `(1, 3, px, px)`, its teachers' weights `(teachers,)`, and existing paintings of the crop."""


@dataclass(frozen=True, kw_only=True)
class DistillBatches:
    """Batches by step: a pure function of seed and step. `multi_style` and `every` are as in `fast.StyleBatches`.

    `names` names the contents. A content counts for the teachers that have a result of it or can paint it; if
    there are none, or it is unreadable, it is replaced by the next usable one. The weights of an average add up to 1
    for every content. With a `cache`, the crop of a content follows from its name alone.
    """

    contents: ImageDataset
    names: tuple[str, ...]
    teachers: Sequence[Teacher]
    weights: tuple[float, ...]
    multi_style: str
    every: int
    batch_size: int
    crop_px: int
    seed: int
    smallest_crop: float
    cache: TeacherCache | None = None

    def __call__(self, step: int) -> DistillBatch:
        """The batch of this step."""
        rows = style_weights_at(
            step, self.batch_size, weights=self.weights, multi_style=self.multi_style, every=self.every, seed=self.seed
        )
        chosen = np.random.default_rng((self.seed, step)).choice(len(self.names), self.batch_size)
        items = [self._item(int(i), row, at=(step, n)) for n, (i, row) in enumerate(zip(chosen, rows, strict=True))]
        contents = torch.cat([content for content, _, _ in items])
        given = torch.zeros(len(items), len(self.teachers), dtype=torch.bool)
        painted: dict[int, Tensor] = {}
        for row, (_, _, paintings) in enumerate(items):
            for number, painting in paintings.items():
                given[row, number] = True
                painted.setdefault(number, torch.zeros_like(contents))[row] = painting[0]
        return DistillBatch(contents, torch.stack([weights for _, weights, _ in items]), given, painted)

    def _item(self, wanted: int, row: Tensor, *, at: tuple[int, int]) -> Item:
        index, content, results = self._usable(wanted, row)
        seed = (self.seed, *at) if self.cache is None else _number(self.names[index])
        place = CropPlace.drawn(content, np.random.default_rng(seed), smallest=self.smallest_crop)
        crop = place.of(content, self.crop_px)
        paintings = {number: place.of(result, self.crop_px) for number, result in results.items()}
        weights = torch.zeros_like(row)
        for number, teacher in enumerate(self.teachers):
            if row[number] and (teacher.painter is not None or number in results):
                weights[number] = row[number]
                cached = self.cache.load(teacher.painter, crop) if self.cache and teacher.painter else None
                paintings |= {} if cached is None else {number: cached}
        return crop, weights / weights.sum() if self.multi_style == "average" else weights, paintings

    def _usable(self, wanted: int, row: Tensor) -> tuple[int, Bytes, dict[int, Bytes]]:
        """The first content from `wanted` on that one of its teachers has painted or can paint, with the results."""
        counting = [number for number in range(len(self.teachers)) if row[number]]
        paints = any(self.teachers[number].painter is not None for number in counting)
        for ahead in range(len(self.names)):
            index = (wanted + ahead) % len(self.names)
            known = [self.teachers[number].results for number in counting]
            if not paints and not any(it is not None and it.places[index] is not None for it in known):
                continue
            content = self.contents.at(index)
            if content is None:
                continue
            results = {number: self._result(number, index, content=content) for number in counting}
            there = {number: result for number, result in results.items() if result is not None}
            if there or paints:
                return index, content, there
        names = " and ".join(self.teachers[number].name for number in counting)
        raise DataError(f"none of {len(self.names)} contents is readable and painted by {names}.")

    def _result(self, number: int, index: int, *, content: Bytes) -> Bytes | None:
        results = self.teachers[number].results
        return None if results is None else results.of(index, content)


def _number(name: str) -> int:
    """A seed that follows from a name."""
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()[:8], "big")
