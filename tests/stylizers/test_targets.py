"""What a scale's objective asks for: weights, balance, mixes, masks and the size of styles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from impasto.config.optimise import LossOptions
from impasto.core.errors import ImageError, OptionError, UnknownName
from impasto.encoders.table import Encoder
from impasto.losses.distances import gatys_content
from impasto.losses.table import STYLE_LOSSES
from impasto.objective.perceptual import Terms
from impasto.stylizers.protocol import Mix, Style
from impasto.stylizers.targets import FLOOR, at_scale, check_losses, layer_weights, objective_for, style_loss

every_style_loss = pytest.mark.parametrize("name", STYLE_LOSSES)


def mix(*pictures: Tensor) -> Mix:
    return Mix(tuple(Style(picture) for picture in pictures))


def terms_of(
    image: Tensor,
    content: Tensor,
    styles: Mix,
    encoder: Encoder,
    losses: LossOptions | None = None,
    strength: float = 1.0,
) -> Terms:
    objective = objective_for(content, styles, encoder=encoder, losses=losses or LossOptions(), strength=strength)
    with torch.no_grad():
        return objective(image)


# Layers


def test_one_layer_weight_serves_all(encoder: Encoder) -> None:
    two = ("relu3_1", "relu4_1")
    assert layer_weights(LossOptions(style_layers=two, style_layer_weights=(2.0,)), encoder) == (0.5, 0.5)
    assert layer_weights(LossOptions(style_layers=two, style_layer_weights=(3.0, 1.0)), encoder) == (0.75, 0.25)


def test_without_layer_weights_the_first_stages_count_less(encoder: Encoder) -> None:
    weights = layer_weights(LossOptions(), encoder)
    assert sum(weights) == pytest.approx(1)
    assert weights[0] < weights[1] < weights[2] == weights[3] == weights[4]
    assert layer_weights(LossOptions(style_layers=("relu2_2",)), encoder) == (1.0,)


def test_absolute_layer_weights_are_taken_as_they_are(encoder: Encoder) -> None:
    losses = LossOptions(style_layers=("relu1_1", "relu2_1"), style_layer_weights=(3.0,), balance="absolute")
    assert layer_weights(losses, encoder) == (3.0, 3.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"style_layer_weights": (1.0, 2.0)}, "`style_layer_weights` has 2 numbers; 5 style layers need 5, or one"),
        ({"style_layer_weights": (0.0,)}, "add up to 0"),
        ({"content_weight": 0, "style_weight": 0}, "no loss to minimise"),
        ({"content_layers": (), "style_layers": ()}, "no loss to minimise"),
        ({"content_layers": (), "style_weight": 0}, "no loss to minimise"),
    ],
)
def test_options_that_contradict_each_other(options: dict[str, object], message: str, encoder: Encoder) -> None:
    with pytest.raises(OptionError, match=message):
        check_losses(LossOptions(**options), encoder)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"style_layers": ("relu1_1", "relu9_1")}, "layer 'relu9_1'"),
        ({"content_layers": ("relu3_9",)}, "layer 'relu3_9'"),
        ({"style_loss": "gramm"}, "style loss 'gramm'. Did you mean 'gram'"),
    ],
)
def test_options_that_name_what_there_is_not(options: dict[str, object], message: str, encoder: Encoder) -> None:
    with pytest.raises(UnknownName, match=message):
        check_losses(LossOptions(**options), encoder)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options", [{}, {"style_layers": ()}, {"content_layers": ()}, {"style_weight": 0}, {"content_weight": 0}]
)
def test_options_that_are_enough(options: dict[str, object], encoder: Encoder, photo: Tensor, painting: Tensor) -> None:
    losses = LossOptions(**options)  # type: ignore[arg-type]
    check_losses(losses, encoder)
    assert float(terms_of(photo.flip(-1), photo, mix(painting), encoder, losses).total) > 0


def test_gatys_is_a_style_loss_too() -> None:
    assert style_loss("gatys").name == "gatys"


# Balance


@every_style_loss
@pytest.mark.parametrize("strength", [1.0, 2.0])
def test_relative_style_starts_at_its_weight(
    name: str, strength: float, encoder: Encoder, photo: Tensor, painting: Tensor
) -> None:
    losses = LossOptions(style_loss=name, style_weight=7.0)
    parts = terms_of(photo, photo, mix(painting), encoder, losses, strength).parts
    loss, feats = STYLE_LOSSES[name], [encoder(image, losses.style_layers) for image in (photo, painting)]
    starts = [float(loss(feats[0][layer], loss.target(feats[1][layer]))) for layer in losses.style_layers]
    shares = [min(1, start / FLOOR) for start in starts]
    weights = layer_weights(losses, encoder)
    expected = 7 * strength**2 * sum(w * share for w, share in zip(weights, shares, strict=True))
    assert name == "remd" or set(shares) == {1}  # all columns of this encoder are near to each other
    assert float(parts["style"]) == pytest.approx(expected, rel=1e-4)
    assert float(parts["content"]) == pytest.approx(0, abs=1e-6)
    assert float(parts["range"]) == 0


def test_relative_style_starts_at_its_weight_at_every_size(encoder: Encoder, photo: Tensor, painting: Tensor) -> None:
    for content in (photo, photo[..., :36, :40]):
        parts = terms_of(content, content, mix(painting), encoder).parts
        assert float(parts["style"]) == pytest.approx(10, rel=1e-4)


def test_a_content_that_has_the_style_already_is_not_magnified(encoder: Encoder, photo: Tensor) -> None:
    parts = terms_of(photo, photo, mix(photo), encoder).parts
    assert float(parts["style"]) == pytest.approx(0, abs=1e-3)


def test_absolute_gatys_is_the_papers(encoder: Encoder, photo: Tensor, painting: Tensor) -> None:
    losses = LossOptions(
        style_loss="gatys",
        balance="absolute",
        content_layers=("relu3_2",),
        style_layers=("relu1_1", "relu2_1"),
        content_weight=1.0,
        style_weight=100.0,
        tv_weight=0,
    )
    canvas = photo.flip(-1)
    found = terms_of(canvas, photo, mix(painting), encoder, losses).parts
    layers = ["relu1_1", "relu2_1", "relu3_2"]
    style_picture = at_scale(Style(painting), (72, 80))
    here, content, style = (encoder(x, layers) for x in (canvas, photo, style_picture))
    gram = {}
    for name, feats in (("here", here), ("style", style)):
        for layer in layers[:2]:
            flat = feats[layer].flatten(2)[0]
            gram[name, layer] = flat @ flat.T / flat.shape[1]
    wanted = sum(
        100 * (gram["here", layer] - gram["style", layer]).square().sum() / (4 * encoder.width(layer) ** 2)
        for layer in layers[:2]
    )
    assert found.keys() == {"content", "style"}
    torch.testing.assert_close(found["style"], wanted)
    torch.testing.assert_close(found["content"], gatys_content(here["relu3_2"], content["relu3_2"]))


@pytest.mark.parametrize("loss", ["l2", "l1", "huber"])
@pytest.mark.parametrize("balance", ["relative", "absolute"])
def test_summed_content_is_heavier(loss: str, balance: str, encoder: Encoder, photo: Tensor, painting: Tensor) -> None:
    values = [
        terms_of(
            photo.flip(-1),
            photo,
            mix(painting),
            encoder,
            LossOptions(content_loss=loss, content_reduction=reduction, balance=balance),
        ).parts["content"]
        for reduction in ("mean", "sum")
    ]
    assert 0 < float(values[0]) <= float(values[1])


# Mixes


def flipped(picture: Tensor) -> Tensor:
    return picture.flip(1).roll(7, -1)


@pytest.mark.parametrize("balance", ["relative", "absolute"])
def test_a_style_of_weight_zero_is_as_if_left_out(
    balance: str, encoder: Encoder, photo: Tensor, painting: Tensor
) -> None:
    losses, canvas = LossOptions(balance=balance), photo.flip(-1)
    alone = terms_of(canvas, photo, mix(painting), encoder, losses)
    beside = Mix((Style(flipped(painting), 0.0), Style(painting, 2.0)))
    assert torch.equal(terms_of(canvas, photo, beside, encoder, losses).total, alone.total)


def test_a_style_of_weight_zero_is_not_even_looked_at(encoder: Encoder, photo: Tensor, painting: Tensor) -> None:
    broken = Mix((Style(torch.full_like(painting, torch.nan), 0.0), Style(painting)))
    assert bool(torch.isfinite(terms_of(photo.flip(-1), photo, broken, encoder).total))


@every_style_loss
def test_one_style_twice_is_the_style_once(name: str, encoder: Encoder, photo: Tensor, painting: Tensor) -> None:
    losses, canvas = LossOptions(style_loss=name), photo.flip(-1)
    once = terms_of(canvas, photo, mix(painting), encoder, losses).total
    twice = terms_of(canvas, photo, mix(painting, painting), encoder, losses).total
    torch.testing.assert_close(once, twice, rtol=1e-4, atol=1e-5)


def test_weights_are_relative(encoder: Encoder, photo: Tensor, painting: Tensor) -> None:
    one, other = (Mix((Style(painting, 1.0 * k), Style(flipped(painting), 3.0 * k))) for k in (1, 10))
    values = [terms_of(photo.flip(-1), photo, m, encoder).total for m in (one, other)]
    torch.testing.assert_close(*values)


def test_the_heavier_style_weighs_more(encoder: Encoder, photo: Tensor, painting: Tensor) -> None:
    near = LossOptions(style_layers=("relu1_1", "relu2_1"), content_weight=0, tv_weight=0)
    values = [
        float(
            terms_of(painting, photo[..., :64, :76], Mix((Style(painting, w), Style(photo, 1.0))), encoder, near).total
        )
        for w in (1.0, 9.0)
    ]
    assert values[1] < values[0]


# Masks


def halves(h: int, w: int) -> tuple[Tensor, Tensor]:
    left = torch.zeros(1, 1, h, w)
    left[..., : w // 2] = 1
    return left, 1 - left


def test_masked_styles_look_at_their_regions(encoder: Encoder, photo: Tensor, painting: Tensor) -> None:
    left, right = halves(72, 80)
    both = Mix((Style(painting, mask=left), Style(flipped(painting), mask=right)))
    losses = LossOptions(style_layers=("relu1_1",), content_weight=0, tv_weight=0)
    image = photo.clone().requires_grad_(True)
    style = objective_for(photo, both, encoder=encoder, losses=losses).features
    assert len(style) == 2
    style[0](encoder(image, ["relu1_1"])).backward()
    assert image.grad is not None
    assert bool(image.grad[..., :40].any())
    assert not bool(image.grad[..., 44:].any())


@every_style_loss
def test_one_mask_of_ones_is_no_mask(name: str, encoder: Encoder, photo: Tensor, painting: Tensor) -> None:
    canvas, losses = photo.flip(-1), LossOptions(style_loss=name)
    plain = terms_of(canvas, photo, mix(painting), encoder, losses).total
    masked = Mix((Style(painting, mask=torch.ones(1, 1, 10, 10)),))
    torch.testing.assert_close(terms_of(canvas, photo, masked, encoder, losses).total, plain, rtol=1e-3, atol=1e-3)


def test_a_tiny_region_survives_the_deepest_layer(encoder: Encoder, photo: Tensor, painting: Tensor) -> None:
    dot = torch.zeros(1, 1, 72, 80)
    dot[..., 30, 30] = 1
    both = Mix((Style(painting, mask=dot), Style(photo, mask=1 - dot)))
    assert bool(torch.isfinite(terms_of(photo.flip(-1), photo, both, encoder).total))


def test_a_black_mask(encoder: Encoder, photo: Tensor, painting: Tensor) -> None:
    black = Mix((Style(painting, mask=torch.zeros(1, 1, 72, 80)),))
    with pytest.raises(ImageError, match="mask 1 is black everywhere"):
        terms_of(photo, photo, black, encoder)


# Size of styles


def test_the_long_side_follows_the_canvas() -> None:
    picture = torch.rand(1, 3, 60, 120)
    assert at_scale(Style(picture), (30, 60)).shape[-2:] == (30, 60)
    assert at_scale(Style(picture, scale=0.5), (30, 60)).shape[-2:] == (15, 30)
    assert at_scale(Style(picture, scale=2.0), (30, 60)).shape[-2:] == (60, 120)
    assert at_scale(Style(picture, scale=2.0), (300, 600)).shape[-2:] == (60, 120)  # never enlarged


def test_the_short_side_is_not_brought_below_what_the_encoder_needs() -> None:
    wide = Style(torch.rand(1, 3, 40, 400))
    assert at_scale(wide, (80, 80)).shape[-2:] == (8, 80)
    assert at_scale(wide, (80, 80), smallest_px=32).shape[-2:] == (32, 320)
    assert at_scale(wide, (80, 80), smallest_px=64).shape[-2:] == (40, 400)


def test_a_wide_style_on_a_small_canvas(encoder: Encoder, photo: Tensor) -> None:
    wide = mix(torch.rand(1, 3, 34, 300))
    assert bool(torch.isfinite(terms_of(photo, photo, wide, encoder).total))


def test_a_larger_scale_is_another_target(
    encoder: Encoder, photo: Tensor, draw_painting: Callable[..., Tensor]
) -> None:
    style = Style(draw_painting(160, 160))
    values = [
        terms_of(photo, photo, Mix((replace(style, scale=s),)), encoder, LossOptions(balance="absolute")).total
        for s in (1.0, 2.0)
    ]
    assert not torch.equal(*values)


# Pixels


def test_smoothness_follows_the_strength(encoder: Encoder, photo: Tensor, painting: Tensor) -> None:
    losses = LossOptions(tv_weight=0.5)
    parts = [terms_of(photo, photo, mix(painting), encoder, losses, strength=s).parts for s in (0.5, 1.0, 3.0)]
    tv = [float(p["tv"]) for p in parts]
    assert tv[0] == pytest.approx(tv[1] / 2)
    assert tv[2] == tv[1]


def test_pixel_parts_are_there_when_they_weigh(encoder: Encoder, photo: Tensor, painting: Tensor) -> None:
    bare = LossOptions(tv_weight=0, balance="absolute")
    assert terms_of(photo, photo, mix(painting), encoder, bare).parts.keys() == {"content", "style"}
    full = LossOptions(tv_weight=1, laplacian_weight=1)
    found = terms_of(photo + 0.5, photo, mix(painting), encoder, full).parts
    assert found.keys() == {"content", "style", "tv", "laplacian", "range"}
    assert float(found["range"]) > 0
