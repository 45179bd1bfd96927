from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from impasto.nets.colours import FLOOR, colour_map, recoloured
from impasto.nets.moments import moments


@pytest.fixture
def pair() -> tuple[Tensor, Tensor]:
    """Two pictures of narrow ranges, so that nothing is clamped."""
    draw = torch.Generator().manual_seed(0)
    one = 0.4 + 0.2 * torch.rand(1, 3, 40, 50, generator=draw)
    other = (
        0.5
        + 0.1 * torch.randn(1, 3, 30, 20, generator=draw).clamp(-3, 3) * torch.tensor([1.0, 0.5, 0.2])[:, None, None]
    )
    return one, other


def colours(picture: Tensor) -> Tensor:
    return moments(picture, covariances=True)


def test_the_result_has_the_colours_of_the_target(pair: tuple[Tensor, Tensor]) -> None:
    one, other = pair
    found = colours(recoloured(one, colour_map(colours(one), colours(other))))
    torch.testing.assert_close(found[:, 0], colours(other)[:, 0], rtol=0, atol=1e-4)
    torch.testing.assert_close(found[:, 1:], colours(other)[:, 1:], rtol=0, atol=2 * FLOOR)


def test_a_picture_in_its_own_colours_stays(pair: tuple[Tensor, Tensor]) -> None:
    one, _ = pair
    torch.testing.assert_close(recoloured(one, colour_map(colours(one), colours(one))), one, rtol=0, atol=1e-5)


def test_the_map_is_symmetric_and_positive(pair: tuple[Tensor, Tensor]) -> None:
    linear = colour_map(colours(pair[0]), colours(pair[1]))[0, :, :3]
    torch.testing.assert_close(linear, linear.T)
    assert bool((torch.linalg.eigvalsh(linear) > 0).all())


def test_a_flat_picture_takes_the_mean_and_keeps_its_noise_small(pair: tuple[Tensor, Tensor]) -> None:
    flat = torch.full((1, 3, 20, 20), 0.3) + 1e-3 * torch.randn(
        1, 3, 20, 20, generator=torch.Generator().manual_seed(1)
    )
    found = recoloured(flat, colour_map(colours(flat), colours(pair[1])))
    torch.testing.assert_close(found.mean((2, 3)), pair[1].mean((2, 3)), rtol=0, atol=1e-3)
    assert found.std() < 0.1


@pytest.mark.parametrize("amount", [0.0, 0.5, 1.0])
def test_the_amount_goes_evenly(pair: tuple[Tensor, Tensor], amount: float) -> None:
    one, other = pair
    linear = colour_map(colours(one), colours(other))
    between = torch.lerp(one, recoloured(one, linear), amount)
    torch.testing.assert_close(recoloured(one, linear, amount=amount), between, rtol=0, atol=1e-6)


def test_results_stay_in_range(draw_photo: Callable[[int, int], Tensor]) -> None:
    loud = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(2)).round()
    photo = draw_photo(32, 32)
    low, high = recoloured(photo, 3 * colour_map(colours(photo), colours(loud))).aminmax()
    assert low >= 0
    assert high <= 1
