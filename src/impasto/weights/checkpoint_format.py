"""What a reader of one kind of weight file is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from impasto.core.errors import WeightsError
from impasto.weights.card import Card
from impasto.weights.catalogue import Entry
from impasto.weights.containers import Contents


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where tensors come from; `entry` is the catalogue's row when the file's digest is known there."""

    file_name: str
    name: str
    sha256: str
    checkpoint_format: str
    entry: Entry | None
    metadata: Mapping[str, str]

    def card(self, *, kind: str, network: dict[str, Any], preprocess: str | dict[str, Any], notes: str = "") -> Card:
        """The card of a foreign file."""
        place = self.entry.urls[0] if self.entry and self.entry.urls else self.metadata.get("source", "")
        file = f"file {self.file_name}, read as {self.checkpoint_format}, sha256 {self.sha256}"
        return Card(
            kind=kind,
            name=self.entry.name if self.entry else self.name,
            network=network,
            preprocess=preprocess,
            licence=self.entry.licence if self.entry else self.metadata.get("licence", "see source"),
            source=f"{place} ({file})" if place else file,
            notes=notes,
        )


@dataclass(frozen=True, kw_only=True)
class CheckpointFormat:
    """One way in which somebody writes weights.

    `matches` looks at keys and shapes only; `read` gives the tensors under our own keys, and their card.
    """

    name: str
    about: str
    matches: Callable[[Contents], bool]
    read: Callable[[Contents, Origin], tuple[dict[str, Tensor], Card]]


def own_copy(tensor: Tensor, *, key: str, file_name: str) -> Tensor:
    """A contiguous copy that no longer depends on the file. Raises `WeightsError` unless it is finite floats."""
    if not tensor.is_floating_point() or not bool(torch.isfinite(tensor).all()):
        raise WeightsError(f"{key} in {file_name} is not all finite floats ({tensor.dtype}); the file is damaged.")
    return tensor.detach().clone(memory_format=torch.contiguous_format)
