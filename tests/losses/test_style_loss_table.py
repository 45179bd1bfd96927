"""Laws that every row of the tables of losses obeys. A new row is tested without an edit here."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from impasto.core.errors import ImageError
from impasto.losses.distances import joined, l2
from impasto.losses.table import CONTENT_LOSSES, GATYS, SMOOTHNESS_LOSSES, STYLE_LOSSES, StyleLoss

every_style_loss = pytest.mark.parametrize("loss", [*STYLE_LOSSES.values(), GATYS], ids=lambda loss: loss.name)
every_relative_loss = pytest.mark.parametrize("loss", STYLE_LOSSES.values(), ids=lambda loss: loss.name)
every_content_loss = pytest.mark.parametrize("distance", CONTENT_LOSSES.values(), ids=CONTENT_LOSSES.keys())
every_smoothness_loss = pytest.mark.parametrize("smoothness", SMOOTHNESS_LOSSES.values(), ids=SMOOTHNESS_LOSSES.keys())


def features(seed: int, *shape: int) -> Tensor:
    """Correlated, half-sparse features, like those after a ReLU."""
    draw = torch.Generator().manual_seed(seed)
    plain = torch.randn(*shape, generator=draw)
    return (plain + 0.5 * plain.roll(1, dims=1) + torch.linspace(-0.5, 1, shape[1])[:, None, None]).relu()


def shuffled(feats: Tensor, seed: int = 0) -> Tensor:
    order = torch.randperm(feats.shape[2] * feats.shape[3], generator=torch.Generator().manual_seed(seed))
    return feats.flatten(2)[..., order].view_as(feats)


def assert_zero(loss: StyleLoss, value: Tensor, target: Tensor) -> None:
    nothing = loss(torch.zeros_like(target), loss.target(target))
    assert float(value) <= 2e-5 * float(nothing)


def test_names_are_the_rows_own() -> None:
    assert {name: row.name for name, row in STYLE_LOSSES.items()} == {name: name for name in STYLE_LOSSES}
    assert set(STYLE_LOSSES) >= {"gram", "mean-std", "covariance", "sliced", "wasserstein2", "histogram", "coral"}


@every_style_loss
def test_says_what_it_is(loss: StyleLoss) -> None:
    assert loss.about
    assert loss.paper


@every_style_loss
def test_zero_at_equality(loss: StyleLoss) -> None:
    feats = features(0, 2, 6, 7, 5)
    assert_zero(loss, loss(feats, loss.target(feats)), feats)


@every_style_loss
def test_positive_otherwise(loss: StyleLoss) -> None:
    target = loss.target(features(0, 1, 6, 7, 5))
    for seed in range(1, 4):
        assert float(loss(features(seed, 1, 6, 7, 5) * 1.5, target)) > 1e-3


@every_style_loss
def test_a_scalar_in_float32(loss: StyleLoss) -> None:
    value = loss(features(1, 2, 4, 5, 5), loss.target(features(0, 1, 4, 6, 6)))
    assert value.shape == ()
    assert value.dtype == torch.float32


@every_relative_loss
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_about_one_is_as_far_as_nothing(loss: StyleLoss, scale: float) -> None:
    target = features(0, 1, 8, 16, 16) * scale
    assert float(loss(torch.zeros_like(target), loss.target(target))) == pytest.approx(1, abs=0.05)


@every_relative_loss
def test_grey_is_no_farther_than_nothing(loss: StyleLoss) -> None:
    target = features(0, 1, 8, 16, 16)
    flat = target.mean((2, 3), keepdim=True).expand_as(target)
    assert 0.1 < float(loss(flat, loss.target(target))) <= 1.05


def test_the_law_of_size_can_fail() -> None:
    absolute = dataclasses.replace(STYLE_LOSSES["gram"], distance=joined(l2))
    target = features(0, 1, 8, 16, 16) * 1e3
    assert float(absolute(torch.zeros_like(target), absolute.target(target))) > 1e3


@every_style_loss
@pytest.mark.parametrize("flat", [0.0, 0.7])
def test_finite_gradient_on_flat_features(loss: StyleLoss, flat: float) -> None:
    feats = torch.full((1, 6, 5, 4), flat, requires_grad=True)
    loss(feats, loss.target(features(0, 1, 6, 5, 5))).backward()
    assert feats.grad is not None
    assert bool(feats.grad.isfinite().all())


@every_style_loss
@pytest.mark.parametrize("size_hw", [(9, 1), (1, 9), (1, 1)])
def test_finite_gradient_on_features_one_pixel_wide(loss: StyleLoss, size_hw: tuple[int, int]) -> None:
    feats = features(1, 1, 6, *size_hw).requires_grad_()
    value = loss(feats, loss.target(features(0, 1, 6, 5, 5)))
    value.backward()
    assert feats.grad is not None
    assert bool(value.isfinite())
    assert bool(feats.grad.isfinite().all())


@every_style_loss
@pytest.mark.parametrize("flat", [0.0, 0.7])
def test_finite_against_flat_targets(loss: StyleLoss, flat: float) -> None:
    target = torch.full((1, 6, 5, 4), flat)
    feats = features(0, 1, 6, 5, 5).requires_grad_()
    value = loss(feats, loss.target(target))
    value.backward()
    assert feats.grad is not None
    assert value.item() > 0
    assert bool(feats.grad.isfinite().all())
    assert float(loss(target, loss.target(target))) <= 1e-5


@every_style_loss
def test_finite_gradient_at_equality_with_more_channels_than_pixels(loss: StyleLoss) -> None:
    feats = features(0, 1, 12, 2, 2).requires_grad_()
    loss(feats, loss.target(feats.detach())).backward()
    assert feats.grad is not None
    assert bool(feats.grad.isfinite().all())


@every_style_loss
def test_where_a_pixel_lies_does_not_matter(loss: StyleLoss) -> None:
    feats, target = features(1, 1, 6, 8, 6), loss.target(features(0, 1, 6, 7, 7))
    assert_zero(loss, loss(shuffled(feats), loss.target(feats)), feats)
    assert float(loss(shuffled(feats), target)) == pytest.approx(float(loss(feats, target)), rel=1e-4)


@every_style_loss
def test_tiling_does_not_matter(loss: StyleLoss) -> None:
    feats, target = features(1, 1, 6, 7, 5), loss.target(features(0, 1, 6, 6, 6))
    tiled = feats.tile(1, 1, 2, 2)
    assert_zero(loss, loss(tiled, loss.target(feats)), feats)
    assert float(loss(tiled, target)) == pytest.approx(float(loss(feats, target)), rel=1e-4)


@every_style_loss
def test_equal_weights_are_no_weights(loss: StyleLoss) -> None:
    feats, target = features(1, 2, 6, 7, 5), loss.target(features(0, 1, 6, 6, 6))
    for weights in (torch.ones(1, 1, 7, 5), torch.full((2, 1, 7, 5), 0.3), torch.ones(1, 1, 7, 5, dtype=torch.uint8)):
        assert float(loss(feats, target, weights=weights)) == pytest.approx(float(loss(feats, target)), rel=1e-4)


@every_style_loss
def test_a_mask_of_the_left_half_is_the_left_half(loss: StyleLoss) -> None:
    feats, target = features(1, 1, 6, 8, 6), loss.target(features(0, 1, 6, 6, 6))
    left = torch.zeros(1, 1, 8, 6)
    left[..., :3] = 1
    masked, cropped = loss(feats, target, weights=left), loss(feats[..., :3], target)
    assert float(masked) == pytest.approx(float(cropped), rel=1e-4)
    assert float(masked) != pytest.approx(float(loss(feats, target)), rel=1e-2)
    assert_zero(loss, loss(feats[..., :3], loss.target(feats, left)), feats)


@every_style_loss
def test_a_weight_of_two_counts_a_pixel_twice(loss: StyleLoss) -> None:
    feats, target = features(1, 1, 6, 4, 4), loss.target(features(0, 1, 6, 6, 6))
    weights = torch.ones(1, 1, 4, 4)
    weights[..., 0] = 2
    doubled = torch.cat([feats[..., :1], feats], dim=-1)
    assert float(loss(feats, target, weights=weights)) == pytest.approx(float(loss(doubled, target)), rel=1e-4)


@every_style_loss
def test_no_gradient_outside_the_mask(loss: StyleLoss) -> None:
    feats = features(1, 1, 6, 8, 6).requires_grad_()
    left = torch.zeros(1, 1, 8, 6)
    left[..., :3] = 1
    loss(feats, loss.target(features(0, 1, 6, 6, 6)), weights=left).backward()
    assert feats.grad is not None
    assert float(feats.grad[..., 3:].abs().max()) == 0
    assert float(feats.grad[..., :3].abs().max()) > 0


@every_style_loss
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_refuses_a_mask_that_keeps_nothing(loss: StyleLoss, value: float) -> None:
    with pytest.raises(ImageError, match="5×4 feature map"):
        loss.statistic(features(0, 1, 3, 4, 5), torch.full((1, 1, 4, 5), value))


@every_style_loss
def test_refuses_weights_of_another_size(loss: StyleLoss) -> None:
    with pytest.raises(ValueError, match=r"\(b\|1, 1, h, w\)"):
        loss.statistic(features(0, 1, 3, 4, 5), torch.ones(1, 1, 5, 4))


@every_style_loss
def test_a_batch_is_the_mean_of_its_items(loss: StyleLoss) -> None:
    feats = torch.cat([features(1, 1, 6, 5, 5), features(2, 1, 6, 5, 5) * 3])
    styles = torch.cat([features(3, 1, 6, 6, 6), features(4, 1, 6, 6, 6) * 0.2])
    paired = [float(loss(feats[i : i + 1], loss.target(styles[i : i + 1]))) for i in range(2)]
    shared = [float(loss(feats[i : i + 1], loss.target(styles[:1]))) for i in range(2)]
    assert float(loss(feats, loss.target(styles))) == pytest.approx(sum(paired) / 2, rel=1e-4)
    assert float(loss(feats, loss.target(styles[:1]))) == pytest.approx(sum(shared) / 2, rel=1e-4)


@every_style_loss
def test_descent_on_the_features_reduces_it(loss: StyleLoss) -> None:
    canvas = features(1, 1, 5, 6, 6).requires_grad_()
    target = loss.target(features(0, 1, 5, 7, 7) * 1.5)
    steps = torch.optim.Adam([canvas], lr=0.05)
    start = loss(canvas, target).item()
    for _ in range(60):
        steps.zero_grad()
        loss(canvas, target).backward()
        steps.step()
    assert loss(canvas, target).item() < 0.25 * start


@every_style_loss
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_takes_half_precision_and_works_in_full(loss: StyleLoss, dtype: torch.dtype) -> None:
    feats, style = (features(1, 1, 6, 6, 6) * 300).to(dtype), (features(0, 1, 6, 6, 6) * 300).to(dtype)
    expected = loss(feats.float(), loss.target(style.float()))
    found = loss(feats.requires_grad_(), loss.target(style))
    found.backward()
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)


@every_style_loss
def test_autocast_changes_nothing(loss: StyleLoss) -> None:
    feats, style = features(1, 1, 6, 6, 6), features(0, 1, 6, 6, 6)
    expected = loss(feats, loss.target(style))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(loss(feats, loss.target(style)), expected)


@every_style_loss
def test_float64_stays_float64(loss: StyleLoss) -> None:
    feats, style = features(1, 1, 4, 5, 5).double(), features(0, 1, 4, 5, 5).double()
    assert loss(feats, loss.target(style)).dtype == torch.float64


@every_style_loss
def test_gradient_is_the_derivative(loss: StyleLoss) -> None:
    draw = torch.Generator().manual_seed(5)
    feats = torch.randn(1, 3, 3, 2, generator=draw, dtype=torch.float64).requires_grad_()
    target = loss.target(torch.randn(1, 3, 3, 3, generator=draw, dtype=torch.float64))
    assert torch.autograd.gradcheck(lambda value: loss(value, target), feats, atol=1e-4)


@every_style_loss
def test_a_nan_is_not_hidden(loss: StyleLoss) -> None:
    feats = features(1, 1, 4, 5, 5)
    feats[0, 1, 2, 2] = float("nan")
    assert bool(loss(feats, loss.target(features(0, 1, 4, 5, 5))).isnan())


@every_style_loss
def test_a_target_carries_no_gradient(loss: StyleLoss) -> None:
    parts = loss.target(features(0, 1, 4, 5, 5).requires_grad_())
    assert not any(part.requires_grad for part in parts)


@every_content_loss
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_content_is_zero_at_equality_and_one_at_nothing(distance, scale: float) -> None:
    target = features(0, 2, 4, 5, 6) * scale
    assert float(distance(target, target)) == 0
    assert float(distance(torch.zeros_like(target), target)) == pytest.approx(1, rel=1e-5)


@every_content_loss
def test_content_of_a_batch_is_the_mean_of_its_items(distance) -> None:
    found = features(0, 2, 4, 5, 6)
    target = torch.cat([features(1, 1, 4, 5, 6), features(2, 1, 4, 5, 6) * 100])
    alone = [float(distance(found[i : i + 1], target[i : i + 1])) for i in range(2)]
    assert float(distance(found, target)) == pytest.approx(sum(alone) / 2, rel=1e-5)


@every_content_loss
def test_content_has_a_finite_gradient_where_equal_and_at_nothing(distance) -> None:
    for target in (features(0, 1, 4, 5, 6), torch.zeros(1, 4, 5, 6)):
        for found in (target.clone().requires_grad_(), torch.ones_like(target).requires_grad_()):
            distance(found, target).backward()
            assert found.grad is not None
            assert bool(found.grad.isfinite().all())


@every_smoothness_loss
def test_smoothness_is_zero_on_a_constant_image_and_positive_on_noise(smoothness) -> None:
    flat, noise = torch.full((1, 3, 16, 13), 0.4), torch.rand(1, 3, 16, 13, generator=torch.Generator().manual_seed(0))
    assert float(smoothness(flat, flat)) == pytest.approx(0, abs=1e-12)
    assert float(smoothness(noise, flat)) > 1e-4
