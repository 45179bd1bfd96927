"""Colours and luminance of the content in what a stylizer paints."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from impasto.config.pictures import ColourOptions
from impasto.core.errors import OptionError
from impasto.image.colour import luminance
from impasto.image.resize import resized
from impasto.stylizers.finished import coloured, with_content_colours
from impasto.stylizers.protocol import Mix, Step, Style


@dataclass(frozen=True)
class Copyist:
    """A stylizer that paints the style itself, first at half the size."""

    def prepare(self, mix: Mix) -> Tensor:
        return mix.first.picture

    def paint(self, content: Tensor, code: Tensor, *, strength: float = 1.0) -> Iterator[Step]:
        h, w = content.shape[-2:]
        for index, size in enumerate(((h // 2, w // 2), (h, w)), start=1):
            yield Step(index, 2, size, resized(code, size), {"loss": strength}, note="noted")


def painted(content: Tensor, style: Tensor, **options: str) -> list[Step]:
    stylizer = coloured(Copyist(), ColourOptions(**options))
    return list(stylizer.paint(content, stylizer.prepare(Mix((Style(style),))), strength=0.7))


def chroma(image: Tensor) -> Tensor:
    """What is left without luma: of one colour the same, whatever its luminance (YIQ is linear)."""
    return image - luminance(image)


def test_without_an_option_nothing_changes(photo: Tensor, painting: Tensor) -> None:
    for step in painted(photo, painting):
        assert torch.equal(step.picture(), step.image)


@pytest.mark.parametrize("space", ["yiq", "lab"])
def test_luminance_of_the_output_under_the_contents_colours(space: str, photo: Tensor, painting: Tensor) -> None:
    content, output = 0.4 + 0.2 * photo, 0.4 + 0.2 * painting  # far from the gamut's border
    last = painted(content, output, keep_colours=space)[-1].picture()
    wanted = resized(output, (72, 80))
    if space == "yiq":
        torch.testing.assert_close(chroma(last), chroma(content), atol=1e-5, rtol=0)
        torch.testing.assert_close(luminance(last), luminance(wanted), atol=1e-5, rtol=0)
    near = (chroma(last) - chroma(content)).abs().mean()
    assert float(near) < 0.1 * float((chroma(wanted) - chroma(content)).abs().mean())


@pytest.mark.parametrize("space", ["yiq", "lab"])
def test_luminance_of_the_content_under_the_outputs_colours(space: str, photo: Tensor, painting: Tensor) -> None:
    last = painted(photo, painting, keep_luminance=space)[-1].picture()
    away = (luminance(last) - luminance(photo)).abs()
    assert float(away.max() if space == "yiq" else away.mean()) < (1e-5 if space == "yiq" else 0.05)
    assert not torch.allclose(last, photo, atol=0.05)


@pytest.mark.parametrize("match", ["histogram", "covariance"])
def test_the_palette_of_the_content(match: str, photo: Tensor, painting: Tensor) -> None:
    last = painted(photo, painting, match_output=match)[-1].picture()
    torch.testing.assert_close(last.mean((2, 3)), photo.mean((2, 3)), atol=0.03, rtol=0)
    assert float((painting.mean((2, 3)) - photo.mean((2, 3))).abs().max()) > 0.05


def test_matching_comes_before_keeping(photo: Tensor, painting: Tensor) -> None:
    options = ColourOptions(match_output="histogram", keep_luminance="yiq")
    image = resized(painting, (72, 80))
    matched = with_content_colours(image, photo, options=ColourOptions(match_output="histogram"))
    assert torch.equal(
        with_content_colours(image, photo, options=options),
        with_content_colours(matched, photo, options=ColourOptions(keep_luminance="yiq")),
    )


def test_a_picture_of_its_own_colours_stays(photo: Tensor) -> None:
    for name in ("keep_colours", "keep_luminance"):
        torch.testing.assert_close(
            with_content_colours(photo, photo, options=ColourOptions(**{name: "yiq"})), photo, atol=1e-6, rtol=0
        )
    matched = with_content_colours(photo, photo, options=ColourOptions(match_output="histogram"))
    torch.testing.assert_close(matched, photo, atol=1e-6, rtol=0)


def test_every_step_keeps_what_it_says_and_its_size(photo: Tensor, painting: Tensor) -> None:
    steps = painted(photo, painting, keep_colours="yiq")
    assert [step.picture().shape[-2:] for step in steps] == [(36, 40), (72, 80)]
    assert [(step.index, step.losses, step.note) for step in steps] == [
        (1, {"loss": 0.7}, "noted"),
        (2, {"loss": 0.7}, "noted"),
    ]
    for step in steps:
        assert torch.equal(step.image, resized(painting, step.size_hw))  # the canvas itself is left alone


def test_coloured_twice_is_done_in_turn(photo: Tensor, painting: Tensor) -> None:
    inner = coloured(Copyist(), ColourOptions(match_output="covariance"))
    outer = coloured(inner, ColourOptions(keep_luminance="yiq"))
    *_, last = outer.paint(photo, outer.prepare(Mix((Style(painting),))))
    once = with_content_colours(last.image, photo, options=ColourOptions(match_output="covariance"))
    assert torch.equal(last.picture(), with_content_colours(once, photo, options=ColourOptions(keep_luminance="yiq")))


def test_keeping_both_is_refused() -> None:
    with pytest.raises(OptionError, match="Use one of them"):
        coloured(Copyist(), ColourOptions(keep_colours="yiq", keep_luminance="yiq"))
