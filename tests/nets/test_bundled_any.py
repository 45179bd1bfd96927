"""The networks for any style that come with the package."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from impasto.image.resize import resized
from impasto.image.samples import sample
from impasto.image.swatches import SWATCHES, swatch
from impasto.losses.table import STYLE_LOSSES
from impasto.nets import table
from impasto.nets.table import Network
from impasto.stylizers.arbitrary import Arbitrary
from impasto.stylizers.protocol import Mix, Style
from impasto.weights.catalogue import CATALOGUE, located

NAMES = ("compact-any", "compact-any-half")
SIDE_PX = 160


@pytest.fixture(scope="module", params=NAMES)
def network(request: pytest.FixtureRequest) -> Network:
    """In float32, so that the processor makes no difference."""
    return table.load_network(request.param, precision="float32")


@pytest.fixture(scope="module")
def photo() -> Tensor:
    return resized(sample("chelsea").pixels, (SIDE_PX, SIDE_PX))


def painted(network: Network, photo: Tensor, style: Tensor, *, strength: float = 1.0) -> Tensor:
    work = Arbitrary(network)
    *_, last = work.paint(photo, work.prepare(Mix((Style(style),))), strength=strength)
    return last.picture()


def test_it_is_small_and_says_what_it_is(network: Network) -> None:
    assert located(network.name).stat().st_size < 4_000_000
    assert network.card.licence == CATALOGUE[network.name].licence == "MIT"
    assert "None of these pictures is in the package" in network.card.source
    assert network.card.training["options"]["encoder"] == "compact-vgg"
    assert network.card.training["options"]["name"] == network.name


def test_every_drawn_style_is_nearer_in_its_own_painting(network: Network, photo: Tensor) -> None:
    """By Gram matrices at three depths, summed up: nearer than the photograph, and than most other paintings."""
    layers = ("relu2_1", "relu3_1", "relu4_1")
    styles = {name: swatch(name, size_hw=(SIDE_PX, SIDE_PX)) for name in SWATCHES}
    paintings = {name: painted(network, photo, style) for name, style in styles.items()}
    loss = STYLE_LOSSES["gram"]

    def apart(picture: Tensor, style: Tensor) -> float:
        with torch.no_grad():
            found, wanted = (network.encoder(image, layers) for image in (picture, style))
            return sum(float(loss(found[name], loss.target(wanted[name])).log1p()) for name in layers)

    ranks = []
    for name, style in styles.items():
        picture = paintings[name]
        assert bool(torch.isfinite(picture).all()), name
        assert (picture - photo).abs().mean() > 0.03, name
        own = apart(picture, style)
        assert own < apart(photo, style), name
        ranks.append(sum(apart(other, style) < own for other in paintings.values()))
    assert sum(ranks) / len(ranks) < 1  # of so many paintings, one at most is nearer, on average


def test_a_photograph_in_its_own_style_is_recognised(network: Network, photo: Tensor) -> None:
    light, seen = (
        resized(p.mean(1, keepdim=True), (20, 20)).flatten() for p in (painted(network, photo, photo), photo)
    )
    assert torch.corrcoef(torch.stack([light, seen]))[0, 1] > 0.6  # light is where it was


def test_little_strength_is_little_change(network: Network, photo: Tensor) -> None:
    style = swatch("strokes", size_hw=(SIDE_PX, SIDE_PX))
    changes = [
        float((painted(network, photo, style, strength=s) - photo).abs().mean()) for s in (0.0, 0.1, 0.4, 0.7, 1.0)
    ]
    assert changes[0] == 0
    assert changes == sorted(changes)
    assert changes[1] < 0.25 * changes[-1]
