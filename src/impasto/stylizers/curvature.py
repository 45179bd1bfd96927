"""The history of L-BFGS, kept in memory, in half of that in bfloat16, or on disk."""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor

from impasto.stylizers.pyramid import Pyramid

CHUNK = 1 << 22
"""Numbers that are converted to float32, or read from disk, at a time."""


class StoredVector(Protocol):
    """A stored vector; read-only."""

    @property
    def tensor(self) -> Tensor:
        """The whole vector, possibly rounded, in its own type."""

    def chunks(self) -> Iterator[Tensor]:
        """Its numbers in order, flat, a part at a time, in float32."""


class InMemory:
    """A vector in memory, in the type of `tensor`."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor

    def chunks(self) -> Iterator[Tensor]:
        """See `StoredVector`."""
        for part in torch.split(self.tensor.flatten(), CHUNK):
            yield part.float() if part.dtype == torch.bfloat16 else part


class OnDisk:
    """A vector in a temporary file without a name; pages that were read are let go at once."""

    def __init__(self, tensor: Tensor, dtype: torch.dtype = torch.bfloat16) -> None:
        count, self._shape = tensor.numel(), tensor.shape
        with tempfile.TemporaryFile() as file:
            file.truncate(dtype.itemsize * count)
            self._pages = mmap.mmap(file.fileno(), dtype.itemsize * count)  # keeps the file until it is freed
        self._flat = torch.frombuffer(self._pages, dtype=dtype)
        for start, part in zip(range(0, count, CHUNK), torch.split(tensor.flatten(), CHUNK), strict=True):
            self._flat[start : start + CHUNK] = part
            self._let_go()

    @property
    def tensor(self) -> Tensor:
        """The vector, as a view of the file."""
        return self._flat.view(self._shape)

    def chunks(self) -> Iterator[Tensor]:
        """See `StoredVector`."""
        for part in torch.split(self._flat, CHUNK):
            yield part.float()
            self._let_go()

    def read(self) -> Tensor:
        """A copy in memory."""
        copied = self.tensor.clone()
        self._let_go()
        return copied

    def _let_go(self) -> None:
        if hasattr(mmap, "MADV_DONTNEED"):
            self._pages.madvise(mmap.MADV_DONTNEED)  # of a shared mapping: what was written stays in the file


Keep = Callable[[Tensor], StoredVector]
"""Stores a vector, which is not modified afterwards."""


def in_half_precision(tensor: Tensor) -> StoredVector:
    """In memory, in bfloat16: half of the memory, three digits."""
    return InMemory(tensor.to(torch.bfloat16))


KEEPS: dict[str, Keep] = {"float32": InMemory, "bfloat16": in_half_precision, "disk": OnDisk}
"""From the most memory to the least."""

BYTES: dict[str, int] = {"float32": 4, "bfloat16": 2, "disk": 0}
"""Bytes of memory per number."""


class Curvature:
    """The history of L-BFGS: the last `history` moves, and the change of the gradient over each."""

    def __init__(self, history: int, *, keep: Keep = InMemory, pyramid: Pyramid | None = None) -> None:
        self._history, self._keep, self._pyramid = history, keep, pyramid
        self.pairs: list[tuple[StoredVector, StoredVector]] = []

    def add(self, move: Tensor, change: Tensor) -> None:
        """Add a move and the change of the gradient, unless the curvature along it is not positive."""
        if _dot(InMemory(move), change) > 1e-10 * float(move.norm() * change.norm()):
            self.pairs = [*self.pairs, (self._keep(move), self._keep(change))][-self._history :]

    def direction(self, gradient: Tensor) -> Tensor:
        """The descent direction of algorithm 7.4 (two loops); without a history the negative gradient in the variables.

        The initial matrix is that of a plain step in the variables.
        """
        direction, shares = -gradient, []
        products = [_product(move, change) for move, change in self.pairs]
        for (move, change), product in zip(reversed(self.pairs), reversed(products), strict=True):
            share = _dot(move, direction) / product
            _add(direction, change, share=-share)
            shares.append(share)
        direction = self._smoothed(direction)
        if self.pairs:
            change = self.pairs[-1][1]
            length = _product(change, change)
            if self._pyramid is not None and self._pyramid.levels > 1:
                length = _dot(change, self._smoothed(change.tensor.to(direction)))
            direction = direction * (products[-1] / length)
        for (move, change), share, product in zip(self.pairs, reversed(shares), products, strict=True):
            _add(direction, move, share=share - _dot(change, direction) / product)
        return direction

    def _smoothed(self, gradient: Tensor) -> Tensor:
        return gradient if self._pyramid is None else self._pyramid.smoothed(gradient)

    def state(self) -> list[list[Tensor]]:
        """The pairs as plain tensors, in the type in which they are kept."""
        return [[kept.tensor for kept in pair] for pair in self.pairs]

    def restore(self, pairs: Sequence[Sequence[Tensor]]) -> None:
        """Go on from `state()`."""
        self.pairs = [(self._keep(move.clone()), self._keep(change.clone())) for move, change in pairs]


def _dot(kept: StoredVector, other: Tensor) -> float:
    """Sums of many numbers are taken part by part: one long sum in float32 would lose digits."""
    flat, start, total = other.flatten(), 0, 0.0
    for part in kept.chunks():
        total += float(torch.dot(part, flat[start : start + part.numel()]))
        start += part.numel()
    return total


def _product(one: StoredVector, other: StoredVector) -> float:
    return sum(float(torch.dot(a, b)) for a, b in zip(one.chunks(), other.chunks(), strict=True))


def _add(vector: Tensor, kept: StoredVector, *, share: float) -> None:
    """Add `share` times a kept vector to a contiguous vector."""
    flat, start = vector.view(-1), 0
    for part in kept.chunks():
        flat[start : start + part.numel()].add_(part, alpha=share)
        start += part.numel()
