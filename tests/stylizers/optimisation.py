"""Painting by optimisation as tests start it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from torch import Tensor

from impasto.config.optimise import LossOptions, OptimiseOptions
from impasto.encoders.table import Encoder
from impasto.losses.table import STYLE_LOSSES
from impasto.stylizers.optimised import Optimised, PaintedStep
from impasto.stylizers.protocol import Mix, Style

QUICK = OptimiseOptions(init="content", smallest_px=32, steps=(3, 2), history=4)
every_optimizer = pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
every_style_loss = pytest.mark.parametrize("style_loss", [*STYLE_LOSSES, "gatys"])


def stylizer(
    encoder: Encoder, losses: dict[str, object] | None = None, *, picture: Tensor | None = None, **options: object
) -> Optimised:
    if options.get("optimizer") == "adam":
        options |= {"history": OptimiseOptions().history}
    return Optimised(encoder, LossOptions(**losses or {}), replace(QUICK, **options), picture)  # type: ignore[arg-type]


def painted(work: Optimised, content: Tensor, *styles: Style | Tensor, strength: float = 1.0) -> list[PaintedStep]:
    mix = Mix(tuple(s if isinstance(s, Style) else Style(s) for s in styles))
    return list(work.paint(content, work.prepare(mix), strength=strength))


def result(work: Optimised, content: Tensor, *styles: Style | Tensor, strength: float = 1.0) -> Tensor:
    return painted(work, content, *styles, strength=strength)[-1].image
