"""The layout of contact sheets, and labels that fit."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from impasto.analysis.lettering import broken_lines, clean, font_of, shortened_middle, width_px
from impasto.analysis.sheet import contact_sheet
from impasto.core.errors import ImageError, OptionError

RED = (1.0, 0.0, 0.0)


def flat(h: int, w: int, colour: tuple[float, float, float] = RED) -> Tensor:
    return torch.tensor(colour)[None, :, None, None].expand(1, 3, h, w)


def red_box(sheet: Tensor) -> tuple[int, int, int, int]:
    """Top, left, height, width of what is pure red."""
    red = (sheet[0] == torch.tensor(RED)[:, None, None]).all(0)
    rows, columns = red.any(1).nonzero().flatten(), red.any(0).nonzero().flatten()
    return int(rows[0]), int(columns[0]), len(rows), len(columns)


def test_a_picture_keeps_its_aspect_and_stands_in_the_middle() -> None:
    sheet = contact_sheet([[flat(20, 40), flat(64, 64, (0, 0, 1))]], cell_px=64)
    top, _, high, wide = red_box(sheet)
    assert (high, wide) == (32, 64)
    assert abs(2 * top + high - sheet.shape[-2]) <= 1


def test_small_pictures_stay_small_when_not_enlarged() -> None:
    sheet = contact_sheet([[flat(20, 40), flat(8, 64, (0, 0, 1))]], cell_px=64, enlarge=False)
    assert red_box(sheet)[2:] == (20, 40)


def test_every_row_and_column_adds_a_cell_and_one_gutter() -> None:
    sizes = [contact_sheet([[flat(50, 50)] * n] * n, cell_px=50).shape[-2:] for n in (1, 2, 3)]
    (h1, w1), (h2, w2), (h3, w3) = sizes
    assert h2 - h1 == h3 - h2 == w2 - w1 == w3 - w2 > 50


def test_labels_are_drawn_outside_the_pictures() -> None:
    plain = contact_sheet([[flat(64, 64)]], cell_px=64)
    labelled = contact_sheet(
        [[flat(64, 64)]],
        row_labels=["row"],
        column_labels=["column"],
        cell_labels=[["cell\nmore"]],
        cell_px=64,
        caption="x",
    )
    assert red_box(labelled)[2:] == red_box(plain)[2:] == (64, 64)
    assert labelled.shape[-1] > plain.shape[-1]
    assert labelled.shape[-2] > plain.shape[-2]
    assert labelled.min() < 0.3  # ink


def test_blanks_and_rows_of_different_lengths() -> None:
    sheet = contact_sheet([[flat(32, 32), None], [None]], cell_px=32, cell_labels=[["a", "failed"], [""]])
    assert red_box(sheet)[2:] == (32, 32)
    assert contact_sheet([[None]], cell_px=32).shape[1] == 3


def test_grey_pictures_and_a_picture_of_one_pixel() -> None:
    assert contact_sheet([[torch.zeros(1, 1, 1, 1)]], cell_px=32).shape[:2] == (1, 3)


def test_the_sheet_is_in_range_and_the_same_each_time(photo: Tensor) -> None:
    once, again = (contact_sheet([[photo]], cell_px=48, caption="ü") for _ in range(2))
    assert torch.equal(once, again)
    assert 0 <= float(once.min()) <= float(once.max()) <= 1


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ({"row_labels": ["a", "b"]}, "2 row labels"),
        ({"column_labels": ["a"]}, "1 column labels"),
        ({"cell_labels": [["a"]]}, "cell labels"),
    ],
)
def test_labels_that_do_not_fit_are_refused(labels: dict[str, list[str]], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        contact_sheet([[flat(8, 8), flat(8, 8)]], cell_px=32, **labels)


def test_no_pictures_and_no_picture_are_refused() -> None:
    with pytest.raises(ImageError, match="no pictures"):
        contact_sheet([])
    with pytest.raises(ImageError, match="shape"):
        contact_sheet([[torch.zeros(2, 3, 8, 8)]])


@settings(max_examples=25)
@given(st.text(max_size=40), st.integers(20, 300))
def test_any_text_fits_and_can_be_drawn(text: str, room: int) -> None:
    font = font_of(14)
    lines = broken_lines(text, font, room_px=room, lines=3)
    assert len(lines) <= 3
    assert all(width_px(line, font) <= room for line in lines)


def test_odd_names_lose_what_cannot_be_drawn() -> None:
    font = font_of(14)
    assert clean("Café\u2014日\udc80\t.png", font) == "Cafe-?? .png"


def test_a_long_name_loses_its_middle() -> None:
    font = font_of(14)
    short = shortened_middle("a_very_long_name_of_a_picture_2.jpeg", font, room_px=120)
    assert short.startswith("a_very")
    assert short.endswith("jpeg")
    assert shortened_middle("short", font, room_px=120) == "short"
