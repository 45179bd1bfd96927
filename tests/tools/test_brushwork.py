"""The brushwork of the swatches."""

from __future__ import annotations

import numpy as np
import pytest

from tools.swatches.brushwork import Brush, brushed, edge, noise, ramp, scattered, traced


def test_strokes_leave_a_plain_plan_plain_and_stay_in_range() -> None:
    plain = np.full((30, 40, 3), 0.5, np.float32)
    flat = Brush(count=60, length=200, width=60, value_jitter=0, hue_jitter=0, bristle_jitter=0)
    paint = brushed(plain, np.zeros((30, 40), np.float32), rng=np.random.default_rng(0), brushes=[flat])
    assert np.abs(paint.colour - 0.5).max() < 0.02
    assert paint.height.std() > 0.01  # the relief is there
    assert np.allclose(paint.lit(0), paint.colour)
    assert paint.lit(0.5).std() > 0.01


def test_paths_follow_the_field() -> None:
    down = np.full((20, 20), np.pi / 2, np.float32)
    path = traced(down, np.array([[10.0, 10.0]]), length_px=np.array([6.0]), steps=3)
    assert path.shape == (1, 7, 2)
    assert np.allclose(path[0, :, 0], 10, atol=1e-5)
    assert np.allclose(path[0, [0, 3, 6], 1], [7, 10, 13], atol=1e-5)


def test_a_ramp_meets_its_colours_and_an_edge_its_sides() -> None:
    palette = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 1]], np.float32)
    assert np.allclose(ramp(np.array([-1, 0, 0.5, 1, 2.0]), palette), palette[[0, 0, 1, 2, 2]])
    assert np.allclose(edge(np.array([-1.0, 0, 1]), 0.5), [1, 0.5, 0])


def test_points_are_spread_evenly_and_noise_is_smooth() -> None:
    rng = np.random.default_rng(0)
    points = scattered((40, 80), rng, count=800, stray=0)
    assert len(points) == pytest.approx(800, rel=0.05)
    assert np.abs(points.mean(axis=0) - (40, 20)).max() < 1
    field = noise((64, 64), rng, cells=2)
    assert np.abs(np.diff(field, axis=0)).max() < 0.3
