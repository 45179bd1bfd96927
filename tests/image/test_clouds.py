"""Clouds: the content of textures."""

from __future__ import annotations

import pytest
import torch

from impasto.image.clouds import SPREAD, clouds, clouds_name, clouds_seed


def test_a_seed_gives_one_picture() -> None:
    assert torch.equal(clouds((60, 90), seed=4), clouds((60, 90), seed=4))
    assert not torch.equal(clouds((60, 90), seed=4), clouds((60, 90), seed=5))


@pytest.mark.parametrize("size_hw", [(1, 1), (3, 200), (256, 192)])
def test_any_size_in_range(size_hw: tuple[int, int]) -> None:
    found = clouds(size_hw, seed=1)
    assert found.shape == (1, 3, *size_hw)
    assert found.isfinite().all()
    assert float(found.min()) >= 0
    assert float(found.max()) <= 1


def test_values_spread_around_grey_and_the_spectrum_falls() -> None:
    found = clouds((256, 256), seed=1)
    assert abs(float(found.mean()) - 0.5) < 0.01
    assert abs(float(found.std()) - SPREAD) < 0.02
    power = torch.fft.rfft2(found - found.mean()).abs().square()[0].mean(0)
    bands = [float(power[low : 2 * low, low : 2 * low].mean()) for low in (4, 8, 16, 32)]
    assert bands == sorted(bands, reverse=True)


@pytest.mark.parametrize("name", ["clouds", "clouds:", "clouds:-1", "clouds:1.png", "folder/clouds:1"])
def test_names_of_other_contents(name: str) -> None:
    assert clouds_seed(name) is None
    assert clouds_seed(clouds_name(12)) == 12
