"""Windows that overlap: they cover a picture once, see far enough, and are of one size."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from impasto.stylizers.tiles import Box, Tile, cut, padded_size, tiles

SIDES = st.integers(1, 400)


@given(SIDES, SIDES, st.integers(1, 150), st.sampled_from([1, 2, 8]), st.integers(0, 5))
def test_cores_cover_once_and_windows_reach(h: int, w: int, tile_px: int, stride: int, cells: int) -> None:
    reach, covered = cells * stride, torch.zeros(h, w, dtype=torch.uint8)
    for tile in (found := tiles((h, w), tile_px=tile_px, reach_px=reach, stride=stride)):
        core, window = tile.core, tile.window
        core.of(covered)[...] += 1
        assert max(core.size_hw) <= max(tile_px, stride) or len(found) == 1
        assert 0 <= window.top <= max(0, core.top - reach)
        assert 0 <= window.left <= max(0, core.left - reach)
        assert min(h, core.bottom + reach) <= window.bottom <= h
        assert min(w, core.right + reach) <= window.right <= w
        assert all(edge % stride == 0 for edge in (core.top, core.left, window.top, window.left))
        if h % stride == w % stride == 0:
            assert window.size_hw == found[0].window.size_hw
    assert bool((covered == 1).all())


def test_a_picture_of_no_more_pixels_than_a_window_is_one_tile() -> None:
    assert len(tiles((84, 84), tile_px=64, reach_px=10, stride=1)) == 1
    assert len(tiles((84, 85), tile_px=64, reach_px=10, stride=1)) == 4
    assert len(tiles((5000, 9), tile_px=0, reach_px=10, stride=1)) == 1


def test_the_core_of_a_map_is_where_the_core_is() -> None:
    tile = Tile(Box(16, 32, 8, 40), Box(8, 48, 0, 48))
    rows = torch.arange(8, 48).view(1, 1, -1, 1).expand(1, 1, 40, 48)
    assert torch.equal(tile.core_of(rows)[0, 0, :, 0], torch.arange(16, 32))
    assert tile.core_of(rows[..., ::8, ::8], stride=8)[0, 0, :, 0].tolist() == [16, 24]
    assert tile.core_of(rows[..., ::8, ::8], stride=8).shape == (1, 1, 2, 4)


@pytest.mark.parametrize(
    ("size", "padded"), [((2, 2), (16, 16)), ((16, 17), (16, 24)), ((33, 15), (40, 16)), ((64, 64), (64, 64))]
)
def test_padded_sizes(size: tuple[int, int], padded: tuple[int, int]) -> None:
    assert padded_size(size, stride=8, smallest_px=16) == padded


def test_what_lies_beyond_the_border_is_mirrored() -> None:
    image = torch.rand(1, 3, 5, 4)
    found = cut(image, Box(1, 8, 0, 6))
    assert torch.equal(found[..., :4, :4], image[..., 1:, :])
    assert torch.equal(found[..., 4:, :4], image[..., [3, 2, 1], :])
    assert torch.equal(found[..., :4, 4:], image[..., 1:, [2, 1]])
    assert torch.equal(cut(torch.ones(1, 3, 1, 1), Box(0, 9, 0, 9)), torch.ones(1, 3, 9, 9))
    assert cut(image.half(), Box(0, 2, 0, 2)).dtype == torch.float32
