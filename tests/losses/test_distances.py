"""Distances against their definitions."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from impasto.losses.distances import Reduction, coral, huber, l1, l2, of_first, reduced, relative, relative_l2

every_distance = pytest.mark.parametrize("distance", [l2, l1, huber, coral])


def noise(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_plain_distances_are_those_of_torch(reduction: str) -> None:
    found, target = noise(0, 2, 3, 4, 5) * 2, noise(1, 2, 3, 4, 5)
    assert torch.allclose(
        l2(found, target, reduction=reduction), functional.mse_loss(found, target, reduction=reduction)
    )
    assert torch.allclose(
        l1(found, target, reduction=reduction), functional.l1_loss(found, target, reduction=reduction)
    )
    expected = functional.huber_loss(found, target, reduction=reduction, delta=0.5)
    assert torch.allclose(huber(found, target, reduction=reduction, delta=0.5), expected)


@every_distance
def test_each_is_the_mean_of_each_item(distance) -> None:
    found, target = noise(0, 3, 4, 4), noise(1, 1, 4, 4)
    each = distance(found, target, reduction="each")
    assert each.shape == (3,)
    assert torch.allclose(each.mean(), distance(found, target))
    assert torch.allclose(each[1], distance(found[1:2], target))


@every_distance
def test_symmetric_and_zero_at_equality(distance) -> None:
    found, target = noise(0, 2, 4, 4), noise(1, 2, 4, 4)
    assert torch.equal(distance(found, target), distance(target, found))
    assert float(distance(found, found)) == 0


def test_refuses_an_unknown_reduction() -> None:
    with pytest.raises(ValueError, match="'median'"):
        l2(noise(0, 1, 2), noise(1, 1, 2), reduction="median")  # type: ignore[arg-type]


def test_coral_is_the_papers_formula() -> None:
    found, target = noise(0, 1, 6, 6), noise(1, 1, 6, 6)
    assert float(coral(found, target)) == pytest.approx(float((found - target).norm() ** 2) / (4 * 6**2), rel=1e-5)


def test_relative_forms_are_the_ratios_they_say() -> None:
    found, target = noise(0, 1, 3, 4, 5), noise(1, 1, 3, 4, 5)
    squares, sizes = (found - target).square().mean() / target.square().mean(), (found - target).abs().mean()
    assert torch.allclose(relative(l2)(found, target), squares)
    assert torch.allclose(relative(l1)(found, target), sizes / target.abs().mean())


@settings(max_examples=30, deadline=None)
@given(scale=st.floats(1e-6, 1e6), seed=st.integers(0, 99), distance=st.sampled_from([l2, l1, huber, coral]))
def test_relative_does_not_depend_on_scale(scale: float, seed: int, distance) -> None:
    found, target = noise(seed, 2, 3, 3), noise(seed + 1, 2, 3, 3)
    same = relative(distance)(found, target)
    assert torch.allclose(relative(distance)(found * scale, target * scale), same, rtol=1e-4)


def test_a_plain_distance_does_depend_on_scale() -> None:
    found, target = noise(0, 2, 3, 3), noise(1, 2, 3, 3)
    assert not torch.allclose(l2(found * 10, target * 10), l2(found, target), rtol=1e-4)


@every_distance
def test_relative_to_zeros_is_absolute_item_by_item(distance) -> None:
    found, target = noise(0, 2, 3, 3), torch.cat([torch.zeros(1, 3, 3), noise(1, 1, 3, 3)])
    each = relative(distance)(found, target, reduction="each")
    assert torch.allclose(each[0], distance(found[:1], target[:1]))
    assert torch.allclose(each[1], relative(distance)(found[1:], target[1:]))


def test_the_targets_size_carries_no_gradient() -> None:
    found, target = noise(0, 1, 5), torch.zeros(1, 5, requires_grad=True)
    relative(l2)(found, target).backward()
    assert target.grad is not None
    assert bool(target.grad.isfinite().all())


def test_squares_do_not_overflow_half_precision() -> None:
    found = torch.full((1, 4), 6e4, dtype=torch.float16)
    assert float(l2(found, -found)) == pytest.approx((2 * float(found[0, 0])) ** 2, rel=1e-6)


def test_only_the_first_part_counts() -> None:
    first, second = noise(0, 1, 3, 3), noise(1, 1, 3)
    assert float(of_first(l2)((first, second), (first, second + 1))) == 0


def test_reduced_sums() -> None:
    assert float(reduced(torch.ones(2, 3), "sum")) == 6


@pytest.mark.parametrize("reduction", ["mean", "sum", "each"])
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 0.01)]
)
@pytest.mark.parametrize("targets", [1, 2])
def test_the_quick_relative_l2_is_the_plain_one(
    reduction: Reduction, dtype: torch.dtype, tolerance: float, targets: int
) -> None:
    draw = torch.Generator().manual_seed(0)
    target = torch.randn(targets, 3, 4, 5, generator=draw).to(torch.promote_types(dtype, torch.float32))
    results = []
    for distance in (relative_l2, relative(l2)):
        found = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(1)).to(dtype)
        found = found.contiguous(memory_format=torch.channels_last).requires_grad_()
        value = distance(found, target, reduction=reduction)
        value.sum().backward()
        assert found.grad is not None
        assert found.grad.dtype == dtype
        results.append((value.detach(), found.grad))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance * float(other.abs().max()))


def test_the_quick_relative_l2_of_an_empty_target_is_absolute() -> None:
    assert float(relative_l2(torch.full((1, 2, 3, 3), 2.0), torch.zeros(1, 2, 3, 3))) == pytest.approx(4)
