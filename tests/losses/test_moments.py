"""The second moment of features, and its gradient."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from impasto.losses.moments import CentredMoment, SecondMoment, centred_moment, second_moment
from impasto.losses.statistics import gram

LAYOUTS = {"contiguous": torch.contiguous_format, "channels last": torch.channels_last}


def feats_of(dtype: torch.dtype = torch.float32, layout: str = "channels last", *, batch: int = 2) -> Tensor:
    drawn = torch.randn(batch, 5, 6, 7, generator=torch.Generator().manual_seed(3)).to(dtype)
    return drawn.contiguous(memory_format=LAYOUTS[layout])


def plain(feats: Tensor) -> Tensor:
    """The definition, in the precision of the features or float32."""
    pixels = feats.flatten(2)
    pixels = pixels if pixels.dtype == torch.float64 else pixels.float()
    return torch.einsum("bcn,bdn->bcd", pixels, pixels) / pixels.shape[-1]


def value_and_gradient(function: object, feats: Tensor, up: Tensor) -> tuple[Tensor, Tensor]:
    leaf = feats.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    found = function(leaf)  # type: ignore[operator]
    found.backward(up.to(found.dtype))
    assert leaf.grad is not None
    return found.detach(), leaf.grad


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("batch", [1, 2])
def test_the_gradient_is_that_of_the_function(layout: str, batch: int) -> None:
    feats = feats_of(torch.float64, layout, batch=batch).requires_grad_()
    assert torch.autograd.gradcheck(SecondMoment.apply, (feats,))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 0.02), (torch.float16, 0.003)],
)
def test_it_is_the_plain_expression(dtype: torch.dtype, tolerance: float, layout: str) -> None:
    feats, up = feats_of(dtype, layout), torch.randn(2, 5, 5)  # no symmetric gradient: both sides of it count
    found, gradient = value_and_gradient(second_moment, feats, up)
    expected, wanted = value_and_gradient(plain, feats, up)
    assert found.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)  # whatever the features: summed in float32
    assert gradient.dtype == dtype
    assert float((gradient - wanted).abs().max()) <= tolerance * float(wanted.abs().max())


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_agree(layout: str) -> None:
    one, other = (feats_of(layout=name) for name in ("contiguous", layout))
    torch.testing.assert_close(second_moment(other), second_moment(one))


def test_the_gradient_lies_as_channels_last_features_do() -> None:
    feats = feats_of()
    _, gradient = value_and_gradient(second_moment, feats, torch.ones(2, 5, 5))
    assert gradient.is_contiguous(memory_format=torch.channels_last)
    assert gradient.stride() == feats.stride()


def test_sums_that_bfloat16_cannot_hold() -> None:
    feats = torch.ones(1, 1, 40, 40, dtype=torch.bfloat16)
    feats[..., 0, 0] = 3.0
    assert float(second_moment(feats)) == pytest.approx((1599 + 9) / 1600, rel=1e-6)
    big = torch.full((1, 2, 4, 4), 300.0, dtype=torch.float16)  # its square overflows float16
    assert bool((second_moment(big) == 90_000).all())


def test_autocast_changes_nothing() -> None:
    feats, up = feats_of(), torch.randn(2, 5, 5)
    expected = value_and_gradient(second_moment, feats, up)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = value_and_gradient(second_moment, feats, up)
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)


def test_it_serves_the_gram_matrix_and_that_weights_agree() -> None:
    feats = feats_of()
    (found,) = gram(feats)
    assert torch.equal(found, second_moment(feats))
    (weighted,) = gram(feats, torch.ones(1, 1, 6, 7))
    torch.testing.assert_close(found, weighted)


def test_it_is_symmetric_and_scales_with_the_square() -> None:
    found = second_moment(feats_of())
    torch.testing.assert_close(found, found.mT)
    torch.testing.assert_close(second_moment(3 * feats_of()), 9 * found)
    assert bool((torch.linalg.eigvalsh(found) > -1e-6).all())


def test_a_second_derivative_is_refused() -> None:
    feats = feats_of().requires_grad_()
    (first,) = torch.autograd.grad(second_moment(feats).square().sum(), feats, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


def plain_covariance(feats: Tensor) -> tuple[Tensor, Tensor]:
    pixels = feats.flatten(2)
    pixels = pixels if pixels.dtype == torch.float64 else pixels.float()
    centred = pixels - pixels.mean(-1, keepdim=True)
    return centred @ centred.mT / pixels.shape[-1], pixels.mean(-1)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_covariance_and_mean_have_the_gradient_of_the_function(layout: str) -> None:
    feats = feats_of(torch.float64, layout).requires_grad_()
    assert torch.autograd.gradcheck(CentredMoment.apply, (feats,))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 0.02)]
)
def test_covariance_and_mean_are_the_plain_expression(dtype: torch.dtype, tolerance: float, layout: str) -> None:
    found_of, wanted_of = [], []
    for function, kept in ((centred_moment, found_of), (plain_covariance, wanted_of)):
        leaf = (feats_of(dtype, layout) + 3).requires_grad_()
        spread, mean = function(leaf)
        up = torch.randn(2, 5, 5, generator=torch.Generator().manual_seed(1)).to(spread)
        ((spread * up).sum() + mean.sum()).backward()
        kept += [spread, mean, leaf.grad]
    for found, wanted in zip(found_of, wanted_of, strict=True):
        assert found.dtype == wanted.dtype
        assert float((found - wanted).detach().abs().max()) <= tolerance * float(wanted.detach().abs().max())


def test_a_large_mean_does_not_hide_the_covariance() -> None:
    feats = feats_of()
    torch.testing.assert_close(centred_moment(feats + 1000)[0], centred_moment(feats)[0], atol=1e-3, rtol=1e-3)
