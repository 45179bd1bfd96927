"""Reconstructions of a picture from each layer, on one sheet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from impasto.analysis.reconstruct import check_target, error_of, rebuilt
from impasto.analysis.sheet import contact_sheet
from impasto.config.analysis import STAGE_LAYERS, RebuildOptions, RebuildTarget
from impasto.encoders.table import Encoder
from impasto.stylizers.protocol import Step


@dataclass(frozen=True)
class LayerStep:
    """A step of reconstruction `number` (from 1) of `count`."""

    number: int
    count: int
    target: RebuildTarget
    step: Step


def layer_targets(layers: Sequence[str] = STAGE_LAYERS) -> tuple[list[RebuildTarget], list[RebuildTarget]]:
    """The features of each layer; the style of the first layer, the first two, … as in Gatys et al. 2015, figure 1."""
    content = [RebuildTarget(content_layer=layer) for layer in layers]
    style = [RebuildTarget(style_layer=tuple(layers[: i + 1])) for i in range(len(layers))]
    return content, style


def layer_steps(
    picture: Tensor, layers: Sequence[str] = STAGE_LAYERS, *, encoder: Encoder, options: RebuildOptions | None = None
) -> Iterator[LayerStep]:
    """All steps of all reconstructions of `picture` `(1, 3, h, w)`. Targets are checked before the first step."""
    content, style = layer_targets(layers)
    targets = [*content, *style]
    for target in targets:
        check_target(target, picture, encoder=encoder)
    for number, target in enumerate(targets, start=1):
        for step in rebuilt(picture, target, encoder=encoder, options=options):
            yield LayerStep(number, len(targets), target, step)


def layer_sheet(picture: Tensor, ends: Sequence[LayerStep], *, cell_px: int = 224, name: str = "") -> Tensor:
    """A sheet `(1, 3, H, W)` of the last step of each reconstruction, with its error."""
    content = [end for end in ends if end.target.content_layer is not None]
    style = [end for end in ends if end.target.content_layer is None]
    rows: list[list[Tensor | None]] = [
        [picture, *(end.step.image for end in content)],
        [None, *(end.step.image for end in style)],
    ]
    labels = [
        ["the picture", *(f"{end.target.content_layer}\n{error_label(end.step)}" for end in content)],
        ["", *(f"{_style_label(end.target)}\n{error_label(end.step)}" for end in style)],
    ]
    return contact_sheet(
        rows,
        row_labels=["from features", "from style"],
        cell_labels=labels,
        cell_px=cell_px,
        caption=f"Reconstructions{' of ' + name if name else ''} from each layer",
    )


def error_label(step: Step) -> str:
    """The error of a reconstruction in percent, for a label."""
    error = 100 * error_of(step)
    return "error under 0.01 %" if error < 0.01 else f"error {error:.2g} %"


def _style_label(target: RebuildTarget) -> str:
    layers = target.style_layer
    return layers[0] if len(layers) == 1 else f"{layers[0]} to {layers[-1]}"
