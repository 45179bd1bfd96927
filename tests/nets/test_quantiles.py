"""Distributions of features: what is matched, what is joined, what is kept."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from impasto.nets import quantiles as distributions
from impasto.nets.quantiles import LEVELS, RunningQuantiles, given_quantiles, quantiles


def features(*, seed: int = 0, scale: float = 1.0, h: int = 24, w: int = 26) -> Tensor:
    """Skewed features `(2, 3, h, w)` with many zeros, as after a ReLU."""
    return scale * torch.randn(2, 3, h, w, generator=torch.Generator().manual_seed(seed)).exp().sub(1).relu()


def test_quantiles_run_from_the_smallest_to_the_largest_value() -> None:
    feats = features()
    found = quantiles(feats)
    assert found.shape == (2, LEVELS, 3)
    torch.testing.assert_close(found[:, 0], feats.amin((2, 3)))
    torch.testing.assert_close(found[:, -1], feats.amax((2, 3)))
    wanted = torch.quantile(feats.flatten(2), torch.linspace(0, 1, LEVELS), dim=2).permute(1, 0, 2)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


def test_given_features_have_the_other_distribution_and_keep_their_order() -> None:
    content, style = torch.randn(2, 3, 24, 26), features(seed=1, scale=3.0)
    given = given_quantiles(content, quantiles(content), target=quantiles(style))
    torch.testing.assert_close(quantiles(given), quantiles(style), atol=0.02, rtol=0.1)
    ordered = given.flatten(2).gather(2, content.flatten(2).argsort(dim=2))
    assert bool((ordered.diff(dim=2) >= 0).all())


def test_sorted_matching_is_the_limit() -> None:
    """With as many places as quantiles, the map is that of the paper: the value of each rank."""
    content = torch.rand(1, 2, 8, LEVELS // 8)
    style = torch.rand(1, 2, 8, LEVELS // 8) ** 3
    ranks = content.flatten(2).argsort(dim=2).argsort(dim=2)
    wanted = style.flatten(2).sort(dim=2).values.gather(2, ranks).view_as(content)
    torch.testing.assert_close(given_quantiles(content, quantiles(content), target=quantiles(style)), wanted)


def test_means_and_deviations_alone_do_not_match_it() -> None:
    """What is new against AdaIN: skewness too."""
    from impasto.nets.moments import given_moments, moments

    content, style = torch.randn(2, 3, 24, 26), features(seed=1)
    plain = given_moments(content, moments(content), target=moments(style))
    exact = given_quantiles(content, quantiles(content), target=quantiles(style))
    away = [(quantiles(given) - quantiles(style)).abs().mean() for given in (plain, exact)]
    assert away[1] < 0.1 * away[0]


def test_their_own_quantiles_give_features_back() -> None:
    feats = features()
    torch.testing.assert_close(
        given_quantiles(feats, quantiles(feats), target=quantiles(feats)), feats, rtol=1e-4, atol=1e-4
    )


def test_a_constant_takes_the_middle() -> None:
    style = torch.linspace(0, 1, 101).view(1, 1, 1, -1)
    given = given_quantiles(torch.zeros(1, 1, 2, 2), quantiles(torch.zeros(1, 1, 2, 2)), target=quantiles(style))
    torch.testing.assert_close(given, torch.full((1, 1, 2, 2), 0.5))


@pytest.mark.parametrize("most", [1 << 14, 100, 7])
@pytest.mark.parametrize("cuts", [(24,), (5, 6, 13), (1, 1, 22)])
def test_parts_join_to_the_quantiles_of_the_whole(
    most: int, cuts: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distributions, "MOST_PLACES", most)
    feats = features()
    first, *others = (RunningQuantiles.of(part) for part in torch.split(feats, cuts, dim=2))
    for other in others:
        first = first.joined(other)
    assert first.kept.shape[2] <= most or len(cuts) == 1
    assert torch.equal(first.value(), quantiles(feats))
