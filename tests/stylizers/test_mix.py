"""What a mix of styles may be, and what a canvas starts as."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from impasto.core.errors import OptionError
from impasto.image.resize import resized
from impasto.stylizers.canvas import enlarged, first_canvas, in_style_colours
from impasto.stylizers.protocol import Mix, Step, Style

PIXEL = torch.full((1, 3, 1, 1), 0.5)
MASK = torch.ones(1, 1, 4, 4)


def test_weights_add_up_to_one() -> None:
    assert Mix((Style(PIXEL, 1.0), Style(PIXEL, 3.0), Style(PIXEL, 0.0))).style_weights == (0.25, 0.75, 0.0)
    assert Mix((Style(PIXEL, 7.0),)).style_weights == (1.0,)


def test_masked_styles_keep_their_own_weights() -> None:
    assert Mix((Style(PIXEL, 1.0, mask=MASK), Style(PIXEL, 3.0, mask=MASK))).style_weights == (1.0, 3.0)


@pytest.mark.parametrize(
    ("styles", "message"),
    [
        ((), "no style is given"),
        ((Style(PIXEL, 0.0), Style(PIXEL, 0.0)), "add up to 0"),
        ((Style(PIXEL, 2.0), Style(PIXEL, -3.0)), "add up to -1; their sum must be above 0"),
        ((Style(PIXEL, math.nan),), "is nan"),
        ((Style(PIXEL, math.inf),), "is inf"),
        ((Style(PIXEL, scale=0.0),), "scale of style '' is 0; it must be above 0"),
        ((Style(PIXEL, scale=math.nan),), "is nan"),
        ((Style(PIXEL, mask=MASK), Style(PIXEL)), "some styles have a mask and some have none"),
    ],
)
def test_what_is_no_mix(styles: tuple[Style, ...], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        Mix(styles)


def test_the_first_that_counts() -> None:
    second = Style(PIXEL, 1.0, name="second")
    assert Mix((Style(PIXEL, 0.0), second)).first is second


def test_a_step_finishes_in_order() -> None:
    step = Step(1, 1, (1, 1), PIXEL, finish=(lambda x: x + 1, lambda x: x * 2))
    assert float(step.picture().mean()) == 3
    assert float(step.image.mean()) == 0.5


# Inits


INITS = ("content", "style", "noise", "grey", "statistics")


def start(init: str, content: Tensor, style: Tensor, *, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return first_canvas(init, content, mix=Mix((Style(style),)), generator=generator)


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize("size", [(72, 80), (33, 40), (2, 2)])
def test_every_init_gives_a_picture_of_the_contents_size(init: str, size: tuple[int, int], painting: Tensor) -> None:
    content = torch.rand(1, 3, *size)
    canvas = start(init, content, painting)
    assert canvas.shape == content.shape
    assert canvas.dtype == torch.float32
    assert bool(torch.isfinite(canvas).all())
    assert 0 <= float(canvas.min()) <= float(canvas.max()) <= 1
    assert canvas.data_ptr() not in (content.data_ptr(), painting.data_ptr())


@pytest.mark.parametrize("init", INITS)
def test_no_init_hands_out_the_given_picture_itself(init: str, photo: Tensor) -> None:
    before = photo.clone()
    start(init, photo, photo).zero_()
    assert torch.equal(photo, before)


@pytest.mark.parametrize("init", ["noise", "statistics"])
def test_noise_follows_from_the_seed(init: str, photo: Tensor, painting: Tensor) -> None:
    one, same, other = (start(init, photo, painting, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("init", ["content", "style", "grey"])
def test_the_others_do_not(init: str, photo: Tensor, painting: Tensor) -> None:
    one, other = (start(init, photo, painting, seed=seed) for seed in (1, 2))
    assert torch.equal(one, other)


def test_inits_are_what_they_say(photo: Tensor, painting: Tensor) -> None:
    assert torch.equal(start("content", photo, painting), photo)
    assert torch.equal(start("style", photo, photo.flip(-1)), photo.flip(-1))
    assert bool((start("grey", photo, painting) == 0.5).all())
    found = start("statistics", photo, painting)
    torch.testing.assert_close(found.mean((2, 3)), painting.mean((2, 3)), atol=0.06, rtol=0)


def test_a_style_that_does_not_count_is_no_start(photo: Tensor, painting: Tensor) -> None:
    mix = Mix((Style(photo, 0.0), Style(painting, 1.0)))
    for init in ("style", "statistics"):
        found = first_canvas(init, photo, mix=mix, generator=torch.Generator().manual_seed(0))
        assert torch.equal(found, start(init, photo, painting))


def test_a_missing_picture(photo: Tensor) -> None:
    with pytest.raises(OptionError, match="`init=picture` needs `init_picture=FILE`"):
        start("picture", photo, photo)


def test_a_picture_is_needed_to_start_from_one(photo: Tensor, painting: Tensor) -> None:
    with pytest.raises(OptionError, match="`init_picture=FILE`"):
        start("picture", photo, painting)


def colours(image: Tensor) -> Tensor:
    return image.mean((2, 3))


def test_recoloured_contents_have_the_styles_colours(photo: Tensor, painting: Tensor) -> None:
    other = painting.flip(1)
    alone, mixed = (
        in_style_colours(photo, Mix(styles)) for styles in ((Style(painting),), (Style(painting), Style(other)))
    )
    torch.testing.assert_close(colours(alone), colours(painting), atol=0.06, rtol=0)
    torch.testing.assert_close(mixed, (alone + in_style_colours(photo, Mix((Style(other),)))) / 2)


def test_recolouring_follows_the_masks(photo: Tensor, painting: Tensor) -> None:
    left = torch.zeros(1, 1, *photo.shape[-2:])
    left[..., :30] = 1
    mix = Mix((Style(painting, mask=left), Style(painting.flip(1), mask=1 - left)))
    one, other = (in_style_colours(photo, Mix((Style(style),))) for style in (painting, painting.flip(1)))
    torch.testing.assert_close(in_style_colours(photo, mix), torch.where(left > 0, one, other))


def test_an_unchanged_canvas_equals_its_start_at_every_scale(photo: Tensor) -> None:
    small = resized(photo, (18, 20))
    torch.testing.assert_close(enlarged(small, (72, 80), start=photo), photo)
    assert not torch.allclose(enlarged(small, (72, 80), start=None), photo, atol=0.01)


def test_changes_are_enlarged_with_the_canvas(photo: Tensor) -> None:
    faint = 0.3 + 0.4 * photo
    brighter = enlarged(resized(faint, (18, 20)) + 0.1, (72, 80), start=faint)
    torch.testing.assert_close(brighter, faint + 0.1)
