"""Statistics that the frames of a shot share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from impasto.nets.residual import Residual
from impasto.nets.shared import RATE, SharedStatistics, shared
from impasto.nets.table import VARIANTS, Network
from impasto.stylizers.arbitrary import AnySize, params_of
from impasto.stylizers.codes import code_of

SIZE = (72, 160)
MEMORY = 1 << 30


def network(**options: Any) -> Residual:
    """A small network with every statistic: norms, colours, contrast by scale."""
    torch.manual_seed(0)
    options = {"widths": (4, 6), "blocks": 1, "outer_px": 3, "skips": True, "recolours": True, **options}
    net = Residual(matches_palette=True, matches_bands=True, **options)
    net.get_buffer("palette").copy_(torch.cat([torch.full((3,), 0.4), 0.05 * torch.eye(3).flatten()]))
    net.get_buffer("bands").fill_(0.01).view(-1, 3, 3).add_(0.02 * torch.eye(3))
    net.get_parameter("last.conv.weight").data.normal_(std=0.1)
    return net.eval().requires_grad_(False)


def frames(count: int) -> list[Tensor]:
    """A still photograph, into which something bright moves from the right."""
    still = torch.rand(1, 3, *SIZE, generator=torch.Generator().manual_seed(1)) * 0.5
    made = [still.clone() for _ in range(count)]
    for index, frame in enumerate(made):
        frame[..., SIZE[1] - 4 * index :] = 0.95
    return made


def painted(net: Residual, film: list[Tensor], before: Mapping[str, Tensor] | None = None) -> list[Tensor]:
    """The frames of one shot, painted whole."""
    outputs, averages = [], before or {}
    for frame in film:
        statistics = SharedStatistics(averages)
        with statistics.active():
            outputs.append(net(frame.contiguous(memory_format=torch.channels_last)))
        averages = statistics.averages
    return outputs


def test_equal_frames_and_the_first_one_are_painted_as_pictures_are() -> None:
    net, film = network(), 3 * frames(1)
    alone = net(film[0])
    for output in painted(net, film):
        assert (output - alone).abs().max() < 1e-4


def test_what_enters_the_frame_changes_the_rest_less() -> None:
    net, film = network(), frames(5)[::4]
    alone, together = ([output[..., :32] for output in outputs] for outputs in (map(net, film), painted(net, film)))
    assert (together[1] - together[0]).abs().mean() < (alone[1] - alone[0]).abs().mean()


def test_strips_share_the_statistics_of_the_whole() -> None:
    net, film = network(), frames(3)
    averages: dict[str, Tensor] = {}
    for frame, whole in zip(film, painted(net, film), strict=True):
        statistics = SharedStatistics(averages)
        with statistics.active():
            strips = net.strips(lambda a, b, f=frame: f[:, :, a:b], SIZE, room_bytes=1 << 30, strip_px=600)  # type: ignore[misc]
            output = torch.cat([rows for _, rows in strips], dim=2)
        averages = statistics.averages
        assert (output - whole).abs().max() < 1e-3


def test_a_shot_goes_on_from_its_averages_exactly() -> None:
    net, film = network(), frames(4)
    statistics = SharedStatistics()
    with statistics.active():
        net(film[0].contiguous(memory_format=torch.channels_last))
    rest = painted(net, film[1:], {key: value.clone() for key, value in statistics.averages.items()})
    assert all(torch.equal(a, b) for a, b in zip(rest, painted(net, film)[1:], strict=True))


def test_the_average_is_exponential() -> None:
    values, averages, expected = [3.0, 5.0, -2.0], dict[str, Tensor](), 3.0
    for value in values:
        statistics = SharedStatistics(averages)
        with statistics.active():
            found = shared(torch.tensor([value]))
        averages, expected = statistics.averages, expected + RATE * (value - expected)
        assert float(found) == pytest.approx(expected)


def test_statistics_of_another_part_begin_anew() -> None:
    first = SharedStatistics()
    first.begin("wave")
    first.averaged(torch.ones(2))
    second = SharedStatistics(first.averages)
    second.begin("wave,star")
    assert torch.equal(second.averaged(torch.zeros(2)), torch.zeros(2))
    assert set(second.averages) == {"wave,star.0"}  # what is not computed any more is forgotten


def test_a_picture_shares_nothing() -> None:
    net, film = network(), frames(4)
    alone = net(film[3])
    painted(net, film)
    assert torch.equal(net(film[3]), alone)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_network_shares_its_statistics(
    variant: str, make_network: Callable[..., Network], photo: Tensor, painting: Tensor
) -> None:
    network = make_network(variant)
    painter = AnySize(network, params_of(code_of(painting, network), network))
    other = (photo * 0.5).flip(-1)
    alone, averages, outputs = painter.painted(photo, memory_bytes=MEMORY), dict[str, Tensor](), []
    for frame in (other, photo, photo):
        statistics = SharedStatistics(averages)
        with statistics.active():
            outputs.append(painter.painted(frame, memory_bytes=MEMORY))
        averages = statistics.averages
    assert (outputs[0] - painter.painted(other, memory_bytes=MEMORY)).abs().max() < 1e-3
    away = [float((output - alone).abs().mean()) for output in outputs[1:]]
    assert min(away) > 1e-4  # on the way from the statistics of the other picture to its own
