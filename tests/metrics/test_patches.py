"""Laws of the measures that need no network."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from impasto.image.resize import resized
from impasto.image.samples import sample
from impasto.image.swatches import swatch
from impasto.metrics.patches import patch_distance, structure_similarity


@pytest.fixture(scope="module")
def photo() -> Tensor:
    return resized(sample("chelsea").pixels, (170, 256))


@pytest.fixture(scope="module")
def painting() -> Tensor:
    return swatch("strokes", size_hw=(192, 256))


def test_a_style_is_nearest_to_itself_and_to_its_mirror_image(photo: Tensor, painting: Tensor) -> None:
    itself, mirrored = patch_distance(painting, painting), patch_distance(painting.flip(3), painting)
    assert itself < 0.1  # two random sets of its patches
    assert mirrored < 0.3 * patch_distance(photo, painting)


def test_the_nearer_to_the_style_a_blend_is_the_smaller_its_distance(photo: Tensor, painting: Tensor) -> None:
    stretched = resized(painting, (170, 256))
    values = [patch_distance(torch.lerp(photo, stretched, part), painting) for part in (0.0, 0.4, 0.8, 1.0)]
    assert values == sorted(values, reverse=True)


def test_a_wrong_palette_and_a_missing_texture_both_count(painting: Tensor) -> None:
    copy = patch_distance(painting, painting)
    assert patch_distance(painting.flip(1), painting) > 2 * copy
    assert patch_distance(resized(resized(painting, (12, 16)), (192, 256)), painting) > 2 * copy


def test_structure_ignores_contrast_and_palette(photo: Tensor) -> None:
    assert structure_similarity(photo, photo) == pytest.approx(1)
    assert structure_similarity(0.3 + 0.5 * photo, photo) > 0.9
    assert structure_similarity(photo.mean(1, keepdim=True).expand(-1, 3, -1, -1), photo) > 0.9


def test_structure_falls_with_noise_and_vanishes_in_another_picture(photo: Tensor, painting: Tensor) -> None:
    noise = torch.randn(photo.shape, generator=torch.Generator().manual_seed(0))
    values = [structure_similarity(photo + strength * noise, photo) for strength in (0.0, 0.03, 0.1, 0.3)]
    assert values == sorted(values, reverse=True)
    assert abs(structure_similarity(painting, photo)) < 0.2


def test_sizes_do_not_matter_much(photo: Tensor, painting: Tensor) -> None:
    larger = resized(photo, (340, 512))
    assert structure_similarity(larger, photo) > 0.98
    assert patch_distance(larger, painting) == pytest.approx(patch_distance(photo, painting), rel=0.03)


def test_a_batch_gives_the_mean_of_its_items(photo: Tensor, painting: Tensor) -> None:
    outputs = torch.cat([photo, photo.flip(2)])
    assert structure_similarity(outputs, photo) == pytest.approx(
        (1 + structure_similarity(photo.flip(2), photo)) / 2, abs=1e-6
    )
    distances = [patch_distance(output[None], painting) for output in outputs]
    assert patch_distance(outputs, painting) == pytest.approx(sum(distances) / 2)


def test_narrow_and_tiny_pictures_are_measured() -> None:
    narrow, tiny = torch.rand(1, 3, 8, 400, generator=torch.Generator().manual_seed(0)), torch.rand(1, 3, 5, 5)
    assert structure_similarity(narrow, narrow) == pytest.approx(1)
    assert patch_distance(tiny, narrow) > 0
