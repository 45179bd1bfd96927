"""Blocks cover a picture once, at multiples of the stride, with as much around them as an encoder sees."""

from __future__ import annotations

import itertools

import pytest
import torch

from impasto.objective.blocks import blocks_of, spans

WRAPS = list(itertools.product([False, True], repeat=2))


@pytest.mark.parametrize("wraps", WRAPS)
@pytest.mark.parametrize("size", [(160, 192), (48, 320), (16, 16)])
def test_every_pixel_belongs_to_one_block(size: tuple[int, int], wraps: tuple[bool, bool]) -> None:
    count = torch.zeros(1, 1, *size)
    for block in blocks_of(size, reach_px=20, stride=16, block_px=10_000, wraps=wraps):
        block.place(count).add_(1)
    assert bool((count == 1).all())


@pytest.mark.parametrize("wraps", WRAPS)
def test_what_is_seen_is_the_picture_with_its_surroundings(wraps: tuple[bool, bool]) -> None:
    picture = torch.arange(96 * 160.0).view(1, 1, 96, 160)
    for block in blocks_of((96, 160), reach_px=16, stride=8, block_px=4_000, wraps=wraps):
        seen = block.seen(picture)
        assert torch.equal(block.own(seen), block.place(picture))
        rolled = picture.roll((-block.y.first, -block.x.first), (-2, -1))
        assert torch.equal(seen, rolled[..., : seen.shape[-2], : seen.shape[-1]])


@pytest.mark.parametrize("wraps", WRAPS)
def test_gradients_go_back_to_where_pixels_came_from(wraps: tuple[bool, bool]) -> None:
    picture = torch.randn(1, 2, 40, 56, requires_grad=True)
    weights = torch.randn(1, 2, 200, 200)
    blocks = blocks_of((40, 56), reach_px=8, stride=8, block_px=1_500, wraps=wraps)
    assert len(blocks) > 1
    gradient = torch.zeros(1, 2, 40, 56)
    for block in blocks:
        seen = block.seen(picture)
        (seen * weights[..., : seen.shape[-2], : seen.shape[-1]]).sum().backward()  # type: ignore[no-untyped-call]
        block.add(weights[..., : seen.shape[-2], : seen.shape[-1]], gradient)
    assert picture.grad is not None
    torch.testing.assert_close(gradient, picture.grad)


def test_spans_begin_at_multiples_and_are_never_thin() -> None:
    for length, count in itertools.product(range(32, 200), range(1, 7)):
        if length // count < 16:
            continue
        line = spans(length, count, reach_px=10, stride=16)
        assert [span.start for span in line] == [0, *(span.stop for span in line[:-1])]
        assert all(span.start % 16 == 0 and span.first % 16 == 0 for span in line)
        assert line[-1].stop == length
        assert min(span.stop - span.start for span in line) >= 16


def test_few_pixels_are_computed_twice() -> None:
    blocks = blocks_of((6928, 9238), reach_px=80, stride=16, block_px=1_400_000)
    seen = sum((b.y.last - b.y.first) * (b.x.last - b.x.first) for b in blocks)
    assert max((b.y.last - b.y.first) * (b.x.last - b.x.first) for b in blocks) <= 1_400_000
    assert seen < 1.35 * 6928 * 9238
