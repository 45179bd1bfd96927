"""The measure of periodic texture."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from impasto.image.pixels import to_bytes
from impasto.image.resize import resized
from impasto.image.samples import sample
from impasto.metrics.weave import CYCLES_PER_PX, spectral_lines, weave


@pytest.fixture(scope="module")
def photo() -> Tensor:
    return resized(sample("astronaut").pixels, (256, 256))


def cosine(line: str, size_hw: tuple[int, int]) -> Tensor:
    """A wave `(h, w)` of the frequency of `line`."""
    down, across = CYCLES_PER_PX[line]
    y, x = torch.meshgrid(*(torch.arange(side) for side in size_hw), indexing="ij")
    return torch.cos(2 * torch.pi * (down * y + across * x))


def test_a_photograph_has_none(photo: Tensor) -> None:
    assert weave(photo) < 3


@pytest.mark.parametrize("line", list(CYCLES_PER_PX))
def test_a_faint_wave_is_found_on_its_own_line(photo: Tensor, line: str) -> None:
    waved = spectral_lines(to_bytes((photo + 0.02 * cosine(line, (256, 256))).clamp(0, 1))[0])
    assert max(waved, key=waved.__getitem__) == line
    assert waved[line] > 20


def test_waves_of_other_periods_are_not_weave(photo: Tensor) -> None:
    x = torch.arange(256)
    assert weave((photo + 0.02 * torch.cos(2 * torch.pi * x / 3)).clamp(0, 1)) < 3


def test_white_noise_has_none_and_a_flat_picture_has_0() -> None:
    noise = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    assert 0.5 < weave(noise) < 3
    assert weave(torch.full((1, 3, 256, 256), 0.5)) == 0


def test_pictures_smaller_than_a_tile_are_measured(photo: Tensor) -> None:
    small = photo[..., 50:110, 60:150]
    waved = (small + 0.05 * cosine("4 px across", (60, 90))).clamp(0, 1)
    assert weave(waved) > 5 * weave(small)


def test_the_worst_of_a_batch_counts(photo: Tensor) -> None:
    waved = (photo + 0.02 * cosine("2 px down", (256, 256))).clamp(0, 1)
    assert weave(torch.cat([photo, waved])) == weave(waved)
