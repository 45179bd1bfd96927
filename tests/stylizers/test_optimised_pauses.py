"""Painting by optimisation, stopped and resumed."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
import torch
from optimisation import every_optimizer, painted, stylizer
from torch import Tensor

from impasto.core.errors import StateError
from impasto.encoders.table import Encoder
from impasto.stylizers.optimised import Optimised, Paused
from impasto.stylizers.protocol import Mix, Style


def through_a_file(paused: Paused) -> Paused:
    buffer = io.BytesIO()
    torch.save(paused.to_dict(), buffer)
    buffer.seek(0)
    return Paused(**torch.load(buffer, weights_only=True))


@every_optimizer
@pytest.mark.parametrize("init", ["content", "noise", "recoloured"])
@pytest.mark.parametrize("stop", [1, 3, 4, 5])
def test_stopped_and_resumed_is_the_same_bit_for_bit(
    stop: int, init: str, optimizer: str, encoder: Encoder, photo: Tensor, painting: Tensor
) -> None:
    work = stylizer(encoder, init=init, optimizer=optimizer)
    mix = work.prepare(Mix((Style(painting),)))
    whole, paused = [], None
    for step in work.paint(photo, mix):
        whole.append(step)
        if step.index == stop:
            assert step.pause is not None
            paused = through_a_file(step.pause())
    rest = list(replace(work, resume=paused).paint(photo, mix))
    if stop == 5:  # nothing is left to do but to show the picture
        assert [(s.index, s.total, s.losses) for s in rest] == [(5, 5, {})]
        assert torch.equal(rest[0].image, whole[-1].image)
        return
    assert [s.index for s in rest] == list(range(stop + 1, 6))
    for step, again in zip(whole[stop:], rest, strict=True):
        assert torch.equal(step.image, again.image)
        assert step.losses == again.losses
        assert (step.size_hw, step.total) == (again.size_hw, again.total)


def paused_at(work: Optimised, content: Tensor, style: Tensor, stop: int) -> Paused:
    for step in work.paint(content, work.prepare(Mix((Style(style),)))):
        if step.index == stop:
            assert step.pause is not None
            return step.pause()
    raise AssertionError("not reached")


def test_a_state_of_another_optimizer(encoder: Encoder, photo: Tensor, painting: Tensor) -> None:
    paused = paused_at(stylizer(encoder), photo, painting, 2)
    with pytest.raises(StateError, match="another optimiser"):
        painted(replace(stylizer(encoder, optimizer="adam"), resume=paused), photo, painting)


def test_a_state_of_another_size(encoder: Encoder, photo: Tensor, painting: Tensor) -> None:
    paused = paused_at(stylizer(encoder), photo, painting, 2)
    with pytest.raises(StateError, match="a canvas of 40×36 px; the canvas is 33×36 px here"):
        painted(replace(stylizer(encoder), resume=paused), photo[..., :66], painting)


def test_a_state_of_more_scales(encoder: Encoder, photo: Tensor, painting: Tensor) -> None:
    paused = paused_at(stylizer(encoder), photo, painting, 4)
    with pytest.raises(StateError, match="scale 2; there are 1"):
        painted(replace(stylizer(encoder, scales=1), resume=paused), photo, painting)
