"""The style pictures in the package."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from impasto.core.errors import OptionError, UnknownName
from impasto.image.resize import resized
from impasto.image.swatches import FOLDER, SWATCHES, swatch, swatch_path

PACKAGE_BYTES = 400_000


@pytest.fixture(scope="module")
def small() -> dict[str, Tensor]:
    return {name: swatch(name, size_hw=(96, 120)) for name in SWATCHES}


def test_the_files_are_the_swatches_and_stay_small() -> None:
    files = sorted(FOLDER.iterdir())
    assert files == sorted(swatch_path(name) for name in SWATCHES)
    assert sum(file.stat().st_size for file in files) < PACKAGE_BYTES


@pytest.mark.parametrize("name", SWATCHES)
def test_a_swatch_has_the_size_of_its_file_or_the_one_asked_for(name: str) -> None:
    whole = swatch(name)
    assert whole.shape == (1, 3, 410, 512)
    assert whole.dtype == torch.float32
    assert 0 <= whole.min() < whole.max() <= 1
    for size_hw in ((97, 131), (300, 20), (1, 1), (600, 700)):
        assert swatch(name, size_hw=size_hw).shape == (1, 3, *size_hw)


def test_another_aspect_takes_the_central_part() -> None:
    whole = swatch("mosaic")
    assert torch.equal(swatch("mosaic", size_hw=(410, 410)), whole[..., 51:461])
    assert torch.equal(swatch("mosaic", size_hw=(205, 205)), resized(whole[..., 51:461], (205, 205)))
    assert torch.equal(swatch("mosaic", size_hw=(205, 256)), resized(whole, (205, 256)))


@pytest.mark.parametrize("name", SWATCHES)
def test_the_whole_canvas_is_painted_with_contrast(name: str, small: dict[str, Tensor]) -> None:
    tiles = small[name].unfold(2, 24, 24).unfold(3, 24, 24)  # (1, 3, 4, 5, 24, 24)
    assert (tiles.std(dim=(-2, -1)).mean(dim=1) > 0.01).all()
    assert small[name].std() > 0.1


def test_palettes_or_textures_are_distinct(small: dict[str, Tensor]) -> None:
    for one, other in itertools.combinations(small, 2):
        assert (signs(small[one]) - signs(small[other])).abs().max() > 0.03, (one, other)


def test_the_check_for_distinctness_can_fail(small: dict[str, Tensor]) -> None:
    mirrored = small["points"].flip(-1)
    assert (signs(small["points"]) - signs(mirrored)).abs().max() < 0.03


def signs(picture: Tensor) -> Tensor:
    """Mean colour, spread of colours, and mean step to the right and down: measures of palette and texture."""
    across, down = picture.diff(dim=-1).abs().mean(), picture.diff(dim=-2).abs().mean()
    return torch.cat([picture.mean(dim=(0, 2, 3)), picture.std(dim=(0, 2, 3)), torch.stack([across, down])])


def test_unknown_names_and_impossible_sizes_are_refused() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'mosaic'"):
        swatch("mosaik")
    with pytest.raises(OptionError, match="1 px or more"):
        swatch("ink", size_hw=(0, 100))
