"""The sheet of trained styles."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from impasto.analysis.sheet import style_sheet, style_table
from impasto.core.errors import ImageError


def flat(level: int) -> Tensor:
    return torch.full((1, 3, 30, 40), level / 255)


def first_place(sheet: Tensor, level: int) -> list[int]:
    """Row and column of the first of the pixels at a level, which are a whole picture."""
    found = ((sheet - level / 255).abs() < 1e-3).all(1)[0].nonzero()
    assert len(found) >= 30 * 40
    return [int(place) for place in found[0]]


@pytest.mark.parametrize("count", [1, 4, 11])
def test_every_painting_stands_there_in_order(count: int) -> None:
    levels = range(20, 20 + 10 * count, 10)
    sheet = style_sheet(flat(10), {f"s{level}": flat(level) for level in levels}, cell_px=40)
    corners = [first_place(sheet, level) for level in (10, *levels)]
    assert corners == sorted(corners)
    assert sheet.shape[-1] > 0.8 * sheet.shape[-2]


def test_names_are_written() -> None:
    with_name, without = (style_sheet(flat(50), {name: flat(100)}, cell_px=40) for name in ("wave", " "))
    assert float((with_name < 0.15).float().mean()) > float((without < 0.15).float().mean())


def test_none_are_no_sheet() -> None:
    with pytest.raises(ImageError, match="no pictures"):
        style_sheet(flat(50), {})


def test_several_contents_have_a_row_each() -> None:
    levels = (60, 120)
    rows = [(flat(level), {f"s{i}": flat(level + 10 * i) for i in (1, 2, 3)}) for level in levels]
    sheet = (style_table(rows, cell_px=40)[0, 0] * 255).round()
    for level in levels:
        places = [(sheet == level + 10 * i).nonzero().float().mean(0) for i in range(4)]
        assert all(one[1] < other[1] for one, other in pairwise(places))  # the content first, then its paintings
        assert max(float(place[0]) for place in places) - min(float(place[0]) for place in places) < 4
    assert (sheet == 60).nonzero()[0, 0] < (sheet == 120).nonzero()[0, 0]
    with pytest.raises(ImageError):
        style_table([])
