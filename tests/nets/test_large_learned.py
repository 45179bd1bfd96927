"""Trained styles on large pictures, which are painted by strips."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from impasto.image.pixels import PREPROCESS
from impasto.nets import fast as fast_nets
from impasto.nets import painting
from impasto.nets.fast import FastNetwork
from impasto.nets.protocol import PaintedRows
from impasto.nets.residual import Residual
from impasto.weights.card import Card


@pytest.fixture
def network() -> FastNetwork:
    net = Residual(widths=(4, 5), blocks=1, outer_px=3).eval().requires_grad_(False)
    net.last.conv.weight.mul_(0.5)
    net.last.conv.bias.fill_(0.1)
    card = Card(kind=fast_nets.KIND, name="a", network={})
    return FastNetwork(net, card, "", PREPROCESS["bgr-255"], PREPROCESS["imagenet-rgb"])


@pytest.fixture
def content() -> Tensor:
    return torch.rand(1, 3, 61, 47)


def test_a_large_picture_is_painted_as_a_small_one(
    network: FastNetwork, content: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, whole = content.clone(), network.painter.painted(content)
    assert float(((whole > 0) & (whole < 1)).float().mean()) > 0.5
    monkeypatch.setattr(painting, "WHOLE_PX", 61 * 47 - 1)
    calls = []
    monkeypatch.setattr(Residual, "forward", lambda *_, **__: calls.append("whole"))
    torch.testing.assert_close(network.painter.painted(content), whole, atol=1e-4, rtol=0)
    half = network.painter.painted(content.half())
    assert half.dtype == torch.float16
    torch.testing.assert_close(half.float(), whole, atol=2e-3, rtol=0)
    assert torch.equal(content, before)
    assert not calls


def test_pictures_take_room_from_the_features(
    network: FastNetwork, content: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    rooms = []
    real = Residual.strips

    def strips(*args: Any, room_bytes: int, **options: Any) -> PaintedRows:
        rooms.append(room_bytes)
        return real(*args, room_bytes=room_bytes, **options)

    monkeypatch.setattr(painting, "WHOLE_PX", 0)
    monkeypatch.setattr(Residual, "strips", strips)
    network.painter.painted(content, memory_bytes=1_000_000)
    network.painter.painted(content.half(), memory_bytes=1_000_000)
    assert rooms == [1_000_000 - 2 * 4 * content.numel(), 1_000_000 - 2 * 2 * content.numel()]
