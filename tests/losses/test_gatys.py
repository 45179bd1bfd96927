"""The paper's own losses, written out."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from impasto.losses.distances import gatys_content, gatys_style
from impasto.losses.statistics import gram
from impasto.losses.table import GATYS


def noise(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_style_is_equation_four_with_sums_over_pixels() -> None:
    found, target = noise(0, 1, 4, 5, 6), noise(1, 1, 4, 5, 6)
    channels, pixels = 4, 5 * 6
    sums = [feats[0].flatten(1) @ feats[0].flatten(1).T for feats in (found, target)]
    expected = (sums[0] - sums[1]).square().sum() / (4 * channels**2 * pixels**2)
    assert float(gatys_style(gram(found)[0], gram(target)[0])) == pytest.approx(float(expected), rel=1e-4)
    assert float(GATYS(found, GATYS.target(target))) == pytest.approx(float(expected), rel=1e-4)


def test_content_is_equation_one() -> None:
    found, target = noise(0, 1, 4, 5, 6), noise(1, 1, 4, 5, 6)
    assert float(gatys_content(found, target)) == pytest.approx(float((found - target).square().sum() / 2), rel=1e-5)


def test_content_of_a_batch_is_the_mean_of_its_items() -> None:
    found, target = noise(0, 3, 4, 5, 6), noise(1, 1, 4, 5, 6)
    alone = [float(gatys_content(item[None], target)) for item in found]
    assert float(gatys_content(found, target)) == pytest.approx(sum(alone) / 3, rel=1e-5)
