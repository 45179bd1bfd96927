"""The transport distance of Gaussians against cases with a known answer."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from impasto.losses.gaussians import RIDGE, TraceOfRoot, bures, prepared, relative_bures, relative_moments
from impasto.losses.statistics import Statistic, covariance


def noise(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def gaussian(variances: list[float], mean: list[float]) -> Statistic:
    return torch.diag(torch.tensor(variances)).unsqueeze(0), torch.tensor([mean])


def test_diagonal_gaussians_are_as_far_as_their_means_and_deviations() -> None:
    found, target = gaussian([4.0, 1.0, 9.0], [0.0, 1.0, 2.0]), gaussian([1.0, 16.0, 9.0], [1.0, 1.0, 0.0])
    expected = (1 + 4) + (2 - 1) ** 2 + (1 - 4) ** 2
    assert float(bures(found, target)) == pytest.approx(expected, rel=1e-3)


def test_symmetric() -> None:
    found, target = covariance(noise(0, 1, 5, 9, 9)), covariance(noise(1, 1, 5, 8, 8) * 2)
    assert float(bures(found, target)) == pytest.approx(float(bures(target, found)), rel=1e-3)


def test_a_shift_costs_its_squared_length() -> None:
    feats, shift = noise(0, 1, 3, 9, 9), torch.tensor([1.0, -2.0, 2.0]).view(1, 3, 1, 1)
    assert float(bures(covariance(feats + shift), covariance(feats))) == pytest.approx(9, rel=1e-4)


def test_scaling_by_k_costs_the_variance_times_k_less_one_squared() -> None:
    feats = noise(0, 1, 4, 20, 20)
    feats = feats - feats.mean((2, 3), keepdim=True)
    spread = covariance(feats)[0]
    expected = float(spread.diagonal(dim1=1, dim2=2).sum()) * (3 - 1) ** 2
    assert float(bures(covariance(3 * feats), covariance(feats))) == pytest.approx(expected, rel=1e-3)


def test_the_same_prepared_or_not() -> None:
    found, target = covariance(noise(0, 2, 5, 9, 9)), covariance(noise(1, 1, 5, 8, 8))
    for distance in (bures, relative_bures):
        assert torch.equal(distance(found, target), distance(found, prepared(target)))


def test_the_root_of_a_prepared_target_squares_to_its_covariance() -> None:
    spread, _, root, ridge = prepared(covariance(noise(0, 2, 6, 2, 2)))
    assert torch.allclose(root @ root, spread, atol=1e-5)
    assert torch.allclose(root, root.mT, atol=1e-6)
    assert bool((ridge > 0).all())


@pytest.mark.parametrize("channels", [3, 64])
def test_zero_at_equality_where_rank_is_one(channels: int) -> None:
    feats = noise(0, 1, 1, 9, 9) * noise(1, 1, channels, 1, 1) * 50
    assert float(relative_bures(covariance(feats), covariance(feats))) < 1e-5


def test_gradient_stays_moderate_where_rank_is_low() -> None:
    feats = (noise(0, 1, 1, 9, 9) * noise(1, 1, 16, 1, 1)).requires_grad_()
    relative_bures(covariance(feats), covariance(noise(2, 1, 16, 9, 9))).backward()
    assert feats.grad is not None
    assert float(feats.grad.norm()) < 1 / RIDGE


def test_centred_targets_do_not_blow_up_the_mean_part() -> None:
    target = noise(0, 1, 5, 12, 12)
    target = target - target.mean((2, 3), keepdim=True)
    found = target + 0.01
    assert float(relative_moments(covariance(found), covariance(target))) < 0.1


def test_moments_weigh_covariance_and_mean_alike() -> None:
    spread, mean = covariance(noise(0, 1, 5, 12, 12) + 1)
    without_mean = relative_moments((spread, torch.zeros_like(mean)), (spread, mean))
    without_spread = relative_moments((torch.zeros_like(spread), mean), (spread, mean))
    assert float(without_mean) == pytest.approx(0.5)
    assert float(without_spread) == pytest.approx(0.5)


def test_the_trace_of_the_root_has_the_gradient_of_the_function() -> None:
    drawn = torch.randn(2, 6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    full = (drawn @ drawn.mT + 0.1 * torch.eye(6, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(lambda m: TraceOfRoot.apply((m + m.mT) / 2), (full,))
    values = torch.linalg.eigvalsh(full.detach())
    torch.testing.assert_close(TraceOfRoot.apply(full).detach(), values.sqrt().sum(-1))
