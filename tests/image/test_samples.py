"""Photographs of scikit-image."""

from __future__ import annotations

import pytest

from impasto.core.errors import ImageUnreadable, UnknownName
from impasto.image import samples
from impasto.image.samples import SAMPLES, sample, sample_path


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_lie_in_the_package(name: str) -> None:
    assert sample_path(name).is_file()


def test_a_sample_is_a_colour_picture_in_range() -> None:
    for name in ("astronaut", "camera"):
        pixels = sample(name).pixels
        assert pixels.shape == (1, 3, 512, 512)
        assert 0 <= pixels.min() < pixels.max() <= 1


def test_unknown_and_absent_samples_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'coffee'"):
        sample_path("cofee")
    monkeypatch.setitem(SAMPLES, "gone", samples.Sample("gone", "", "gone.png", ""))
    with pytest.raises(ImageUnreadable, match=r"gone\.png is missing.*pip install"):
        sample_path("gone")
