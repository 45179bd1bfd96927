"""A part of the content left as it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from impasto.image.resize import resized
from impasto.stylizers.finished import covered, masked
from impasto.stylizers.protocol import Mix, Step, Style


@dataclass(frozen=True)
class Blackener:
    """A stylizer that paints all black, first at half the size."""

    def prepare(self, mix: Mix) -> str:
        return mix.first.name

    def paint(self, content: Tensor, code: str, *, strength: float = 1.0) -> Iterator[Step]:
        h, w = content.shape[-2:]
        for index, size in enumerate(((h // 2, w // 2), (h, w)), start=1):
            yield Step(index, 2, size, torch.zeros(1, 3, *size), {"loss": strength}, note=code)


def painted(content: Tensor, cover: Tensor) -> list[Step]:
    stylizer = masked(Blackener(), cover)
    return list(stylizer.paint(content, stylizer.prepare(Mix((Style(content, name="it"),))), strength=0.7))


@pytest.fixture
def left_half() -> Tensor:
    cover = torch.zeros(1, 1, 72, 80)
    cover[..., :40] = 1
    return cover


def test_the_content_outside_the_cover(photo: Tensor, left_half: Tensor) -> None:
    last = painted(photo, left_half)[-1].picture()
    assert bool((last[..., :40] == 0).all())
    assert torch.equal(last[..., 40:], photo[..., 40:])


def test_a_soft_cover_mixes(photo: Tensor) -> None:
    last = painted(photo, torch.full((1, 1, 72, 80), 0.25))[-1].picture()
    torch.testing.assert_close(last, 0.75 * photo)


@pytest.mark.parametrize(("value", "kept"), [(0.0, 1.0), (1.0, 0.0)])
def test_all_or_nothing_is_covered(value: float, kept: float, photo: Tensor) -> None:
    last = painted(photo, torch.full((1, 1, 72, 80), value))[-1].picture()
    assert torch.equal(last, kept * photo)


def test_a_picture_over_itself_is_itself(photo: Tensor) -> None:
    assert torch.equal(covered(photo, photo, cover=torch.rand(1, 1, 72, 80)), photo)


def test_every_step_has_its_own_size(photo: Tensor, left_half: Tensor) -> None:
    steps = painted(photo, left_half)
    half = steps[0].picture()
    assert half.shape == (1, 3, 36, 40)
    assert bool((half[..., :18] == 0).all())
    torch.testing.assert_close(half[..., 22:], resized(photo, (36, 40))[..., 22:], atol=1e-6, rtol=0)
    assert all(bool((step.image == 0).all()) for step in steps)  # the canvas itself is left alone
    assert [(step.index, step.losses, step.note) for step in steps] == [
        (1, {"loss": 0.7}, "it"),
        (2, {"loss": 0.7}, "it"),
    ]
