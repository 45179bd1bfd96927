"""Laws of random crops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from impasto.core.errors import DataError
from impasto.training.data import Bytes, Crops, centre_crop


def pictures(count: int = 5, h: int = 20, w: int = 30) -> list[Bytes]:
    return [np.random.default_rng(i).integers(0, 256, (h, w, 3), dtype=np.uint8) for i in range(count)]


def crops(**options: object) -> Crops:
    given = {"pictures": pictures(), "batch_size": 4, "crop_px": 8, "seed": 3} | options
    return Crops(**given)  # type: ignore[arg-type]


def test_a_batch() -> None:
    batch = crops(labels=[0, 1, 2, 3, 4])(7)
    assert batch.images.shape == (4, 3, 8, 8)
    assert batch.images.dtype == torch.float32
    assert 0 <= float(batch.images.min()) <= float(batch.images.max()) <= 1
    assert batch.indices.shape == (4,)
    assert batch.labels is not None
    assert batch.labels.tolist() == batch.indices.tolist()
    assert crops()(7).labels is None


@given(seed=st.integers(0, 2**31), step=st.integers(0, 2**40))
def test_a_batch_follows_from_seed_and_step(seed: int, step: int) -> None:
    source = crops(seed=seed)
    first = source(step)
    source(step + 1)
    np.random.rand()
    again = crops(seed=seed)(step)
    assert torch.equal(first.images, again.images)
    assert torch.equal(first.indices, again.indices)


def test_another_step_or_seed_is_another_batch() -> None:
    base = crops()(1).images
    assert not torch.equal(base, crops()(2).images)
    assert not torch.equal(base, crops(seed=4)(1).images)


def test_a_whole_crop_is_the_picture_or_its_mirror() -> None:
    source = crops(pictures=pictures(1, 16, 16), crop_px=16, smallest_crop=1.0, batch_size=20)
    whole = torch.from_numpy(source.pictures[0]).permute(2, 0, 1).float() / 255
    kinds = [0 if torch.equal(i, whole) else 1 for i in source(0).images]
    for image in source(0).images:
        assert torch.equal(image, whole) or torch.equal(image, whole.flip(-1))
    assert 0 < sum(kinds) < 20


def test_crops_are_square_and_no_smaller_than_allowed() -> None:
    y, x = np.mgrid[0:200, 0:100]
    slope = np.stack([y, x, 0 * x], axis=-1).astype(np.uint8)
    for image in crops(pictures=[slope], crop_px=50, smallest_crop=0.5, batch_size=16)(0).images * 255:
        high = float(image[0].max() - image[0].min())
        wide = float(image[1].max() - image[1].min())
        assert high == pytest.approx(wide, abs=3)
        assert 44 < high < 102


def test_odds() -> None:
    only_second = crops(odds=[0, 2.0, 0, 0, 0], batch_size=30)(0)
    assert set(only_second.indices.tolist()) == {1}
    often = crops(odds=[1, 1, 1, 1, 16.0], batch_size=200)(0)
    assert 130 < int((often.indices == 4).sum()) < 190


def test_a_picture_of_one_pixel() -> None:
    source = crops(pictures=[np.full((1, 1, 3), 255, np.uint8)], smallest_crop=0.1)
    assert all(source(step).images.min() == 1 for step in range(5))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pictures": []}, "no pictures to train on"),
        ({"labels": [1]}, "1 labels for 5 pictures"),
        ({"odds": [1.0]}, "1 odds for 5 pictures"),
        ({"odds": [0.0] * 5}, "odds of the pictures"),
        ({"odds": [1.0, -1.0, 1.0, 1.0, 1.0]}, "odds of the pictures"),
        ({"odds": [math.inf] * 5}, "odds of the pictures"),
    ],
)
def test_what_cannot_be_trained_on(options: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        crops(**options)


def test_the_centre_crop_is_the_middle() -> None:
    picture = np.zeros((10, 30, 3), np.uint8)
    picture[:, 10:20] = 255
    found = centre_crop(picture, 10)
    assert found.shape == (1, 3, 10, 10)
    assert float(found.min()) == 1
    assert centre_crop(picture, 4).shape == (1, 3, 4, 4)
