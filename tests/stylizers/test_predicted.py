"""Painting by predicted norm parameters: as in training, by strips, with masks, in mixes.

See test_arbitrary for the laws of all networks of any style.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partialmethod

import pytest
import torch
from torch import Tensor

from impasto.core.errors import OptionError
from impasto.nets import painting
from impasto.nets.bands import BANDS
from impasto.nets.layers import PALETTE
from impasto.nets.predicted import Predicted
from impasto.nets.residual import Residual
from impasto.nets.table import Network
from impasto.stylizers.arbitrary import Arbitrary
from impasto.stylizers.codes import code_of
from impasto.stylizers.protocol import Mix, Style

Make = Callable[..., Network]
Draw = Callable[[int, int], Tensor]


def painted(work: Arbitrary, content: Tensor, *styles: Tensor | Style, strength: float = 1.0) -> Tensor:
    mix = Mix(tuple(s if isinstance(s, Style) else Style(s) for s in styles))
    *_, last = work.paint(content, work.prepare(mix), strength=strength)
    return last.picture()


def near(one: Tensor, other: Tensor, atol: float = 1e-5) -> None:
    torch.testing.assert_close(one, other, rtol=0, atol=atol)


@pytest.fixture
def network(make_network: Make) -> Network:
    return make_network("predicted")


@pytest.fixture
def small_strips(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From when it is called on, every picture is painted by strips of a few rows."""

    def use() -> None:
        monkeypatch.setattr(painting, "WHOLE_PX", 0)
        monkeypatch.setattr(Residual, "strips", partialmethod(Residual.strips, strip_px=700))

    return use


def test_what_is_painted_is_what_is_trained(network: Network, photo: Tensor, painting: Tensor) -> None:
    assert isinstance(network.net, Predicted)
    code = code_of(painting, network)
    whole = network.net(photo, code)
    assert float((whole - photo).abs().mean()) > 0.02
    near(painted(Arbitrary(network), photo, painting), whole.clamp(0, 1), 1e-4)
    two = {name: torch.cat([value, code_of(painting.flip(1), network)[name]]) for name, value in code.items()}
    near(network.net(torch.cat([photo, photo]), two)[:1], whole, 1e-4)  # each picture of a batch has its style


@pytest.mark.parametrize("strength", [0.4, 1.0, 1.5])
def test_strips_with_masks_are_parts_of_the_whole(
    strength: float, network: Network, draw_photo: Draw, painting: Tensor, small_strips: Callable[[], None]
) -> None:
    content = draw_photo(75, 83)
    soft = torch.linspace(0, 1, 83).expand(1, 1, 75, 83)
    styles = (Style(painting, mask=soft), Style(painting.flip(1), mask=1 - soft))
    whole = painted(Arbitrary(network), content, *styles, strength=strength)
    small_strips()
    near(painted(Arbitrary(network, memory_bytes=0), content, *styles, strength=strength), whole, 1e-3)
    half = painted(Arbitrary(network), content.half(), *styles, strength=strength)
    assert half.dtype == torch.float16
    assert float((half.float() - whole).abs().mean()) < 2e-3


def test_masks_of_tiny_pictures(network: Network, painting: Tensor) -> None:
    content, mask = torch.rand(1, 3, 3, 5), torch.zeros(1, 1, 3, 5)
    mask[..., :2] = 1
    work = Arbitrary(network)
    found = painted(work, content, Style(painting, mask=mask))
    near(found[..., :2], painted(work, content, painting)[..., :2])
    near(found[..., 2:], content[..., 2:])


def test_norm_parameters_mix_linearly_and_by_any_weights(network: Network, photo: Tensor, painting: Tensor) -> None:
    work, other = Arbitrary(network), painting.flip(1)
    (one,), (two,) = (work.prepare(Mix((Style(picture),))) for picture in (painting, other))
    (region,) = work.prepare(Mix((Style(painting, 3.0), Style(other, -1.0))))
    for key in region.network.params.keys() - {PALETTE, BANDS}:
        near(region.network.params[key], 1.5 * one.network.params[key] - 0.5 * two.network.params[key])
    assert any(
        not torch.equal(one.network.params[key], two.network.params[key])
        for key in one.network.params
        if key != PALETTE
    )
    assert bool(torch.isfinite(painted(work, photo, Style(painting, 3.0), Style(other, -1.0))).all())


def test_beyond_the_style_colours_stay(network: Network, photo: Tensor, painting: Tensor) -> None:
    """With norm parameters that are the same for all styles, only the colours of a style remain."""
    assert isinstance(network.net, Predicted)
    network.net.spread.weight.zero_()
    work = Arbitrary(network)
    near(painted(work, photo, painting, strength=3.0), painted(work, photo, painting), 1e-4)


@pytest.mark.parametrize("count", [0, 3])
def test_squares_of_two_pixels_are_known(count: int) -> None:
    with pytest.raises(OptionError, match="1 or 2 is needed"):
        Residual(widths=(2, 3), blocks=0, unshuffle=count)


def test_a_grid_of_two_pixels_is_not_painted() -> None:
    """Whatever the last convolution says of the four pixels of a square: alternating columns and rows come out flat."""
    net = Residual(widths=(4, 6), blocks=1, unshuffle=2).eval()
    with torch.no_grad():
        for layer in net.up:
            layer.norm.weight.zero_()  # type: ignore[union-attr]
        painted = net(torch.rand(1, 3, 32, 32))
        assert float(net.last.conv.bias.std()) > 0  # type: ignore[operator, union-attr]
    inner = painted[..., 2:-2, 2:-2]
    assert float(inner.std((2, 3)).max()) < 1e-5
