"""The measures of a painting in a sweep: against its own content and styles, all with one encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from impasto.encoders.table import Encoder
from impasto.metrics.table import METRICS, measured
from impasto.stylizers.protocol import Mix

TOWARDS = " to "
"""Joins a measure and the name of its style where there are several styles."""


@dataclass(frozen=True)
class SweepMetrics:
    """An encoder and its layers, the same for all paintings of a sweep, so that their numbers can be compared."""

    encoder: Encoder
    content_layers: Sequence[str]
    style_layers: Sequence[str]

    @property
    def name(self) -> str:
        """Identifies everything that the numbers depend on."""
        layers = ",".join([*self.content_layers, "/", *self.style_layers])
        return f"{self.encoder.name} {self.encoder.sha256[:16]} {layers} {','.join(METRICS)}"

    def measures(self, output: Tensor, *, content: Tensor, mix: Mix) -> tuple[dict[str, float], str]:
        """Every measure of `METRICS`, and a note on missing ones.

        Measures that differ between styles have a value for each: `style-gram to b.jpg`. A style without a picture has
        none of the measures that compare with the style.
        """
        each = [
            measured(
                output,
                content,
                style.picture,
                self.encoder,
                content_layers=self.content_layers,
                style_layers=self.style_layers,
            )
            for style in mix.styles
        ]
        names = [style.name or f"style {i}" for i, style in enumerate(mix.styles, start=1)]
        rows: dict[str, float] = {}
        for metric in METRICS:
            values = {name: values[metric] for name, values in zip(names, each, strict=True) if metric in values}
            if len(values) == len(names) and len(set(values.values())) == 1:
                rows[metric] = next(iter(values.values()))
            else:
                rows |= {f"{metric}{TOWARDS}{name}": value for name, value in values.items()}
        unknown = [name for name, style in zip(names, mix.styles, strict=True) if style.picture is None]
        note = f"no style measures for {', '.join(unknown)}: its picture is not known" if unknown else ""
        return rows, note


def metric_of(row: str) -> str:
    """The name in `METRICS` of a row of `SweepMetrics.measures`."""
    return row.partition(TOWARDS)[0]
