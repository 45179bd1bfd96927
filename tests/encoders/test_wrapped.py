"""Encoders of pictures that continue at the opposite edge."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from impasto.core.errors import OptionError
from impasto.encoders.squeezenet import SqueezeNet
from impasto.encoders.table import Encoder

LAYERS = ("relu1_1", "conv2_2", "relu4_1", "relu5_1", "relu1_1+relu3_1+relu4_1")


@pytest.mark.parametrize("wraps", [(True, False), (False, True), (True, True)])
@pytest.mark.parametrize("network", [{}, {"padding": "zeros", "pooling": "max", "ceil_mode": True}], ids=str)
def test_features_roll_with_the_picture(
    make_encoder: Callable[..., Encoder], network: dict[str, object], wraps: tuple[bool, bool]
) -> None:
    plain = make_encoder(**network)
    encoder, image = plain.wrapped(wraps), torch.rand(1, 3, 64, 96)
    by = (16 * wraps[0], 48 * wraps[1])
    before, after, still = (
        used(shown, LAYERS) for used, shown in ((encoder, image), (encoder, image.roll(by, (2, 3))), (plain, image))
    )
    for layer in LAYERS:
        moved = tuple(side // encoder.stride(layer) for side in by)
        torch.testing.assert_close(after[layer], before[layer].roll(moved, (2, 3)), atol=1e-5, rtol=1e-5)
        assert not torch.allclose(before[layer], still[layer], atol=1e-3)


def test_features_are_those_of_a_repeated_picture(encoder: Encoder) -> None:
    image, wrapped = torch.rand(1, 3, 32, 48), encoder.wrapped((True, True))
    once, twice = wrapped(image, LAYERS), wrapped(image.repeat(1, 1, 2, 2), LAYERS)
    for layer in LAYERS:
        torch.testing.assert_close(twice[layer], once[layer].repeat(1, 1, 2, 2), atol=1e-5, rtol=1e-5)


def test_the_encoder_itself_does_not_change(encoder: Encoder) -> None:
    image = torch.rand(1, 3, 32, 32)
    before = encoder(image, ["relu3_1"])["relu3_1"]
    other = encoder.wrapped((True, True))
    assert not torch.allclose(other(image, ["relu3_1"])["relu3_1"], before, atol=1e-3)
    assert torch.equal(encoder(image, ["relu3_1"])["relu3_1"], before)
    assert other.wrapped((False, False)).net.wraps == (False, False)  # type: ignore[attr-defined]


def test_an_encoder_that_cannot_wrap_says_so() -> None:
    net = SqueezeNet(matrix=((1, 0, 0), (0, 1, 0), (0, 0, 1)), offset=(0, 0, 0))
    with pytest.raises(OptionError, match="`tileable` needs an encoder of the VGG family"):
        net.wrapped((False, True))
