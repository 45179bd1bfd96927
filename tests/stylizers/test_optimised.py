"""Painting by optimisation, on pictures of a few pixels with a tiny encoder."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest
import torch
from optimisation import every_optimizer, every_style_loss, painted, result, stylizer
from torch import Tensor

from impasto.config.optimise import INITS
from impasto.core.errors import ImageTooSmall, NotFinite, OptionError, UnknownName
from impasto.encoders.table import Encoder
from impasto.stylizers.minimise import Adam
from impasto.stylizers.protocol import Mix, Step, Style

# Steps


@pytest.mark.parametrize("init", ["content", "recoloured", "noise", "statistics"])
def test_contents_of_very_large_pictures_are_half_precision(
    init: str, encoder: Encoder, photo: Tensor, painting: Tensor
) -> None:
    work = replace(stylizer(encoder, init=init), memory_bytes=1)
    halves, floats = result(work, photo.half(), painting), result(work, photo.half().float(), painting)
    assert halves.dtype == torch.float32
    torch.testing.assert_close(halves, floats, atol=0.02, rtol=0)


@every_optimizer
def test_coarse_to_fine(optimizer: str, encoder: Encoder, photo: Tensor, painting: Tensor) -> None:
    steps = painted(stylizer(encoder, optimizer=optimizer), photo, painting)
    assert [s.size_hw for s in steps] == [(36, 40)] * 3 + [(72, 80)] * 2
    assert [s.index for s in steps] == [1, 2, 3, 4, 5]
    assert {s.total for s in steps} == {5}
    for step in steps:
        assert step.image.shape == (1, 3, *step.size_hw)
        assert 0 <= float(step.image.min()) <= float(step.image.max()) <= 1
        assert {"content", "style", "tv", "range"} == set(step.losses)
        assert all(math.isfinite(loss) for loss in step.losses.values())
        assert not step.image.requires_grad


@pytest.mark.parametrize(
    ("given", "scales", "counts"),
    [
        ((4,), 0, [4, 4]),
        ((3, 2), 0, [3, 2]),
        ((3, 2, 1), 0, [3, 2]),
        ((3, 2, 1), 1, [3]),
        ((2, 1), 12, [2, 1]),
    ],
)
def test_steps_of_each_scale(
    given: tuple[int, ...], scales: int, counts: list[int], encoder: Encoder, photo: Tensor, painting: Tensor
) -> None:
    steps = painted(stylizer(encoder, steps=given, scales=scales, optimizer="adam"), photo, painting)
    sizes = [s.size_hw for s in steps]
    assert [sizes.count(size) for size in dict.fromkeys(sizes)] == counts
    assert sizes[-1] == (72, 80)
    assert steps[-1].index == steps[-1].total == sum(counts)


def test_the_last_number_of_steps_serves_all_finer_scales(encoder: Encoder) -> None:
    work = stylizer(encoder, steps=(9, 5))
    assert [work.steps_at(scale) for scale in range(4)] == [9, 5, 5, 5]


def test_scales_that_the_encoder_cannot_see_are_left_out(encoder: Encoder) -> None:
    work = stylizer(encoder)
    assert work.sizes((70, 300)) == [(35, 150), (70, 300)]
    assert work.sizes((300, 300)) == [(38, 38), (75, 75), (150, 150), (300, 300)]
    assert stylizer(encoder, scales=1).sizes((300, 300)) == [(300, 300)]
    assert stylizer(encoder, scale_factor=4.0).sizes((300, 300)) == [(75, 75), (300, 300)]


def test_the_content_is_left_alone(encoder: Encoder, photo: Tensor, painting: Tensor) -> None:
    before, style_before = photo.clone(), painting.clone()
    painted(stylizer(encoder), photo, painting)
    assert torch.equal(photo, before)
    assert torch.equal(painting, style_before)


@every_optimizer
@every_style_loss
def test_every_style_loss_paints_with_a_falling_loss(
    style_loss: str, optimizer: str, encoder: Encoder, photo: Tensor, painting: Tensor
) -> None:
    balance = "absolute" if style_loss == "gatys" else "relative"
    losses = {"style_loss": style_loss, "balance": balance, "tv_weight": 0, "content_weight": 2.5}
    steps = painted(stylizer(encoder, losses, scales=1, steps=(6,), optimizer=optimizer), photo, painting)
    first, last = (sum(s.losses.values()) for s in (steps[0], steps[-1]))
    assert last < first
    assert [s.note for s in steps] == [""] * 6
    assert not torch.equal(steps[-1].image, photo)


@every_optimizer
def test_the_output_comes_near_the_style(optimizer: str, encoder: Encoder, photo: Tensor, painting: Tensor) -> None:
    work = stylizer(encoder, {"content_weight": 0.1}, scales=1, steps=(25,), optimizer=optimizer)
    steps = painted(work, photo, painting)
    assert steps[0].losses["style"] == pytest.approx(10, rel=1e-3)
    assert steps[-1].losses["style"] < 5


def test_content_alone_is_rebuilt_from_grey(encoder: Encoder, photo: Tensor, painting: Tensor) -> None:
    losses = {"style_weight": 0, "content_layers": ("relu1_1", "relu1_2"), "tv_weight": 0}
    work = stylizer(encoder, losses, scales=1, steps=(40,), init="grey")
    found = result(work, photo, painting)
    assert float((found - photo).square().mean()) < 0.3 * float((photo - 0.5).square().mean())


def test_bfloat16_paints_nearly_the_same(make_encoder: Callable[..., Encoder], photo: Tensor, painting: Tensor) -> None:
    exact, rough = (
        painted(stylizer(make_encoder(precision=p), scales=1, steps=(8,)), photo, painting)
        for p in ("float32", "bfloat16")
    )
    assert sum(rough[-1].losses.values()) < 0.8 * sum(rough[0].losses.values())
    assert sum(rough[-1].losses.values()) == pytest.approx(sum(exact[-1].losses.values()), rel=0.25)


def test_a_picture_in_another_memory_format(encoder: Encoder, photo: Tensor, painting: Tensor) -> None:
    last = photo.contiguous(memory_format=torch.channels_last)
    assert torch.equal(result(stylizer(encoder), last, painting), result(stylizer(encoder), photo, painting))


def test_adam_carries_its_moments_to_every_finer_scale(
    monkeypatch: pytest.MonkeyPatch, encoder: Encoder, photo: Tensor, painting: Tensor
) -> None:
    carried = []
    inner = Adam.carry
    monkeypatch.setattr(Adam, "carry", lambda self, coarse: carried.append(coarse.canvas.shape) or inner(self, coarse))
    painted(stylizer(encoder, optimizer="adam"), photo, painting)
    assert carried == [(1, 3, 36, 40)]


# Strength


def test_strength_zero_gives_the_content_back(encoder: Encoder, photo: Tensor, painting: Tensor) -> None:
    steps = painted(stylizer(encoder), photo, painting, strength=0)
    assert len(steps) == 1
    assert (steps[0].index, steps[0].total, steps[0].size_hw) == (1, 1, (72, 80))
    assert torch.equal(steps[0].image, photo)


def test_more_strength_goes_farther(encoder: Encoder, photo: Tensor, painting: Tensor) -> None:
    work = stylizer(encoder, scales=1, steps=(12,))
    moved = [float((result(work, photo, painting, strength=s) - photo).square().mean()) for s in (0.1, 0.5, 2.0)]
    assert moved == sorted(moved)
    assert moved[0] < 0.5 * moved[2]


@pytest.mark.parametrize("strength", [-1.0, math.nan, math.inf])
def test_a_strength_that_is_none(strength: float, encoder: Encoder, photo: Tensor, painting: Tensor) -> None:
    with pytest.raises(OptionError, match=r"strength is .*; it must be 0 or more"):
        painted(stylizer(encoder), photo, painting, strength=strength)


# Seeds and inits


@every_optimizer
@pytest.mark.parametrize("init", INITS)
def test_every_init_paints_and_the_same_twice(
    init: str, optimizer: str, encoder: Encoder, photo: Tensor, painting: Tensor
) -> None:
    work = stylizer(encoder, init=init, optimizer=optimizer, seed=3, picture=photo.flip(-1))
    one, other = (result(work, photo, painting) for _ in range(2))
    assert one.shape == photo.shape
    assert bool(torch.isfinite(one).all())
    assert torch.equal(one, other)


@dataclass(frozen=True)
class Recording:
    """A one-pass stylizer that paints `picture`, and keeps what it was called with."""

    picture: Tensor
    calls: list[tuple[Tensor, float]]

    def prepare(self, mix: Mix) -> str:
        return mix.first.name

    def paint(self, content: Tensor, code: str, *, strength: float = 1.0) -> Iterator[Step]:
        self.calls.append((content, strength))
        yield Step(1, 1, (content.shape[-2], content.shape[-1]), self.picture)


def test_painting_starts_from_one_pass_of_a_network(encoder: Encoder, photo: Tensor, painting: Tensor) -> None:
    network = Recording(photo.flip(-1), [])
    work = replace(stylizer(encoder, init="one-pass"), one_pass=network)
    by_picture = stylizer(encoder, init="picture", picture=photo.flip(-1))
    found = result(work, photo, painting, strength=0.5)
    assert torch.equal(found, result(by_picture, photo, painting, strength=0.5))
    assert [strength for _, strength in network.calls] == [0.5]


def test_without_a_network_it_starts_from_the_recoloured_content(
    encoder: Encoder, photo: Tensor, painting: Tensor
) -> None:
    one, other = (result(stylizer(encoder, init=init), photo, painting) for init in ("one-pass", "recoloured"))
    assert torch.equal(one, other)
    assert not torch.equal(one, result(stylizer(encoder, init="content"), photo, painting))


@pytest.mark.parametrize("init", ["noise", "statistics"])
def test_another_seed_is_another_picture(init: str, encoder: Encoder, photo: Tensor, painting: Tensor) -> None:
    one, other = (result(stylizer(encoder, init=init, seed=seed), photo, painting) for seed in (1, 2))
    assert not torch.equal(one, other)


def test_the_global_seed_does_not_matter(encoder: Encoder, photo: Tensor, painting: Tensor) -> None:
    torch.manual_seed(1)
    one = result(stylizer(encoder, init="noise"), photo, painting)
    torch.manual_seed(2)
    assert torch.equal(one, result(stylizer(encoder, init="noise"), photo, painting))


# Mixes and masks


def test_a_style_of_weight_zero_is_as_if_left_out(encoder: Encoder, photo: Tensor, painting: Tensor) -> None:
    for init in ("content", "style", "statistics"):
        work = stylizer(encoder, init=init)
        alone = result(work, photo, painting)
        assert torch.equal(result(work, photo, Style(painting.flip(1), 0.0), Style(painting, 5.0)), alone)


def test_one_style_twice_is_the_style_once(encoder: Encoder, photo: Tensor, painting: Tensor) -> None:
    work = stylizer(encoder)
    once, twice = result(work, photo, painting), result(work, photo, painting, painting)
    torch.testing.assert_close(once, twice, rtol=0, atol=2e-3)


def test_a_mix_lies_between_its_styles(encoder: Encoder, photo: Tensor, painting: Tensor) -> None:
    work = stylizer(encoder, scales=1, steps=(10,))
    other = painting.flip(1)
    mixes = [(1.0, 0.0), (0.5, 0.5), (0.0, 1.0)]
    found = [result(work, photo, Style(painting, a), Style(other, b)) for a, b in mixes]

    def apart(i: int, j: int) -> float:
        return float((found[i] - found[j]).square().mean())

    assert apart(0, 1) < apart(0, 2)
    assert apart(1, 2) < apart(0, 2)


def test_a_region_has_its_own_style(encoder: Encoder, photo: Tensor, painting: Tensor) -> None:
    """Another style on the right changes the right far more than the left."""
    left = torch.zeros(1, 1, 72, 80)
    left[..., :40] = 1
    losses = {"style_layers": ("relu1_1", "relu2_1"), "content_layers": ("relu2_1",)}
    work = stylizer(encoder, losses, scales=1, steps=(10,), optimizer="adam")  # which moves each pixel by itself
    one, other = (
        result(work, photo, Style(painting, mask=left), Style(right, mask=1 - left))
        for right in (painting, painting.flip(1))
    )
    changed = (one - other).square().mean((0, 1, 2))
    assert float(changed[:30].mean()) < 0.01 * float(changed[50:].mean())


# Difficult pictures


@every_optimizer
@every_style_loss
def test_flat_pictures_stay_finite(style_loss: str, optimizer: str, encoder: Encoder) -> None:
    grey, flat = torch.full((1, 3, 40, 40), 0.5), torch.full((1, 3, 40, 40), 0.2)
    balance = "absolute" if style_loss == "gatys" else "relative"
    work = stylizer(encoder, {"style_loss": style_loss, "balance": balance}, optimizer=optimizer, steps=(3,))
    for content, style in ((grey, flat), (grey, grey), (torch.zeros_like(grey), torch.ones_like(grey))):
        for step in painted(work, content, style):
            assert bool(torch.isfinite(step.image).all())
            assert step.note == "" or "stalled" in step.note


def test_a_white_picture_and_black_style(encoder: Encoder, photo: Tensor) -> None:
    for step in painted(stylizer(encoder), torch.ones_like(photo), torch.zeros_like(photo)):
        assert bool(torch.isfinite(step.image).all())


def test_a_wide_style(encoder: Encoder, photo: Tensor) -> None:
    steps = painted(stylizer(encoder), photo, torch.rand(1, 3, 34, 300))
    assert steps[-1].size_hw == (72, 80)


@pytest.mark.parametrize("size", [(1, 1), (31, 400), (400, 31)])
def test_a_content_that_is_too_small(size: tuple[int, int], encoder: Encoder, painting: Tensor) -> None:
    h, w = size
    with pytest.raises(ImageTooSmall, match=f"content is {w}×{h} px; relu5_1 needs 32 px a side. Use a larger `size`"):
        painted(stylizer(encoder), torch.rand(1, 3, h, w), painting)


def test_the_smallest_content(encoder: Encoder, painting: Tensor) -> None:
    assert painted(stylizer(encoder), torch.rand(1, 3, 32, 32), painting)[-1].size_hw == (32, 32)


def test_a_picture_with_nan_is_given_up(encoder: Encoder, photo: Tensor, painting: Tensor) -> None:
    photo[..., 10, 10] = math.nan
    with pytest.raises(NotFinite):
        painted(stylizer(encoder, scales=1, steps=(20,)), photo, painting)


# What prepare refuses


def test_prepare_gives_the_mix(encoder: Encoder, painting: Tensor) -> None:
    mix = Mix((Style(painting),))
    assert stylizer(encoder).prepare(mix) is mix


@pytest.mark.parametrize(
    ("losses", "error", "message"),
    [
        ({"style_layers": ("relu1_1", "relu6_1")}, UnknownName, "layer 'relu6_1'. Did you mean 'relu"),
        ({"content_layers": ("conv9",)}, UnknownName, "layer 'conv9'"),
        ({"style_loss": "grams"}, UnknownName, "style loss 'grams'. Did you mean 'gram'"),
        ({"style_layer_weights": (1.0, 1.0)}, OptionError, "2 numbers; 5 style layers need 5"),
    ],
)
def test_prepare_refuses_wrong_options(
    losses: dict[str, object], error: type[Exception], message: str, encoder: Encoder, painting: Tensor
) -> None:
    with pytest.raises(error, match=message):
        stylizer(encoder, losses).prepare(Mix((Style(painting),)))


def test_prepare_refuses_a_tiny_style(encoder: Encoder, painting: Tensor) -> None:
    tiny = Style(torch.rand(1, 3, 20, 300), name="strip.png")
    with pytest.raises(ImageTooSmall, match=r"the style strip.png is 300×20 px; 32 px a side are needed"):
        stylizer(encoder).prepare(Mix((Style(painting), tiny)))
