"""The networks of trained styles that come with the package."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch

from impasto.api import load_network
from impasto.config.arbitrary import SMALL_NETWORK
from impasto.image.resize import resized
from impasto.image.samples import sample
from impasto.nets import fast as fast_nets
from impasto.nets.fast import FastNetwork
from impasto.nets.layers import is_style_param
from impasto.weights.catalogue import CATALOGUE, located

ANY = {"compact-styles": "compact-any", "compact-styles-half": "compact-any-half"}
"""The arbitrary network with the same convolutions."""


@pytest.fixture(scope="module", params=ANY)
def network(request: pytest.FixtureRequest) -> FastNetwork:
    """In float32, so that the processor makes no difference."""
    return fast_nets.load_fast_network(request.param, precision="float32")


def test_the_small_network_has_the_same_styles() -> None:
    assert CATALOGUE["compact-any"].small == SMALL_NETWORK
    whole, small = (fast_nets.load_fast_network(name) for name in ("compact-styles", "compact-styles-half"))
    assert CATALOGUE["compact-styles"].small == small.name
    assert whole.styles == small.styles


def test_it_is_small_and_says_what_it_is(network: FastNetwork) -> None:
    name = network.name
    assert located(name).stat().st_size < 4_000_000
    assert len(network.styles) >= 12
    assert network.card.licence == CATALOGUE[name].licence == "MIT"
    assert "None of these pictures is in the package" in network.card.source
    assert all(style.get("about") for style in network.card.styles)
    assert network.card.training["options"]["encoder"] == "compact-vgg"
    assert network.card.training["options"]["name"] == name


def test_its_styles_blend_with_those_of_any_picture(network: FastNetwork) -> None:
    any_style = load_network(ANY[network.name], precision="float32").net.painter.state_dict()  # type: ignore[union-attr]
    shared = {key: value for key, value in network.net.state_dict().items() if not is_style_param(key)}
    assert shared
    assert all(torch.equal(value, any_style[key]) for key, value in shared.items())


@pytest.mark.parametrize("night", [False, True])
def test_bfloat16_is_not_visible_in_smooth_skies(network: FastNetwork, night: bool) -> None:
    """The arithmetic of bfloat16 is the same on every processor, fast or not."""
    half = fast_nets.load_fast_network(network.name, precision="bfloat16")
    height, width = (torch.linspace(0, 1, side) for side in (96, 128))
    slope = (0.8 * height[:, None] + 0.2 * width).expand(1, 3, 96, 128)
    top, bottom = ([0.02, 0.03, 0.1], [0.12, 0.12, 0.25]) if night else ([0.35, 0.55, 0.9], [0.85, 0.9, 0.97])
    sky = torch.lerp(torch.tensor(top).view(1, 3, 1, 1), torch.tensor(bottom).view(1, 3, 1, 1), slope)
    for name in ("composition", "self-portrait", "wave"):
        one, other = (net.of({name: 1.0}).painter.painted(sky) for net in (network, half))
        assert 0 < 255 * (one - other).abs().max() <= 8, name


def test_its_styles_differ_and_keep_the_content(network: FastNetwork) -> None:
    photo = resized(sample("chelsea").pixels, (96, 144))
    with torch.no_grad():
        painted = {name: network.of({name: 1.0}).painter.painted(photo) for name in network.styles}
    for name, picture in painted.items():
        assert bool(torch.isfinite(picture).all()), name
        assert picture.std() > 0.05, name  # not flat
        assert (picture - photo).abs().mean() > 0.03, name  # not the photograph
        light, seen = (resized(p.mean(1, keepdim=True), (12, 18)).flatten() for p in (picture, photo))
        assert torch.corrcoef(torch.stack([light, seen]))[0, 1] > 0.3, name  # light is where it was
    for one, other in combinations(painted, 2):
        assert (painted[one] - painted[other]).abs().mean() > 0.02, (one, other)
