"""Masks: reading, feathering, sharing out, pooling."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from impasto.core.errors import ImageError, ImageUnreadable, OptionError
from impasto.image.files import write
from impasto.image.masks import feathered, normalised, pooled, read_mask


def half(height: int = 12, width: int = 16) -> Tensor:
    """White on the right."""
    mask = torch.zeros(1, 1, height, width)
    mask[..., width // 2 :] = 1
    return mask


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif"])
def test_a_mask_is_the_luminance_of_a_picture(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"mask{suffix}"
    write(path, half())
    mask = read_mask(path, (12, 16))
    assert mask.shape == (1, 1, 12, 16)
    assert (mask - half()).abs().max() < 0.05


def test_a_mask_is_the_alpha_where_that_varies(tmp_path: Path) -> None:
    write(tmp_path / "alpha.png", torch.rand(1, 3, 12, 16), alpha=half())
    assert torch.equal(read_mask(tmp_path / "alpha.png", (12, 16)), half())
    write(tmp_path / "opaque.png", half(), alpha=torch.ones(1, 1, 12, 16))
    assert torch.allclose(read_mask(tmp_path / "opaque.png", (12, 16)), half(), atol=1e-6)


def test_a_mask_is_resized(tmp_path: Path) -> None:
    write(tmp_path / "mask.png", half(40, 60))
    mask = read_mask(tmp_path / "mask.png", (8, 10))
    assert mask.shape == (1, 1, 8, 10)
    assert mask[..., :3].max() < 0.01
    assert mask[..., -3:].min() > 0.99


def test_an_empty_or_missing_mask_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "black.png", torch.zeros(1, 3, 4, 4))
    with pytest.raises(ImageError, match=r"black\.png is black everywhere"):
        read_mask(tmp_path / "black.png", (4, 4))
    with pytest.raises(ImageUnreadable, match="does not exist"):
        read_mask(tmp_path / "none.png", (4, 4))


@settings(deadline=None, max_examples=25)
@given(value=st.floats(0, 1, width=32), radius=st.floats(0, 40), height=st.integers(1, 9), width=st.integers(1, 9))
def test_feathering_keeps_constants_and_size(value: float, radius: float, height: int, width: int) -> None:
    flat = torch.full((1, 1, height, width), value)
    assert torch.allclose(feathered(flat, radius), flat, atol=1e-6)


def test_feathering_softens_and_stays_in_range() -> None:
    mask = half()
    assert feathered(mask, 0) is mask
    soft = feathered(mask, 2.0)
    assert soft.shape == mask.shape
    assert soft.dtype == mask.dtype
    assert 0 <= soft.min() <= soft.max() <= 1
    row = soft[0, 0, 5]
    assert (row.diff() >= -1e-6).all()
    assert 0.05 < row[7] < 0.5 < row[8] < 0.95
    assert torch.allclose(soft.mean(), mask.mean(), atol=1e-5)
    assert torch.allclose(feathered(mask.mT.contiguous(), 2.0), soft.mT, atol=1e-6)


@pytest.mark.parametrize("radius", [-1.0, float("nan")])
def test_a_negative_radius_is_refused(radius: float) -> None:
    with pytest.raises(OptionError, match="0 or more"):
        feathered(half(), radius)


def test_shares_sum_to_one_and_bare_pixels_are_shared_equally() -> None:
    left, right = 1 - half(), half() * 0.25
    left[..., 0], right[..., 0] = 0, 0
    shares = normalised([left, right])
    assert shares.shape == (2, 1, 12, 16)
    assert torch.allclose(shares.sum(dim=0), torch.ones(1, 12, 16))
    assert (shares[..., 0] == 0.5).all()
    assert (shares[1, ..., 8:] == 1).all()
    assert torch.equal(normalised([right]), torch.ones(1, 1, 12, 16))


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 1000), count=st.integers(1, 4))
def test_shares_of_any_masks_sum_to_one_also_when_pooled(seed: int, count: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    masks = [torch.rand(1, 1, 9, 7, generator=generator).sub(0.4).clamp(min=0) for _ in range(count)]
    shares = normalised(masks)
    assert 0 <= shares.min() <= shares.max() <= 1
    for size in [(3, 2), (1, 1), (9, 7)]:
        assert torch.allclose(pooled(shares, size).sum(dim=0), torch.ones(1, *size), atol=1e-5)


def test_masks_that_cannot_be_shared_are_refused() -> None:
    with pytest.raises(ImageError, match="no mask"):
        normalised([])
    with pytest.raises(ImageError, match="mask 2 is black"):
        normalised([half(), half() * 0])
    with pytest.raises(ImageError, match="one size"):
        normalised([half(), half(5, 5)])


def test_pooling_averages_areas() -> None:
    mask = torch.rand(1, 1, 8, 12)
    assert torch.allclose(pooled(mask, (2, 3))[0, 0, 0, 0], mask[..., :4, :4].mean())
    assert torch.allclose(pooled(mask, (2, 3)).mean(), mask.mean())
