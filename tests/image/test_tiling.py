"""Pictures that continue at the opposite edge: a rolled picture gives a rolled result."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from impasto.core.errors import OptionError
from impasto.image.clouds import clouds
from impasto.image.masks import feathered
from impasto.image.tiling import Wraps, bilinear, check_multiples, resized_wrapped, rounded, wrapped, wraps_of

WRAPS: list[Wraps] = [(True, False), (False, True), (True, True)]
every_way = pytest.mark.parametrize("wraps", WRAPS)


def drawn(*size_hw: int) -> Tensor:
    return torch.rand(1, 3, *size_hw)


def rolled(image: Tensor, by_hw: tuple[int, int], wraps: Wraps) -> Tensor:
    shifts = [by if wrap else 0 for by, wrap in zip(by_hw, wraps, strict=True)]
    return image.roll(shifts, (-2, -1))


def test_the_option_names_the_axes() -> None:
    assert [wraps_of(text) for text in ("no", "x", "y", "xy")] == [
        (False, False), (False, True), (True, False), (True, True),
    ]  # fmt: skip


@pytest.mark.parametrize("margin", [1, 5, 6, 17])
def test_margins_are_the_opposite_edges(margin: int) -> None:
    image = drawn(6, 5)
    tiled = image.repeat(1, 1, 9, 9)
    assert torch.equal(wrapped(image, (margin, 0)), tiled[:, :, 24 - margin : 30 + margin, :5])
    assert torch.equal(wrapped(image, (0, margin)), tiled[:, :, :6, 20 - margin : 25 + margin])


@every_way
@pytest.mark.parametrize(("before", "after"), [((48, 64), (24, 32)), ((24, 32), (48, 64)), ((40, 60), (60, 80))])
def test_resampling(before: tuple[int, int], after: tuple[int, int], wraps: Wraps) -> None:
    image = drawn(*before)
    by, moved = (before[0] // 4, before[1] // 4), (after[0] // 4, after[1] // 4)
    found = resized_wrapped(rolled(image, by, wraps), after, wraps=wraps)
    torch.testing.assert_close(found, rolled(resized_wrapped(image, after, wraps=wraps), moved, wraps))


@every_way
def test_bilinear_upsampling(wraps: Wraps) -> None:
    image = drawn(6, 10)
    found = bilinear(rolled(image, (2, 3), wraps), (24, 20), wraps=wraps)
    torch.testing.assert_close(found, rolled(bilinear(image, (24, 20), wraps=wraps), (8, 6), wraps))
    plain = bilinear(image, (24, 20), wraps=(False, False))
    torch.testing.assert_close(bilinear(image, (24, 20), wraps=wraps)[..., 2:-2, 1:-1], plain[..., 2:-2, 1:-1])


@every_way
def test_feathering(wraps: Wraps) -> None:
    mask = torch.zeros(1, 1, 40, 60)
    mask[..., :9, :30] = 1
    found = feathered(rolled(mask, (13, 21), wraps), 3.0, wraps=wraps)
    torch.testing.assert_close(found, rolled(feathered(mask, 3.0, wraps=wraps), (13, 21), wraps), atol=1e-6, rtol=0)
    assert not torch.allclose(feathered(mask, 3.0, wraps=wraps), feathered(mask, 3.0), atol=0.01)


@every_way
def test_clouds_have_no_seam(wraps: Wraps) -> None:
    found = clouds((96, 160), seed=3, wraps=wraps)
    for axis, wrap in zip((-2, -1), wraps, strict=True):
        steps = (found - found.roll(1, axis)).abs().mean((0, 1, -1 if axis == -2 else -2))
        assert (float(steps[0]) < 1.5 * float(steps[1:].mean())) == wrap  # the first step is the one across the seam


def test_sides_are_rounded_or_refused() -> None:
    assert rounded((500, 333), wraps=(False, True)) == (500, 320)
    assert rounded((3, 333), wraps=(True, False)) == (32, 333)
    check_multiples((500, 320), (False, True))
    with pytest.raises(OptionError, match=r"333×500 px; `tileable` needs a height and width .* 32 px. Use 320×512 px"):
        check_multiples((500, 333), (True, True))
