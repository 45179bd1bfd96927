"""Mixes of styles with negative weights, as `--style a.jpg:1.5 --style b.jpg:-0.5`."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from impasto.encoders.table import load_encoder
from impasto.image.resize import resized
from impasto.image.samples import sample
from impasto.image.swatches import swatch
from impasto.nets import fast as fast_nets
from impasto.nets import table
from impasto.nets.bands import BANDS
from impasto.nets.colours import COLOURS
from impasto.nets.layers import PALETTE, mixed_entry, mixed_params
from impasto.stylizers.arbitrary import Arbitrary
from impasto.stylizers.protocol import Mix, Style
from impasto.weights.card import Card


@pytest.fixture(scope="module")
def photo() -> Tensor:
    return resized(sample("chelsea").pixels, (96, 128))


def whole(picture: Tensor) -> None:
    assert bool(torch.isfinite(picture).all())
    assert float(picture.std()) > 0.02


@pytest.mark.parametrize(("rich", "poor"), [("composition", "pastel"), ("stained-glass", "lilies")])
def test_away_from_a_trained_style_of_more_contrast(rich: str, poor: str, photo: Tensor) -> None:
    """The differences of their covariances are not positive, and have no root."""
    network = fast_nets.load_fast_network("compact-styles", precision="float32")
    weights = {poor: 2.0, rich: -1.0}
    whole(network.of(weights).painter.painted(photo))
    shares = torch.tensor([[weights.get(name, 0.0) for name in network.styles]])
    with torch.no_grad():
        whole(network.net(photo, shares))


def test_away_from_a_picture_of_more_contrast(photo: Tensor) -> None:
    work = Arbitrary(table.load_network("compact-any-half", precision="float32"))
    rich, poor = swatch("mosaic", size_hw=(96, 96)), 0.5 + 0.1 * (swatch("ink", size_hw=(96, 96)) - 0.5)
    *_, last = work.paint(photo, work.prepare(Mix((Style(poor, 2.0), Style(rich, -1.0)))))
    whole(last.picture())


@pytest.mark.parametrize("variant", table.VARIANTS)
def test_codes_of_every_variant(variant: str, photo: Tensor) -> None:
    """Covariances as codes: directions of negative variance are left out (`moments.power`)."""
    encoder = load_encoder("compact-vgg", precision="float32")
    net = table.untrained(encoder, table.VARIANTS[variant]).eval().requires_grad_(False)
    work = Arbitrary(table.Network(net, Card(kind="arbitrary", name=variant, network={}), "", encoder))
    rich, poor = swatch("mosaic", size_hw=(96, 96)), 0.5 + 0.1 * (swatch("ink", size_hw=(96, 96)) - 0.5)
    code = work.prepare(Mix((Style(poor, 2.0), Style(rich, -1.0))))
    for strength in (1.0, 1.8):
        *_, last = work.paint(photo, code, strength=strength)
        assert bool(torch.isfinite(last.picture()).all())


@pytest.mark.parametrize("key", [PALETTE, COLOURS, BANDS, "up.0.norm.weight"])
def test_weights_that_are_not_negative_mix_linearly(key: str) -> None:
    entries = torch.rand(3, 12)
    wanted = 0.25 * entries[0] + 0.5 * entries[1] + 0.25 * entries[2]
    found = mixed_params(key, list(entries), weights=[0.25, 0.5, 0.25])
    torch.testing.assert_close(found, wanted)
    shares = torch.tensor([[0.25, 0.5, 0.25]])
    torch.testing.assert_close(mixed_entry(key, lambda weights: weights @ entries, weights=shares)[0], wanted)


def test_means_are_extrapolated_and_covariances_are_not() -> None:
    entries = list(torch.rand(2, 12))
    found = mixed_params(PALETTE, entries, weights=[1.5, -0.5])
    torch.testing.assert_close(found[:3], 1.5 * entries[0][:3] - 0.5 * entries[1][:3])
    torch.testing.assert_close(found[3:], entries[0][3:])
