"""Strips with the rows around them: they cover a picture once and see far enough."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from impasto.nets.windows import Window, mirrored, padded_size, windows

SIDES = st.integers(1, 900)


@given(SIDES, st.integers(1, 300), st.integers(1, 90_000), st.sampled_from([1, 2, 8]), st.integers(0, 5))
def test_strips_cover_once_and_windows_reach(h: int, w: int, window_px: int, stride: int, cells: int) -> None:
    reach, covered = cells * stride, torch.zeros(h, dtype=torch.uint8)
    plan = windows((h, w), reach_px=reach, stride=stride, window_px=window_px)
    for window in plan:
        covered[window.start : window.stop] += 1
        assert 0 <= window.first <= max(0, window.start - reach)
        assert min(h, window.stop + reach) <= window.last <= h
        assert window.start % stride == window.first % stride == 0
    assert bool((covered == 1).all())
    assert len(plan) == 1 or h * w > window_px


def test_a_small_picture_is_one_window() -> None:
    assert windows((84, 84), reach_px=10, stride=1, window_px=84 * 84) == (Window(0, 84, 0, 84),)
    assert len(windows((85, 84), reach_px=10, stride=1, window_px=84 * 84)) == 2


def test_own_rows_of_a_map() -> None:
    window = Window(16, 32, 8, 48)
    rows = torch.arange(8, 48).view(1, 1, -1, 1).expand(1, 1, 40, 48)
    assert torch.equal(window.own_rows(rows)[0, 0, :, 0], torch.arange(16, 32))
    assert window.own_rows(rows[:, :, ::8], stride=8)[0, 0, :, 0].tolist() == [16, 24]


@pytest.mark.parametrize(
    ("size", "padded"), [((2, 2), (16, 16)), ((16, 17), (16, 24)), ((33, 15), (40, 16)), ((64, 64), (64, 64))]
)
def test_padded_sizes(size: tuple[int, int], padded: tuple[int, int]) -> None:
    assert padded_size(size, stride=8, smallest_px=16) == padded


def test_pictures_are_mirrored_below_and_at_the_right() -> None:
    image = torch.rand(1, 3, 5, 4)
    large = mirrored(image, (8, 6))
    assert torch.equal(large[..., :5, :4], image)
    assert torch.equal(large[..., 5:, :4], image[..., [3, 2, 1], :])
    assert torch.equal(large[..., :5, 4:], image[..., [2, 1]])
    assert torch.equal(mirrored(torch.ones(1, 3, 1, 1), (9, 9)), torch.ones(1, 3, 9, 9))
    assert mirrored(image, (5, 4)) is image
