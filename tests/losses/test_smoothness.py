"""Total variation and the Laplacian loss by law."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from impasto.core.errors import ImageTooSmall, OptionError
from impasto.losses.smoothness import laplacian_match, total_variation


def noise(seed: int, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def ramp(height: int, width: int, slope: float) -> Tensor:
    return (torch.arange(width) * slope).expand(1, 3, height, width)


@pytest.mark.parametrize(("power", "expected"), [(2, 0.01), (1, 0.1)])
@pytest.mark.parametrize("size_hw", [(3, 4), (9, 20), (1, 7)])
def test_a_slope_gives_one_number_at_every_size(size_hw: tuple[int, int], power: int, expected: float) -> None:
    assert float(total_variation(ramp(*size_hw, 0.1), power=power)) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("power", [1, 2])
def test_turning_the_picture_changes_nothing(power: int) -> None:
    image = noise(0, 2, 3, 5, 8)
    turned = total_variation(image.mT, power=power)
    assert torch.allclose(total_variation(image, power=power), turned)


@pytest.mark.parametrize("power", [1, 2])
def test_one_pixel_has_no_variation_but_a_gradient(power: int) -> None:
    image = noise(0, 1, 3, 1, 1).requires_grad_()
    value = total_variation(image, power=power)
    value.backward()
    assert value.item() == 0
    assert image.grad is not None


def test_refuses_another_power() -> None:
    with pytest.raises(OptionError, match="power 3"):
        total_variation(noise(0, 1, 3, 4, 4), power=3)


def test_smoothing_lowers_total_variation() -> None:
    image = noise(0, 1, 3, 16, 16)
    assert float(total_variation(torch.nn.functional.avg_pool2d(image, 3, 1))) < 0.5 * float(total_variation(image))


def test_the_laplacian_does_not_see_colour_shifts_and_slopes() -> None:
    content = noise(0, 1, 3, 24, 28)
    image = content + torch.tensor([0.1, -0.2, 0.3]).view(1, 3, 1, 1) + ramp(24, 28, 0.01)
    assert float(laplacian_match(image, content)) == pytest.approx(0, abs=1e-9)


def test_the_laplacian_sees_lines_and_channels_do_not_cancel() -> None:
    content = torch.zeros(1, 3, 24, 24)
    image = content.clone()
    image[:, 0, :, 12:] = 0.5
    image[:, 1, :, 12:] = -0.5
    assert float(laplacian_match(image, content)) > 1e-3


def test_the_laplacian_does_not_see_detail_finer_than_the_pool() -> None:
    content = torch.zeros(1, 3, 24, 24)
    checks = (torch.arange(24)[:, None] + torch.arange(24)) % 2 - 0.5
    assert float(laplacian_match(content + checks, content, pool_px=4)) == pytest.approx(0, abs=1e-12)
    assert float(laplacian_match(content + checks, content, pool_px=1)) > 1


def test_refuses_pictures_too_small_to_pool() -> None:
    with pytest.raises(ImageTooSmall, match="30×11 px; the Laplacian loss needs 12 px"):
        laplacian_match(torch.zeros(1, 3, 11, 30), torch.zeros(1, 3, 11, 30))


def test_refuses_two_sizes() -> None:
    with pytest.raises(ValueError, match="30×20 and content 20×30"):
        laplacian_match(torch.zeros(1, 3, 20, 30), torch.zeros(1, 3, 30, 20))
