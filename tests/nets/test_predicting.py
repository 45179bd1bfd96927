"""The layers that predict rows: how fast they learn, and what is usual of styles."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from impasto.encoders.table import Encoder
from impasto.nets import table
from impasto.nets.codes import code_from
from impasto.nets.colours import COLOURS, in_colours
from impasto.nets.layers import PALETTE, is_style_param, smoothed
from impasto.nets.predicted import FAR, EqualizedLinear, Predicted, at_half_size


def moved(layer: nn.Module, into: int) -> float:
    """How far one step of Adam at 1e-3 moves what the layer gives."""
    torch.manual_seed(0)
    x = torch.randn(1, into)
    optimiser = torch.optim.Adam(layer.parameters(), lr=1e-3)
    before = layer(x)
    before.sum().backward()
    optimiser.step()
    found: Tensor = (layer(x) - before).detach()
    return float(found.abs().mean())


def test_a_step_moves_wide_layers_hardly_more() -> None:
    assert 25 < moved(nn.Linear(1600, 4), 1600) / moved(nn.Linear(36, 4), 36) < 60  # 44: as their widths
    assert moved(EqualizedLinear(1600, 4), 1600) / moved(EqualizedLinear(36, 4), 36) < 9  # 6.7: the root of that
    assert moved(nn.Linear(1600, 4), 1600) > 30 * moved(EqualizedLinear(1600, 4), 1600)


def test_what_it_gives_is_as_large_for_any_width() -> None:
    torch.manual_seed(0)
    for into in (16, 2000):
        assert float(EqualizedLinear(into, 500)(torch.randn(20, into)).detach().std()) == pytest.approx(1, abs=0.15)


@pytest.fixture
def net(encoder: Encoder) -> Predicted:
    torch.manual_seed(0)
    found: Predicted = table.untrained(encoder, table.VARIANTS["predicted"])
    return found


def codes_of(net: Predicted, encoder: Encoder, pictures: Tensor) -> dict[str, Tensor]:
    return dict(code_from(encoder(pictures, net.code_layers), pictures, net=net))


def test_there_is_a_row_for_each_style_and_all_of_its_tensors(
    net: Predicted, encoder: Encoder, draw_painting: Callable[[int, int], Tensor]
) -> None:
    pictures = torch.cat([draw_painting(64, 64), draw_painting(64, 64).flip(1)])
    rows = net.style_params(codes_of(net, encoder, pictures))
    state = net.painter.state_dict()
    assert rows.keys() == {key for key in state if is_style_param(key)}
    assert all(value.shape == (2, *state[key].shape) for key, value in rows.items())
    assert not torch.equal(*rows["down.0.norm.weight"])
    colours = rows[PALETTE].view(2, 4, 3)
    torch.testing.assert_close(colours[:, 0], pictures.mean((2, 3)))


def test_a_style_that_is_far_out_is_held_back(
    net: Predicted, encoder: Encoder, draw_painting: Callable[[int, int], Tensor]
) -> None:
    """A thousand times the numbers of any painting: rows stay within a few times of what is usual."""
    code = codes_of(net, encoder, draw_painting(64, 64))
    net.measure({name: torch.cat([value, 1.1 * value, 0.9 * value]) for name, value in code.items()})
    wild = {name: 1000 * value for name, value in code.items()}
    with torch.no_grad():
        usual, far = (net.style_params(given)["down.0.norm.weight"] for given in (code, wild))
    assert float((far - usual).abs().max()) < 3 * FAR


def test_a_batch_is_painted_as_its_pictures_are(
    net: Predicted, encoder: Encoder, draw_painting: Callable[[int, int], Tensor], draw_photo: Callable[..., Tensor]
) -> None:
    nn.init.normal_(net.painter.last.conv.weight, 0, 0.05)  # type: ignore[union-attr, arg-type]
    styles = torch.cat([draw_painting(64, 64), draw_painting(64, 64).flip(1)])
    contents = torch.cat([draw_photo(40, 44), draw_photo(40, 44).flip(3)])
    code = codes_of(net, encoder, styles)
    with torch.no_grad():
        whole = net(contents, code)
        for i in range(2):
            single = {name: value[i : i + 1] for name, value in code.items()}
            torch.testing.assert_close(net(contents[i : i + 1], single)[0], whole[i], rtol=0, atol=1e-4)
        assert float((net(contents[:1], {n: v[1:] for n, v in code.items()})[0] - whole[0]).abs().max()) > 0.01


def test_a_network_at_half_size_paints_as_the_whole_one_does_on_half_the_picture(
    net: Predicted,
    encoder: Encoder,
    draw_painting: Callable[[int, int], Tensor],
    draw_photo: Callable[[int, int], Tensor],
) -> None:
    """Seen before the colours are matched: the same strokes, twice as large, smoothed, on the recoloured content."""
    torch.nn.init.normal_(net.painter.last.conv.weight, std=0.1)
    torch.nn.init.normal_(net.painter.last.conv.bias, std=0.1)
    half: Predicted = table.untrained(encoder, table.VARIANTS["predicted-half"])
    half.load_state_dict(at_half_size(net.state_dict()))
    small, code = draw_photo(32, 48), codes_of(net, encoder, draw_painting(64, 64))
    large = small.repeat_interleave(2, 2).repeat_interleave(2, 3)
    with torch.no_grad():
        strokes = net(small, code) - in_colours(small, code[COLOURS])
        found = half(large, code) - in_colours(large, code[COLOURS])
    doubled = strokes.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert float(strokes.std()) > 0.01
    torch.testing.assert_close(found, smoothed(F.pad(doubled, (1, 1, 1, 1), mode="replicate")), atol=1e-4, rtol=0)
