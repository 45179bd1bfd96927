"""Trained styles and pictures in one pass of the networks in the package, which have the same convolutions."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from impasto.core.errors import OptionError
from impasto.nets import fast as fast_nets
from impasto.nets import table as nets
from impasto.nets.fast import FastNetwork
from impasto.nets.table import Network
from impasto.stylizers.arbitrary import Arbitrary, trained_params
from impasto.stylizers.fast import Fast
from impasto.stylizers.protocol import Mix, Style


@pytest.fixture(scope="module")
def network() -> Network:
    return nets.load_network("compact-any", precision="float32")


@pytest.fixture(scope="module")
def wave() -> FastNetwork:
    return fast_nets.load_fast_network("compact-styles", precision="float32").of({"wave": 1.0})


@pytest.fixture(scope="module")
def stylizer(network: Network, wave: FastNetwork) -> Arbitrary:
    return Arbitrary(network, trained={"wave": trained_params(wave, network)})


@pytest.fixture
def picture(painting: Tensor) -> Style:
    return Style(painting)


def painted(stylizer: Arbitrary | Fast, content: Tensor, *styles: Style, strength: float = 1.0) -> Tensor:
    *_, last = stylizer.paint(content, stylizer.prepare(Mix(styles)), strength=strength)  # type: ignore[arg-type]
    return last.picture()


def test_a_trained_style_is_painted_as_its_own_network_paints_it(
    stylizer: Arbitrary, wave: FastNetwork, photo: Tensor
) -> None:
    own = painted(Fast({"wave": wave}), photo, Style(trained="wave"))
    torch.testing.assert_close(painted(stylizer, photo, Style(trained="wave")), own, atol=1e-4, rtol=0)


def test_a_mix_goes_from_one_to_the_other(stylizer: Arbitrary, photo: Tensor, picture: Style) -> None:
    def mix(weight: float) -> Tensor:
        return painted(stylizer, photo, Style(trained="wave", weight=weight), Style(picture.picture, weight=1 - weight))

    ends = painted(stylizer, photo, picture), painted(stylizer, photo, Style(trained="wave"))
    for weight, end in zip((0.0, 1.0), ends, strict=True):
        torch.testing.assert_close(mix(weight), end, atol=1e-4, rtol=0)
    between, apart = mix(0.5), (ends[0] - ends[1]).abs().mean()
    for end in ends:
        assert 0.1 * apart < (between - end).abs().mean() < 0.9 * apart


def test_masks_and_strength(stylizer: Arbitrary, photo: Tensor, picture: Style) -> None:
    left = torch.zeros(1, 1, *photo.shape[-2:])
    left[..., : photo.shape[-1] // 2] = 1
    both = painted(stylizer, photo, Style(trained="wave", mask=left), Style(picture.picture, mask=1 - left))
    expected = torch.where(
        left > 0.5, painted(stylizer, photo, Style(trained="wave")), painted(stylizer, photo, picture)
    )
    torch.testing.assert_close(both, expected, atol=1e-5, rtol=0)
    styles = Style(trained="wave"), picture
    weak, full = (painted(stylizer, photo, *styles, strength=strength) for strength in (0.3, 1.0))
    assert (weak - photo).abs().mean() < (full - photo).abs().mean()


def test_other_convolutions_are_refused(network: Network, learned_file: Path) -> None:
    other = fast_nets.load_fast_network(learned_file, precision="float32")
    with pytest.raises(OptionError, match="other convolutions than compact-any, so it cannot be mixed with pictures"):
        trained_params(other, network)
