"""Every measure by name, and the rows that make its numbers readable. A new measure is one function and one row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from torch import Tensor

from impasto.metrics.features import Encoder, content_distance, fitted, style_distance
from impasto.metrics.pixels import colour_distance, ssim


@dataclass(frozen=True, kw_only=True)
class Case:
    """What a measure may look at: pictures `(b, 3, h, w)` in `[0, 1]`, an encoder and the names of its layers."""

    output: Tensor
    content: Tensor
    style: Tensor
    encoder: Encoder
    content_layers: Sequence[str]
    style_layers: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A measure of a result."""

    about: str
    unit: str
    better: Literal["low", "high"]
    value: Callable[[Case], float]


METRICS: dict[str, Metric] = {
    "content": Metric(
        about="features that differ from the content's; 1 is as far as no picture",
        unit="relative",
        better="low",
        value=lambda case: content_distance(case.output, case.content, case.encoder, case.content_layers),
    ),
    "style-gram": Metric(
        about="Gram matrices that differ from the style's; 1 is as far as no picture",
        unit="relative",
        better="low",
        value=lambda case: style_distance(case.output, case.style, case.encoder, case.style_layers),
    ),
    "style-sliced": Metric(
        about="distributions of features that differ from the style's; 1 is as far as no picture",
        unit="relative",
        better="low",
        value=lambda case: style_distance(case.output, case.style, case.encoder, case.style_layers, loss="sliced"),
    ),
    "colour": Metric(
        about="palette that differs from the style's; about 2 is just visible",
        unit="ΔE",
        better="low",
        value=lambda case: colour_distance(case.output, case.style),
    ),
    "ssim": Metric(
        about="structure shared with the content; 1 is equal",
        unit="",
        better="high",
        value=lambda case: ssim(case.output, case.content),
    ),
}


def measured(
    output: Tensor,
    content: Tensor,
    style: Tensor,
    encoder: Encoder,
    *,
    content_layers: Sequence[str],
    style_layers: Sequence[str],
) -> dict[str, float]:
    """Every measure in `METRICS` of one result; `output` is first resized to `content`'s size if needed.

    Features are computed once for each picture and list of layers and kept until the end.
    """
    case = Case(
        output=fitted(output, content),
        content=content,
        style=style,
        encoder=encoder,
        content_layers=content_layers,
        style_layers=style_layers,
    )
    return _values(case)


def reference_rows(
    output: Tensor,
    content: Tensor,
    style: Tensor,
    encoder: Encoder,
    *,
    content_layers: Sequence[str],
    style_layers: Sequence[str],
) -> dict[str, dict[str, float]]:
    """`measured` for the output and for two copies that mark the ends of each scale.

    "content copy" is the content evaluated as an output: all content, no style. "style copy" is the style resized to
    the content's size: all style, no content. A good output lies between them in both.
    """
    pictures = {"output": output, "content copy": content, "style copy": style}
    return {
        row: measured(picture, content, style, encoder, content_layers=content_layers, style_layers=style_layers)
        for row, picture in pictures.items()
    }


def _values(case: Case) -> dict[str, float]:
    remembering = replace(case, encoder=_remembering(case.encoder))
    return {name: metric.value(remembering) for name, metric in METRICS.items()}


def _remembering(encoder: Encoder) -> Encoder:
    """`encoder`, computing once for one picture and list of layers; it keeps the pictures alive, so ids stay theirs."""
    known: dict[tuple[int, tuple[str, ...]], tuple[Tensor, Mapping[str, Tensor]]] = {}

    def remembered(image: Tensor, layers: Sequence[str]) -> Mapping[str, Tensor]:
        key = (id(image), tuple(layers))
        if key not in known:
            known[key] = (image, encoder(image, layers))
        return known[key][1]

    return remembered
