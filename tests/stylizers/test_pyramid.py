"""The pyramid of variables: linear, and its gradient is the adjoint."""

from __future__ import annotations

import pytest
import torch

from impasto.stylizers.pyramid import Pyramid

SIZE = (37, 52)


def test_levels_halve_down_to_a_few_pixels() -> None:
    sizes = [tuple(level.shape[-2:]) for level in Pyramid.of(SIZE).spread(torch.zeros(1, 3, *SIZE))]
    assert sizes == [(37, 52), (18, 26), (9, 13), (4, 6)]


def test_spread_is_the_adjoint_of_joined() -> None:
    pyramid = Pyramid.of(SIZE)
    gradient = torch.randn(1, 3, *SIZE)
    spread = pyramid.spread(gradient)
    levels = [torch.randn_like(level) for level in spread]
    products = sum(float((one * other).sum()) for one, other in zip(levels, spread, strict=True))
    assert float((pyramid.joined(levels) * gradient).sum()) == pytest.approx(products, rel=1e-3, abs=1e-3)


def test_one_level_is_the_canvas() -> None:
    gradient = torch.randn(1, 3, *SIZE)
    assert Pyramid(SIZE, 1).smoothed(gradient) is gradient
    assert torch.equal(Pyramid(SIZE, 1).joined([gradient]), gradient)


def test_a_step_in_the_levels_moves_areas_more_than_pixels() -> None:
    pyramid = Pyramid.of(SIZE)
    flat = torch.ones(1, 3, *SIZE)
    checked = (torch.arange(SIZE[0])[:, None] + torch.arange(SIZE[1])) % 2 * 2.0 - 1
    gain = [float(pyramid.smoothed(g).norm() / g.norm()) for g in (flat, checked.expand(1, 3, -1, -1))]
    assert gain[0] > 3 * gain[1]
