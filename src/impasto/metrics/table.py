"""Every measure by name, and the rows that make its numbers readable. A new measure is one function and one row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from torch import Tensor

from impasto.metrics.features import SLICED, Encode, content_distance, fitted, style_distance
from impasto.metrics.patches import patch_distance, structure_similarity
from impasto.metrics.pixels import colour_distance, ssim
from impasto.metrics.weave import weave

MeasureProgress = Callable[[int, int, str], None]
"""Called with the number of finished measures, the total, and the name of the next one."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """The input of the measures: pictures `(b, 3, h, w)` in `[0, 1]`, an encoder and the names of its layers.

    The content may have another size than the output. Without a style, the measures that compare with it are left out.
    """

    output: Tensor
    content: Tensor
    style: Tensor | None
    encoder: Encode
    content_layers: Sequence[str]
    style_layers: Sequence[str]

    @property
    def known_style(self) -> Tensor:
        """The style, for the measures that compare with it."""
        assert self.style is not None
        return self.style


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A measure of a result. `of` is the picture that the output is compared with, if any."""

    about: str
    unit: str = ""
    better: Literal["low", "high"]
    of: Literal["content", "style", "neither"]
    value: Callable[[Case], float]


METRICS: dict[str, Metric] = {
    "style-patches": Metric(
        about="patches and colours that differ from the style's; no network takes part",
        better="low",
        of="style",
        value=lambda case: patch_distance(case.output, case.known_style),
    ),
    "structure": Metric(
        about="edges shared with the content whatever the contrast; 1 is equal; no network takes part",
        better="high",
        of="content",
        value=lambda case: structure_similarity(case.output, case.content),
    ),
    "weave": Metric(
        about="regular texture of 2 and 4 px; 0.5 to 2 in photographs and paintings",
        better="low",
        of="neither",
        value=lambda case: weave(case.output),
    ),
    "content": Metric(
        about="features that differ from the content's; 1 is the distance of all-zero features",
        unit="relative",
        better="low",
        of="content",
        value=lambda case: content_distance(
            case.output, case.content, encoder=case.encoder, layers=case.content_layers
        ),
    ),
    "style-gram": Metric(
        about="Gram matrices that differ from the style's; 1 is the distance of all-zero features",
        unit="relative",
        better="low",
        of="style",
        value=lambda case: style_distance(
            case.output, case.known_style, encoder=case.encoder, layers=case.style_layers
        ),
    ),
    "style-sliced": Metric(
        about="feature distributions that differ from the style's; 1 is the distance of all-zero features",
        unit="relative",
        better="low",
        of="style",
        value=lambda case: style_distance(
            case.output, case.known_style, encoder=case.encoder, layers=case.style_layers, loss=SLICED
        ),
    ),
    "colour": Metric(
        about="palette that differs from the style's; about 2 is just visible",
        unit="ΔE",
        better="low",
        of="style",
        value=lambda case: colour_distance(case.output, case.known_style),
    ),
    "ssim": Metric(
        about="structure shared with the content; 1 is equal",
        better="high",
        of="content",
        value=lambda case: ssim(case.output, case.content),
    ),
}


def measured(case: Case) -> dict[str, float]:
    """Every measure in `METRICS` of one result. Features are computed once for each picture and kept until the end."""
    case = _prepared(case)
    return {name: METRICS[name].value(case) for name in _names(case)}


def reference_rows(case: Case, *, progress: MeasureProgress | None = None) -> dict[str, dict[str, float]]:
    """`measured` for the output and for two copies that mark the ends of each scale.

    "content copy" is the content evaluated as an output: all content, no style. "style copy" is the style stretched to
    the output's size: all style, no content. A good output lies between them in both.
    """
    case, names = _prepared(case), _names(case)
    pictures = {"output": case.output, "content copy": case.content}
    if case.style is not None:
        pictures["style copy"] = fitted(case.style, case.output)
    rows: dict[str, dict[str, float]] = {row: {} for row in pictures}
    for index, (row, picture) in enumerate(pictures.items()):
        for name in names:
            if progress is not None:
                progress(index * len(names) + len(rows[row]), len(rows) * len(names), f"{name} of the {row}")
            rows[row][name] = METRICS[name].value(replace(case, output=picture))
    return rows


def _names(case: Case) -> list[str]:
    return [name for name, metric in METRICS.items() if case.style is not None or metric.of != "style"]


def _prepared(case: Case) -> Case:
    """The case with its content at the output's size, and an encoder that remembers features."""
    encoder = _remembering(case.encoder, [*case.content_layers, *case.style_layers])
    return replace(case, content=fitted(case.content, case.output), encoder=encoder)


def _remembering(encoder: Encode, layers: Sequence[str]) -> Encode:
    """`encoder`, computing `layers` once for each picture; keeps the pictures alive for their ids."""
    known: dict[int, tuple[Tensor, Mapping[str, Tensor]]] = {}

    def remembered(image: Tensor, asked: Sequence[str]) -> Mapping[str, Tensor]:
        if id(image) not in known:
            known[id(image)] = (image, encoder(image, layers))
        return known[id(image)][1]

    return remembered
