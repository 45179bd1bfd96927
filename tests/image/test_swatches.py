from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from impasto.core.errors import ImageUnreadable, OptionError, UnknownName
from impasto.image import samples
from impasto.image.brushwork import Brush, brushed, edge, noise, ramp, scattered, traced
from impasto.image.samples import SAMPLES, sample, sample_path
from impasto.image.swatches import SMALLEST_SIDE_PX, SWATCHES, swatch

SMALL = (40, 51)


@pytest.fixture(scope="module")
def drawn() -> dict[str, Tensor]:
    return {name: swatch(name, size_hw=(96, 120)) for name in SWATCHES}


@pytest.mark.parametrize("name", SWATCHES)
def test_a_seed_draws_the_same_and_another_seed_another(name: str) -> None:
    first, again, other = (swatch(name, size_hw=SMALL, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert (first - other).abs().mean() > 0.01


@pytest.mark.parametrize("name", SWATCHES)
@pytest.mark.parametrize("size_hw", [(97, 131), (SMALLEST_SIDE_PX, SMALLEST_SIDE_PX), (90, 16)])
def test_every_size_is_drawn_in_range(name: str, size_hw: tuple[int, int]) -> None:
    picture = swatch(name, size_hw=size_hw)
    assert picture.shape == (1, 3, *size_hw)
    assert picture.dtype == torch.float32
    assert 0 <= picture.min() < picture.max() <= 1


@pytest.mark.parametrize("name", SWATCHES)
def test_the_whole_canvas_is_painted_with_contrast(name: str, drawn: dict[str, Tensor]) -> None:
    tiles = drawn[name].unfold(2, 24, 24).unfold(3, 24, 24)  # (1, 3, 4, 5, 24, 24)
    assert (tiles.std(dim=(-2, -1)).mean(dim=1) > 0.01).all()
    assert drawn[name].std() > 0.1


def test_palettes_or_textures_are_distinct(drawn: dict[str, Tensor]) -> None:
    for one, other in itertools.combinations(drawn, 2):
        assert (signs(drawn[one]) - signs(drawn[other])).abs().max() > 0.03, (one, other)


def test_the_check_for_distinctness_can_fail(drawn: dict[str, Tensor]) -> None:
    mirrored = drawn["points"].flip(-1)
    assert (signs(drawn["points"]) - signs(mirrored)).abs().max() < 0.03


def signs(picture: Tensor) -> Tensor:
    """Mean colour, spread of colours, and mean step to the right and down: what tells a palette and a texture."""
    across, down = picture.diff(dim=-1).abs().mean(), picture.diff(dim=-2).abs().mean()
    return torch.cat([picture.mean(dim=(0, 2, 3)), picture.std(dim=(0, 2, 3)), torch.stack([across, down])])


def test_unknown_names_and_impossible_sizes_are_refused() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'mosaic'"):
        swatch("mosaik")
    with pytest.raises(OptionError, match="16 px a side"):
        swatch("ink", size_hw=(15, 100))
    with pytest.raises(OptionError, match="seed is -1"):
        swatch("ink", seed=-1)


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
    path = traced(down, np.array([[10.0, 10.0]]), np.array([6.0]), steps=3)
    assert path.shape == (1, 7, 2)
    assert np.allclose(path[0, :, 0], 10, atol=1e-5)
    assert np.allclose(path[0, [0, 3, 6], 1], [7, 10, 13], atol=1e-5)


def test_a_ramp_meets_its_colours_and_an_edge_its_sides() -> None:
    palette = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 1]], np.float32)
    assert np.allclose(ramp(np.array([-1, 0, 0.5, 1, 2.0]), palette), palette[[0, 0, 1, 2, 2]])
    assert np.allclose(edge(np.array([-1.0, 0, 1]), 0.5), [1, 0.5, 0])


def test_points_are_spread_evenly_and_noise_is_smooth() -> None:
    rng = np.random.default_rng(0)
    points = scattered((40, 80), rng, 800, stray=0)
    assert len(points) == pytest.approx(800, rel=0.05)
    assert np.abs(points.mean(axis=0) - (40, 20)).max() < 1
    field = noise((64, 64), rng, cells=2)
    assert np.abs(np.diff(field, axis=0)).max() < 0.3


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_lie_in_the_package(name: str) -> None:
    assert sample_path(name).is_file()


def test_a_sample_is_a_colour_picture_in_range() -> None:
    for name in ("astronaut", "camera"):
        pixels = sample(name).pixels
        assert pixels.shape == (1, 3, 512, 512)
        assert 0 <= pixels.min() < pixels.max() <= 1


def test_unknown_and_absent_samples_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'coffee'"):
        sample_path("cofee")
    monkeypatch.setitem(SAMPLES, "gone", samples.Sample("gone", "", "gone.png", ""))
    with pytest.raises(ImageUnreadable, match=r"lacks gone\.png.*pip install"):
        sample_path("gone")
