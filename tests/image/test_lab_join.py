"""A colour whose Z comes out as a hair below zero, which once raised skimage's warning."""

from __future__ import annotations

import torch

from impasto.image.colour import with_luminance_of


def test_saturated_yellows_under_any_lightness() -> None:
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(1, 3, 120, 120, generator=generator)
    image[:, 2] *= 0.02  # nearly no blue
    light = torch.rand(1, 1, 120, 120, generator=generator).expand(1, 3, -1, -1)
    found = with_luminance_of(image, light, space="lab")  # a warning is an error
    assert bool(torch.isfinite(found).all())
