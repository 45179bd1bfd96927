"""The transport distance of Gaussians against cases with a known answer."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from impasto.losses.gaussians import RIDGE, SPAN, Unshared, bures, eigh, prepared, relative_bures, relative_moments
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


def test_the_factor_of_a_prepared_target_gives_its_covariance() -> None:
    spread, _, factor, ridge = prepared(covariance(noise(0, 2, 6, 9, 9)))
    assert factor.shape == (2, 6, 6)
    assert torch.allclose(factor @ factor.mT, spread, atol=1e-5)
    assert bool((ridge > 0).all())


def test_the_factor_has_no_more_columns_than_the_target_has_directions() -> None:
    flat, full = noise(0, 1, 1, 9, 9) * noise(1, 1, 6, 1, 1), noise(2, 1, 6, 3, 1)  # of rank 1 and 2
    spread, _, factor, ridge = prepared(covariance(torch.cat([flat, full.expand(-1, -1, 3, 3).repeat(1, 1, 3, 3)])))
    assert factor.shape == (2, 6, 2)
    assert [int(n) for n in (factor.square().sum(-2) > 0).sum(-1)] == [1, 2]
    left = torch.linalg.matrix_norm(spread - factor @ factor.mT, 2)
    assert bool((left <= (1 + SPAN) * ridge).all())


def by_definition(found: Statistic, target: Statistic) -> Tensor:
    """Olkin & Pukelsheim's formula in float64, without a ridge."""
    (one, mean), (other, other_mean) = [tuple(part.double() for part in side[:2]) for side in (found, target)]
    root = power(other, 0.5)
    both = power(root @ one @ root, 0.5)
    traces = (one + other - 2 * both).diagonal(dim1=1, dim2=2).sum(-1)
    return ((mean - other_mean).square().sum(-1) + traces).mean()


def power(matrix: Tensor, exponent: float) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp_min(0).pow(exponent).unsqueeze(-2)) @ vectors.mT


@pytest.mark.parametrize(("found_px", "target_px"), [(20, 20), (4, 20), (20, 4), (4, 4)])
@pytest.mark.parametrize("decay", [0.0, 6.0])
def test_it_is_the_formula_also_where_rank_is_low(found_px: int, target_px: int, decay: float) -> None:
    """40 channels; 16 pixels give 15 directions. With `decay` the channels' variances span 12 powers of ten.

    Only the ridge departs from the formula: in each direction by its root at most, and on both sides.
    """
    scales = torch.logspace(0, -decay, 40).view(1, 40, 1, 1)
    found, target = noise(0, 2, 40, found_px, found_px) * scales, noise(1, 1, 40, target_px, target_px) * scales
    one, other = covariance(found), covariance(target + 0.3 * scales)
    size = float(by_definition((0 * one[0], 0 * one[1]), other))
    assert abs(float(bures(one, other)) - float(by_definition(one, other))) < 2 * RIDGE**0.5 * size


@pytest.mark.parametrize("px", [20, 4])
def test_float32_has_the_gradient_of_float64(px: int) -> None:
    scales = torch.logspace(0, -3, 40).view(1, 40, 1, 1)
    target, grads = noise(1, 1, 40, px, px) * scales, []
    for dtype in (torch.float32, torch.float64):
        feats = (noise(0, 1, 40, 4, 4) * scales).to(dtype).requires_grad_()
        relative_bures(covariance(feats), prepared(covariance(target.to(dtype)))).backward()
        assert feats.grad is not None
        grads.append(feats.grad.double())
    assert float((grads[0] - grads[1]).norm() / grads[1].norm()) < 1e-3


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


def test_what_is_not_shared_has_the_gradient_of_the_function() -> None:
    drawn = noise(0, 2, 6, 4).double()
    spread = (drawn @ drawn.mT + 0.1 * torch.eye(6, dtype=torch.float64)).requires_grad_()
    factor = torch.linalg.qr(noise(1, 2, 6, 3).double())[0] * torch.tensor([0.2, 1.0, 3.0], dtype=torch.float64)
    ridges = 0.01 * factor.square().sum(-2)
    assert torch.autograd.gradcheck(lambda s: Unshared.apply((s + s.mT) / 2, factor, ridges), (spread,))
    within = factor.mT @ spread.detach() @ factor + torch.diag_embed(ridges)
    traces = spread.detach().diagonal(dim1=1, dim2=2).sum(-1)
    wanted = traces - 2 * torch.linalg.eigvalsh(within).sqrt().sum(-1)
    torch.testing.assert_close(Unshared.apply(spread, factor, ridges).detach(), wanted)


def test_a_direction_without_variance_has_a_finite_gradient() -> None:
    spread = torch.zeros(1, 3, 3, requires_grad=True)
    Unshared.apply(spread, torch.eye(3)[None], torch.zeros(1, 3)).sum().backward()
    assert spread.grad is not None
    assert torch.equal(spread.grad, torch.eye(3)[None])


def test_the_gradient_is_the_same_under_autocast() -> None:
    target, grads = prepared(covariance(noise(1, 1, 5, 8, 8))), []
    for enabled in (False, True):
        feats = noise(0, 1, 5, 9, 9).requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            relative_bures(covariance(feats), target).backward()
        assert feats.grad is not None
        grads.append(feats.grad)
    assert torch.equal(*grads)


def test_a_loss_of_features_that_are_not_finite_is_nan() -> None:
    feats = noise(0, 1, 3, 5, 5)
    target = covariance(feats)
    feats[0, 0, 0, 0] = torch.inf
    assert bool(bures(covariance(feats), target).isnan())


def test_the_number_of_threads_stays() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        eigh(torch.eye(3, dtype=torch.float64))
        assert torch.get_num_threads() == 2
        with pytest.raises(RuntimeError):
            eigh(torch.ones(2, 3))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
