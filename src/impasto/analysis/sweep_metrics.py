"""The numbers of a sweep: each cell's picture against its own content and styles, seen through one encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from impasto.encoders.table import Encoder
from impasto.metrics.table import METRICS, measured
from impasto.stylizers.protocol import Mix

TOWARDS = " to "
"""Between a measure and the style that it is of, where there are several styles."""


class Pictures(Protocol):
    """What a painting was made of."""

    @property
    def content(self) -> Tensor:
        """`(1, 3, h, w)`."""
        ...

    @property
    def mix(self) -> Mix:
        """The styles."""
        ...


@dataclass(frozen=True)
class SweepMetrics:
    """An encoder and the layers to measure in; the same for all cells, so that their numbers can be compared."""

    encoder: Encoder
    content_layers: Sequence[str]
    style_layers: Sequence[str]

    @property
    def name(self) -> str:
        """What the numbers depend on, to know old ones again."""
        layers = ",".join([*self.content_layers, "/", *self.style_layers])
        return f"{self.encoder.name} {self.encoder.sha256[:16]} {layers}"

    def measures(self, output: Tensor, pictures: Pictures) -> dict[str, float]:
        """Every measure of `METRICS`; those that differ between styles once for each: `style-gram to b.jpg`."""
        styles = pictures.mix.styles
        found = [
            measured(
                output,
                pictures.content,
                style.seen(by="measuring"),
                self.encoder,
                content_layers=self.content_layers,
                style_layers=self.style_layers,
            )
            for style in styles
        ]
        rows: dict[str, float] = {}
        for metric in METRICS:
            values = [each[metric] for each in found]
            if len(set(values)) == 1:
                rows[metric] = values[0]
            else:
                names = [style.name or f"style {i}" for i, style in enumerate(styles, start=1)]
                rows |= {f"{metric}{TOWARDS}{name}": value for name, value in zip(names, values, strict=True)}
        return rows


def metric_of(row: str) -> str:
    """The name in `METRICS` of a row that `SweepMetrics.measures` named."""
    return row.partition(TOWARDS)[0]
