"""The measures of a painting in a sweep: against its own content and styles, all with one encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from impasto.config.job import StyleSource
from impasto.core.paths import sha256_of
from impasto.encoders.table import Encoder
from impasto.image import files
from impasto.metrics.table import METRICS, Case, measured
from impasto.session.inputs import Inputs, style_pixels

STYLE_SHORT_SIDE_PX = 64  # of a style picture that only measures need: as for painting in one pass
TOWARDS = " to "
"""Joins a measure and the name of its style where there are several styles."""


@dataclass(frozen=True)
class SweepMetrics:
    """An encoder and its layers, the same for all paintings of a sweep, so that their numbers can be compared.

    `style_pictures` are those of the styles by position, for trained and saved styles, whose files have none.
    """

    encoder: Encoder
    content_layers: Sequence[str]
    style_layers: Sequence[str]
    style_pictures: Sequence[Path] = ()

    @property
    def name(self) -> str:
        """Identifies everything that the numbers depend on."""
        layers = ",".join([*self.content_layers, "/", *self.style_layers])
        pictures = ",".join(sha256_of(path)[:16] for path in self.style_pictures)
        return f"{self.encoder.name} {self.encoder.sha256[:16]} {layers} {','.join(METRICS)} {pictures}".rstrip()

    def measures(self, output: Tensor, inputs: Inputs) -> tuple[dict[str, float], str]:
        """Every measure of `METRICS` for an output, and a note on missing ones.

        Measures that differ between styles have a value for each: `style-gram to b.jpg`. A style without a picture has
        none of the measures that compare with the style.
        """
        names = [style.name or f"style {i}" for i, style in enumerate(inputs.mix.styles, start=1)]
        pictures = self._style_pictures(inputs)
        each = [
            measured(
                Case(
                    output=output,
                    content=inputs.content,
                    style=picture,
                    encoder=self.encoder,
                    content_layers=self.content_layers,
                    style_layers=self.style_layers,
                )
            )
            for picture in pictures
        ]
        rows: dict[str, float] = {}
        for metric in METRICS:
            values = {name: values[metric] for name, values in zip(names, each, strict=True) if metric in values}
            if len(values) == len(names) and len(set(values.values())) == 1:
                rows[metric] = next(iter(values.values()))
            else:
                rows |= {f"{metric}{TOWARDS}{name}": value for name, value in values.items()}
        unknown = ", ".join(name for name, picture in zip(names, pictures, strict=True) if picture is None)
        return rows, f"no style measures for {unknown}: name its picture with `style_picture`" if unknown else ""

    def _style_pictures(self, inputs: Inputs) -> list[Tensor | None]:
        """The picture of each style; None where it is not known."""
        pictures: list[Tensor | None] = []
        for i, style in enumerate(inputs.mix.styles):
            pixels = style.picture
            if pixels is None and self.style_pictures:
                source = StyleSource(source=str(self.style_pictures[i]), scale=style.scale)
                pixels = style_pixels(
                    files.read(source.source), source, output_hw=inputs.size_hw, short_side_px=STYLE_SHORT_SIDE_PX
                )
            pictures.append(pixels)
        return pictures


def metric_of(row: str) -> str:
    """The name in `METRICS` of a row of `SweepMetrics.measures`."""
    return row.partition(TOWARDS)[0]
