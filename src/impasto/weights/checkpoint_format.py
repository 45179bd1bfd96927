"""The interface of a checkpoint format: one layout of keys and shapes in which a project stores its networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from impasto.weights.card import Card, check_values
from impasto.weights.catalogue import CatalogueEntry
from impasto.weights.containers import Contents


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The file that tensors come from; `entry` is the catalogue's row with its digest, if there is one."""

    file_name: str
    name: str
    sha256: str
    checkpoint_format: str
    entry: CatalogueEntry | None
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
    """One layout of keys and shapes.

    `matches` looks at keys and shapes only; `read` returns the tensors under our own keys, and their card.
    """

    name: str
    about: str
    matches: Callable[[Contents], bool]
    read: Callable[[Contents, Origin], tuple[dict[str, Tensor], Card]]


def own_copy(tensor: Tensor, *, key: str, file_name: str) -> Tensor:
    """A contiguous copy independent of the file. Raises `WeightsError` unless all values are finite floats."""
    check_values(tensor, key=key, file_name=file_name)
    return tensor.detach().clone(memory_format=torch.contiguous_format)
