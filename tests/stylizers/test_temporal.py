"""The temporal loss of optimisation."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from impasto.config.optimise import LossOptions, OptimiseOptions
from impasto.encoders.table import Encoder
from impasto.stylizers.optimised import Optimised
from impasto.stylizers.protocol import Mix, Style
from impasto.stylizers.temporal import Temporal


def test_it_is_the_mean_square_where_the_motion_is_trusted() -> None:
    carried, image = torch.full((1, 3, 8, 8), 0.25), torch.full((1, 3, 8, 8), 0.75)
    trust = torch.zeros(1, 1, 8, 8)
    trust[..., :2] = 1
    term = Temporal(carried, trust, 3.0).term((8, 8))
    assert float(term(image)) == pytest.approx(3 * 0.25 * 0.5**2)
    assert term.name == "temporal"
    assert float(term(carried)) == 0
    small = Temporal(carried, trust, 3.0).term((4, 4))
    assert float(small(image[..., :4, :4])) == pytest.approx(3 * 0.25 * 0.25, rel=0.2)


def test_it_holds_the_picture_where_the_motion_is_trusted(
    encoder: Encoder, photo: Tensor, painting: Tensor, make_encoder: Callable[..., Encoder]
) -> None:
    losses = LossOptions(content_layers=("relu2_1",), style_layers=("relu1_1", "relu2_1"))
    options = OptimiseOptions(init="content", steps=(6,), scales=1)
    trust = torch.zeros(1, 1, *photo.shape[-2:])
    trust[..., :40] = 1
    carried = photo.flip(1)
    mix = Mix((Style(painting),))
    apart = []
    for temporal in (None, Temporal(carried, trust, 1e4)):
        stylizer = dataclasses.replace(Optimised(encoder, losses, options), temporal=temporal)
        *_, last = stylizer.paint(photo, stylizer.prepare(mix))
        assert ("temporal" in last.losses) == (temporal is not None)
        apart.append([float((last.image - carried)[..., side].abs().mean()) for side in (slice(0, 30), slice(50, 80))])
    assert apart[1][0] < 0.25 * apart[0][0]
    assert apart[1][1] > 0.5 * apart[0][1]
