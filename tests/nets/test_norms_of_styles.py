"""Instance norm, and networks that have a row of scales and shifts for each style."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.core.errors import OptionError
from impasto.nets.layers import Norm, is_style_param
from impasto.nets.norms import instance_norm
from impasto.nets.residual import Residual

LAYOUTS = (torch.channels_last, torch.contiguous_format)
layouts = pytest.mark.parametrize("layout", LAYOUTS, ids=["last", "first"])


def features(layout: torch.memory_format, *, mean: float = 0.0, dtype: torch.dtype = torch.float32) -> Tensor:
    drawn = torch.randn(3, 5, 7, 9, generator=torch.Generator().manual_seed(0)) + mean
    return drawn.to(dtype).contiguous(memory_format=layout)


def numbers(rows: int) -> tuple[Tensor, Tensor]:
    drawn = torch.rand(2, rows, 5, generator=torch.Generator().manual_seed(1)) + 0.5
    return drawn[0], drawn[1]


@layouts
@pytest.mark.parametrize("rows", [1, 3])
def test_it_is_torchs_instance_norm(layout: torch.memory_format, rows: int) -> None:
    x, (scale, shift) = features(layout, mean=3), numbers(rows)
    wanted = F.instance_norm(x, eps=1e-5) * scale[..., None, None] + shift[..., None, None]
    torch.testing.assert_close(instance_norm(x.clone(), scale, shift=shift, eps=1e-5), wanted, atol=1e-5, rtol=1e-5)


@layouts
def test_a_mean_far_from_zero_costs_no_digits(layout: torch.memory_format) -> None:
    x, (scale, shift) = features(layout), numbers(1)
    away = instance_norm(x + 1000, scale, shift=shift, eps=1e-5)
    torch.testing.assert_close(away, instance_norm(x.clone(), scale, shift=shift, eps=1e-5), atol=2e-3, rtol=0)


@layouts
@pytest.mark.parametrize("rows", [1, 3])
def test_the_gradient_is_that_of_the_formula(layout: torch.memory_format, rows: int) -> None:
    given = [features(layout).double(), *(part.double() for part in numbers(rows))]
    if layout == torch.channels_last:  # whose own backward pass computes in float32
        ours = [part.float().contiguous(memory_format=layout) if part.ndim == 4 else part.float() for part in given]
        ours, theirs = ([part.requires_grad_(True) for part in parts] for parts in (ours, given))
        weights = features(layout).square()
        (instance_norm(ours[0], ours[1], shift=ours[2], eps=1e-5) * weights).sum().backward()
        plain = F.instance_norm(theirs[0], eps=1e-5) * theirs[1][..., None, None] + theirs[2][..., None, None]
        (plain * weights).sum().backward()
        for found, wanted in zip(ours, theirs, strict=True):
            torch.testing.assert_close(found.grad, wanted.grad.float(), atol=1e-4, rtol=1e-4)  # type: ignore[union-attr]
    else:
        narrow = [part.float().requires_grad_(True) for part in given]
        instance_norm(narrow[0], narrow[1], shift=narrow[2], eps=1e-5).square().sum().backward()
        assert all(part.grad is not None and part.grad.abs().sum() > 0 for part in narrow)


def test_the_gradient_that_comes_in_is_left_as_it_is() -> None:
    x = features(torch.channels_last).requires_grad_(True)
    scale, shift = numbers(1)
    coming = torch.ones_like(x)
    instance_norm(x, scale, shift=shift, eps=1e-5).backward(coming)
    assert torch.equal(coming, torch.ones_like(x))


@layouts
def test_type_and_layout_stay(layout: torch.memory_format) -> None:
    x = features(layout, dtype=torch.bfloat16)
    scale, shift = numbers(1)
    found = instance_norm(x, scale, shift=shift, eps=1e-5)
    assert found.dtype == torch.bfloat16
    assert found.is_contiguous(memory_format=layout)


def test_features_are_kept_where_a_gradient_is_asked_for() -> None:
    for layout in LAYOUTS:
        x = features(layout)
        before = x.clone()
        scale, shift = (part.requires_grad_(True) for part in numbers(1))
        instance_norm(x, scale, shift=shift, eps=1e-5)
        assert torch.equal(x, before)


def small(**options: object) -> Residual:
    torch.manual_seed(0)
    return Residual(widths=(4, 6), blocks=1, outer_px=3, **options)  # type: ignore[arg-type]


@pytest.fixture
def net() -> Residual:
    """Three styles that differ."""
    made = small(styles=3)
    for module in made.modules():
        if isinstance(module, Norm):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, -0.5, 0.5)
    return made.eval()


def alone(net: Residual, index: int) -> Residual:
    """The network of one style of `net`."""
    found = small()
    found.load_state_dict({k: v[index] if is_style_param(k) else v for k, v in net.state_dict().items()})
    return found.eval()


def test_a_share_of_one_is_the_style_alone(net: Residual, draw_photo: Callable[[int, int], Tensor]) -> None:
    image = torch.cat([draw_photo(16, 20), 1 - draw_photo(16, 20)])
    with torch.no_grad():
        both = net(image, F.one_hot(torch.tensor([2, 0]), 3).float())
        for i, index in enumerate((2, 0)):
            torch.testing.assert_close(both[i : i + 1], alone(net, index)(image[i : i + 1]), atol=1e-5, rtol=1e-5)
        assert not torch.allclose(both[:1], alone(net, 1)(image[:1]), atol=1e-3)  # the law can fail


def test_the_styles_must_be_shared_out(net: Residual) -> None:
    with pytest.raises(OptionError, match="3 styles"):
        net(torch.rand(1, 3, 16, 16))
    with pytest.raises(OptionError, match="1 or more"):
        small(styles=0)


@pytest.mark.parametrize("size", [(16, 20), (17, 23)])
def test_the_layout_changes_nothing(net: Residual, size: tuple[int, int]) -> None:
    image, shares = torch.rand(2, 3, *size), torch.tensor([[0.2, 0.3, 0.5]]).expand(2, -1)
    with torch.no_grad():
        plain = net(image, shares)
        last = net.to(memory_format=torch.channels_last)(image.contiguous(memory_format=torch.channels_last), shares)  # type: ignore[call-overload]
    torch.testing.assert_close(last, plain, atol=1e-5, rtol=1e-4)
