"""Each statistic against its definition."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from impasto.losses.statistics import covariance, directions, gram, histogram, mean_std, sliced


def noise(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_gram_of_constant_features_is_the_outer_product() -> None:
    value = torch.tensor([1.0, -2.0, 3.0])
    (found,) = gram(value.view(1, 3, 1, 1).expand(1, 3, 4, 5))
    assert torch.allclose(found[0], torch.outer(value, value))


def test_gram_is_covariance_plus_the_outer_product_of_the_mean() -> None:
    feats, weights = noise(0, 2, 4, 5, 6), noise(1, 2, 1, 5, 6).abs()
    spread, mean = covariance(feats, weights)
    (raw,) = gram(feats, weights)
    assert torch.allclose(raw, spread + mean[:, :, None] * mean[:, None, :], atol=1e-5)


def test_covariance_of_pixels_matches_torch() -> None:
    feats = noise(0, 1, 4, 5, 6)
    assert torch.allclose(covariance(feats)[0][0], torch.cov(feats[0].flatten(1), correction=0), atol=1e-6)


def test_std_squared_is_the_diagonal_of_the_covariance() -> None:
    feats, weights = noise(0, 2, 4, 5, 6), noise(1, 1, 1, 5, 6).abs()
    mean, std = mean_std(feats, weights, eps=0.0)
    spread, same_mean = covariance(feats, weights)
    assert torch.allclose(std.square(), spread.diagonal(dim1=1, dim2=2), atol=1e-5)
    assert torch.allclose(mean, same_mean, atol=1e-6)


@pytest.mark.parametrize("statistic", [gram, covariance])
def test_moments_of_joined_features_are_the_weighted_moments(statistic) -> None:
    left, right = noise(0, 1, 3, 4, 2), noise(1, 1, 3, 4, 6)
    right = right - right.mean((2, 3), keepdim=True) + left.mean((2, 3), keepdim=True)
    joined = statistic(torch.cat([left, right], dim=3))[0]
    assert torch.allclose(joined, 0.25 * statistic(left)[0] + 0.75 * statistic(right)[0], atol=1e-5)


def test_histogram_of_as_many_bins_as_pixels_is_the_sorted_values() -> None:
    feats = noise(0, 2, 3, 4, 5)
    assert torch.allclose(histogram(feats, bins=20)[0], feats.flatten(2).sort(-1).values, atol=1e-5)


def test_histogram_of_fewer_bins_is_the_means_of_sorted_groups() -> None:
    feats = noise(0, 1, 3, 4, 5)
    groups = feats.flatten(2).sort(-1).values.unflatten(-1, (5, 4)).mean(-1)
    assert torch.allclose(histogram(feats, bins=5)[0], groups, atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    bins=st.integers(1, 40),
    weighted=st.booleans(),
    offset=st.floats(-1e3, 1e3),
    seed=st.integers(0, 99),
)
def test_histogram_rises_and_keeps_the_mean(
    height: int, width: int, bins: int, weighted: bool, offset: float, seed: int
) -> None:
    feats = noise(seed, 1, 2, height, width) + offset
    weights = noise(seed + 1, 1, 1, height, width).abs() + 0.01 if weighted else None
    (found,) = histogram(feats, weights, bins=bins)
    mean = mean_std(feats, weights)[0]
    tolerance = 1e-4 * bins + 1e-6 * abs(offset)
    assert found.shape == (1, 2, bins)
    assert bool((found.diff(dim=-1) >= -tolerance).all())
    assert torch.allclose(found.mean(-1), mean, atol=tolerance)
    assert bool((found >= feats.amin((2, 3)).unsqueeze(-1) - tolerance).all())
    assert bool((found <= feats.amax((2, 3)).unsqueeze(-1) + tolerance).all())


def test_every_pixel_gets_a_gradient_from_a_histogram() -> None:
    feats = noise(0, 1, 2, 30, 30).requires_grad_()
    histogram(feats, bins=7)[0].square().sum().backward()
    assert feats.grad is not None
    assert bool((feats.grad != 0).all())


def test_histogram_of_many_pixels_is_exact() -> None:
    feats = noise(0, 1, 1, 512, 256).abs() * 10 + 100
    exact = feats.double().flatten(2).sort(-1).values.unflatten(-1, (512, -1)).mean(-1)
    assert torch.allclose(histogram(feats, bins=512)[0].double(), exact, rtol=1e-5)


def test_directions_are_unit_vectors_and_follow_the_seed() -> None:
    rays = directions(7, 30, seed=3)
    assert torch.allclose(rays.norm(dim=1), torch.ones(30))
    assert torch.equal(rays, directions(7, 30, seed=3))
    assert not torch.equal(rays, directions(7, 30, seed=4))


def test_sliced_is_the_same_for_the_same_seed_and_leaves_global_randomness_alone() -> None:
    feats = noise(0, 1, 4, 5, 5)
    state = torch.random.get_rng_state()
    assert torch.equal(sliced(feats, seed=1)[0], sliced(feats, seed=1)[0])
    assert not torch.equal(sliced(feats, seed=1)[0], sliced(feats, seed=2)[0])
    assert torch.equal(torch.random.get_rng_state(), state)


def test_sliced_along_one_channel_is_its_histogram_up_to_sign() -> None:
    feats = noise(0, 1, 1, 6, 6)
    along, across = sliced(feats, projections=1)[0], histogram(feats)[0]
    assert torch.allclose(along.abs().sort(-1).values, across.abs().sort(-1).values, atol=1e-4)


def test_sliced_represents_large_maps_by_a_subset() -> None:
    feats = noise(0, 1, 3, 60, 60).requires_grad_()
    few, everything = sliced(feats, max_pixels=900)[0], sliced(feats)[0]
    assert torch.allclose(few[..., 100:-100], everything[..., 100:-100], atol=0.4)
    few.square().sum().backward()
    assert feats.grad is not None
    assert int((feats.grad[0, 0] != 0).sum()) == 900


def test_weighted_maps_are_never_a_subset() -> None:
    feats = noise(0, 1, 3, 10, 10)
    weights = torch.zeros(1, 1, 10, 10)
    weights[..., 0, 0] = 1
    found = sliced(feats, weights, max_pixels=4)[0]
    expected = sliced(feats[..., :1, :1])[0]
    assert torch.allclose(found, expected, atol=1e-3)


def test_refuses_features_that_are_no_maps() -> None:
    with pytest.raises(ValueError, match="is needed"):
        gram(torch.zeros(3, 4, 5))
