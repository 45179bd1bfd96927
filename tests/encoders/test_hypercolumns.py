"""Layers joined by name."""

from __future__ import annotations

import pytest
import torch

from impasto.core.errors import UnknownName
from impasto.encoders.table import Encoder

JOINED = "relu1_1+relu2_1+relu4_1"


def test_a_joined_layer_has_the_channels_of_its_parts_at_a_quarter_of_the_size(encoder: Encoder) -> None:
    feats = encoder(torch.rand(1, 3, 50, 62), [JOINED, "relu4_1"])
    assert feats.keys() == {JOINED, "relu4_1"}
    assert feats[JOINED].shape == (1, encoder.width(JOINED), 13, 16)
    assert encoder.width(JOINED) == sum(encoder.width(part) for part in JOINED.split("+"))
    assert encoder.stride(JOINED) == 4
    assert encoder.smallest_px([JOINED]) == encoder.smallest_px(["relu4_1"])
    assert encoder.reach_px([JOINED]) is None


def test_larger_maps_are_averaged_and_smaller_ones_interpolated(encoder: Encoder) -> None:
    feats = encoder(torch.rand(1, 3, 48, 64), [JOINED, "relu1_1"])
    first = feats[JOINED][:, : encoder.width("relu1_1")]
    assert torch.allclose(first, torch.nn.functional.avg_pool2d(feats["relu1_1"], 4), atol=1e-6)


def test_deep_layers_alone_keep_their_size(encoder: Encoder) -> None:
    feats = encoder(torch.rand(1, 3, 64, 64), ["relu4_1+relu5_1"])
    assert feats["relu4_1+relu5_1"].shape[-2:] == (8, 8)


def test_an_unknown_part_is_named(encoder: Encoder) -> None:
    with pytest.raises(UnknownName, match="relu9_1"):
        encoder(torch.rand(1, 3, 64, 64), ["relu1_1+relu9_1"])
