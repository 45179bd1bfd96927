"""The drawings of the swatches, and the files made of them."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from impasto.image.swatches import SWATCHES, swatch_path
from tools.swatches import __main__ as drawings

SMALL = (40, 51)


def drawn(name: str, seed: int, size_hw: tuple[int, int] = SMALL) -> np.ndarray:
    return drawings.DRAWINGS[name](size_hw, np.random.default_rng(seed))


def test_every_swatch_has_a_drawing() -> None:
    assert list(drawings.DRAWINGS) == list(SWATCHES)


@pytest.mark.parametrize("name", SWATCHES)
def test_a_seed_draws_the_same_and_another_seed_another(name: str) -> None:
    assert np.array_equal(drawn(name, 3), drawn(name, 3))
    assert np.abs(drawn(name, 3).astype(int) - drawn(name, 4)).mean() > 0.01 * 255


@pytest.mark.parametrize("name", SWATCHES)
@pytest.mark.parametrize("size_hw", [(97, 131), (16, 16), (90, 16)])
def test_every_size_is_drawn(name: str, size_hw: tuple[int, int]) -> None:
    picture = drawn(name, 0, size_hw)
    assert picture.shape == (*size_hw, 3)
    assert picture.dtype == np.uint8
    assert picture.min() < picture.max()


@pytest.mark.parametrize("name", SWATCHES)
def test_the_packaged_files_are_what_the_tool_draws(name: str) -> None:
    fresh = Image.open(io.BytesIO(drawings.encoded(drawings.drawn(name))))
    with Image.open(swatch_path(name)) as shipped:
        difference = np.asarray(shipped, dtype=float) - np.asarray(fresh, dtype=float)
    assert np.abs(difference).mean() < 3, "run python -m tools.swatches and look at the result"
