"""Statistics as tensors: what features look like after they were given others, and statistics of parts joined."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from impasto.nets.moments import EPS, RunningMoments, given_covariance, given_moments, moments


def features(c: int = 5, h: int = 12, w: int = 14, *, seed: int = 0) -> Tensor:
    """Correlated features `(2, c, h, w)`, no channel of mean 0 or deviation 1."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(2, c, h, w, generator=generator)
    turn = torch.randn(c, c, generator=generator) + 2 * torch.eye(c)
    return torch.einsum("dc,bchw->bdhw", turn, noise) + torch.randn(c, generator=generator)[:, None, None]


def test_moments_are_mean_and_deviation() -> None:
    feats = features()
    found = moments(feats)
    torch.testing.assert_close(found[:, 0], feats.mean((2, 3)))
    torch.testing.assert_close(found[:, 1], feats.std((2, 3), correction=0), rtol=1e-4, atol=1e-4)


def test_covariances_stand_below_the_mean() -> None:
    feats = features()
    found = moments(feats, covariances=True)
    assert found.shape == (2, 6, 5)
    torch.testing.assert_close(found[0, 1:], torch.cov(feats[0].flatten(1), correction=0), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found[:, 1:].diagonal(dim1=1, dim2=2) + EPS, moments(feats)[:, 1].square())


def test_a_constant_has_no_deviation_but_a_floor() -> None:
    assert float(moments(torch.full((1, 2, 4, 4), 7.0))[0, 1, 0]) == pytest.approx(EPS**0.5)


def test_adain_gives_the_target_moments() -> None:
    feats, target = features(), moments(3 * features(seed=1) - 2)
    found = given_moments(feats, moments(feats), target=target)
    torch.testing.assert_close(moments(found), target, rtol=1e-4, atol=1e-4)


def test_wct_gives_the_target_covariance() -> None:
    feats, target = features(), moments(3 * features(seed=1) - 2, covariances=True)
    found = given_covariance(feats, moments(feats, covariances=True), target=target)
    torch.testing.assert_close(moments(found, covariances=True), target, rtol=1e-3, atol=1e-3)


def test_wct_leaves_out_directions_without_variance() -> None:
    feats = features()
    feats[:, 4] = 2 * feats[:, 3]  # rank 4 of 5
    feats[:, 0] = 1.0
    found = given_covariance(
        feats, moments(feats, covariances=True), target=moments(features(seed=1), covariances=True)
    )
    assert bool(torch.isfinite(found).all())
    assert float(found.abs().max()) < 100


@pytest.mark.parametrize("covariances", [False, True])
def test_their_own_statistics_give_features_back(covariances: bool) -> None:
    feats = features()
    stats = moments(feats, covariances=covariances)
    given = given_covariance if covariances else given_moments
    torch.testing.assert_close(given(feats, stats, target=stats), feats, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("covariances", [False, True])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_tallies_of_parts_join_to_the_moments_of_the_whole(covariances: bool, order: tuple[int, ...]) -> None:
    feats = features(h=31, w=20)
    parts = [feats[:, :, :3], feats[:, :, 3:4], feats[:, :, 4:]]
    one, two, three = (RunningMoments.of(parts[i], covariances=covariances) for i in order)
    whole = moments(feats, covariances=covariances)
    torch.testing.assert_close(one.joined(two).joined(three).value(), whole, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(RunningMoments.of(feats, covariances=covariances).value(), whole, rtol=1e-5, atol=1e-5)


def test_joining_keeps_a_small_deviation_on_a_large_mean() -> None:
    feats = 1000 + 0.01 * torch.randn(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    one, two = RunningMoments.of(feats[:, :, :20]), RunningMoments.of(feats[:, :, 20:])
    torch.testing.assert_close(one.joined(two).value(), moments(feats), rtol=1e-4, atol=1e-6)
