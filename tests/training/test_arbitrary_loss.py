"""Laws of the losses that a network for any style is trained with."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from impasto.core.errors import OptionError
from impasto.encoders.table import Encoder
from impasto.losses.distances import l2, relative
from impasto.losses.table import STYLE_LOSSES
from impasto.nets.statistics import DEVIATIONS
from impasto.nets.table import VARIANTS, untrained
from impasto.objective.output import NOISE_STD, Weights, content_term_distance
from impasto.training.arbitrary import ArbitraryStyle, tempered
from impasto.training.data import Pair
from impasto.training.microbatch import part_of

ALL = Weights(content=1, style=2, identity=3, smoothness=4, noise=5, range=6)
NAMES = ("content", "style", "identity", "smoothness", "noise", "range")
CONTENT, STYLE = {"relu3_3": 0.5, "relu4_2": 0.5}, {"relu1_1": 0.3, "relu4_1": 1.0, "relu5_1": 1.0}
every_variant = pytest.mark.parametrize("variant", VARIANTS)


class Stub(nn.Module):
    """A network that gives what `paint(image)` does, and counts how often it is asked."""

    code_layers = ("relu4_1",)
    statistic, recolours = DEVIATIONS, False

    def __init__(self, paint: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.paint, self.calls = paint, 0
        self.idle = nn.Parameter(torch.zeros(()))

    def forward(self, image: Tensor, code: dict[str, Tensor], *, feats: dict[str, Tensor] | None = None) -> Tensor:
        self.calls += 1
        return self.paint(image) + self.idle


@pytest.fixture
def pair(draw_photo: Callable[[int, int], Tensor], draw_painting: Callable[[int, int], Tensor]) -> Pair:
    """Eight different crops of each, of 32 px."""
    photo, painting = draw_photo(40, 80), draw_painting(40, 80)
    cuts = [(..., slice(i, i + 32), slice(5 * i, 5 * i + 32)) for i in range(8)]
    return Pair(torch.cat([photo[cut] for cut in cuts]), torch.cat([painting[cut] for cut in cuts]))


def task(network: nn.Module, encoder: Encoder, weights: Weights = ALL, **options: Any) -> ArbitraryStyle:
    given: dict[str, Any] = {"content_layers": CONTENT, "style_layers": STYLE, "style_losses": ("mean-std", "gram")}
    return ArbitraryStyle(network=network, encoder=encoder, weights=weights, **(given | options))


def losses(
    network: nn.Module, encoder: Encoder, pair: Pair, weights: Weights = ALL, **options: Any
) -> dict[str, float]:
    torch.manual_seed(0)
    made = task(network, encoder, weights, **options)
    return {name: value.item() for name, value in made.loss(made.build(), pair).items()}


def only(name: str, weight: float = 1.0) -> Weights:
    return Weights(**(dict.fromkeys(NAMES, 0.0) | {name: weight}))


def test_what_stays_as_it_is_has_lost_nothing_of_its_content(encoder: Encoder, pair: Pair) -> None:
    same = losses(Stub(lambda image: image), encoder, pair)
    assert same["content"] == pytest.approx(0, abs=1e-10)
    assert same["identity"] == 0
    assert same["range"] == 0
    assert same["style"] > 0.05
    other = losses(Stub(lambda image: 1 - image), encoder, pair)
    assert other["content"] > 0.01
    assert other["identity"] > 0.01


def test_the_style_picture_has_the_style(encoder: Encoder, pair: Pair) -> None:
    found = losses(Stub(lambda image: pair.styles[: len(image)]), encoder, pair)
    assert found["style"] == pytest.approx(0, abs=1e-9)
    assert found["content"] > 0.01


def test_an_empty_picture_is_as_far_as_nothing(make_encoder: Callable[..., Encoder], pair: Pair) -> None:
    """Content and style are relative: features of 0 are at distance 1 in each layer and for each loss."""
    encoder = make_encoder()
    for conv in encoder.net.convs.values():  # type: ignore[union-attr]
        nn.init.zeros_(conv.bias)  # type: ignore[union-attr, arg-type]
    grey = encoder.net.matrix.flatten(1).inverse() @ -encoder.net.offset  # type: ignore[operator, union-attr]
    layers: dict[str, Any] = {"style_layers": {"relu1_1": 0.3, "relu2_1": 1.0}, "content_layers": {"relu2_1": 1.0}}
    with torch.no_grad():
        seen = [encoder(images, ["relu1_1", "relu2_1"]) for images in (pair.contents, pair.styles)]
    assert all(float(feats.flatten(1).abs().mean(1).min()) > 0.01 for part in seen for feats in part.values())
    found = losses(Stub(lambda image: 0 * image + grey[:, None, None]), encoder, pair, **layers)
    assert found["content"] == pytest.approx(1, abs=1e-4)
    assert found["style"] == pytest.approx(ALL.style * 2 * 1.3 * math.log(2), abs=1e-2)  # two losses, log(1 + 1)


@pytest.mark.parametrize("name", STYLE_LOSSES)
def test_every_style_loss_is_tempered_by_picture(name: str, encoder: Encoder, pair: Pair) -> None:
    loss = STYLE_LOSSES[name]
    found = encoder(pair.contents[:3].requires_grad_(), ["relu2_1"])["relu2_1"]
    wanted = encoder(pair.styles[:3], ["relu2_1"])["relu2_1"]
    each = torch.stack([loss(found[i : i + 1], loss.target(wanted[i : i + 1])) for i in range(3)])
    value = tempered(loss, found, wanted)
    torch.testing.assert_close(value, torch.log1p(each).mean())
    assert 0 < value.item() < each.mean().item()
    assert tempered(loss, wanted, wanted).item() == pytest.approx(0, abs=1e-5)
    (slope,) = torch.autograd.grad(value, found)
    assert bool(torch.isfinite(slope).all())
    assert bool(slope.any())


def test_smoothness_is_total_variation(encoder: Encoder, pair: Pair) -> None:
    slope = torch.linspace(0, 1, 32).expand(1, 3, 32, 32)
    assert losses(Stub(lambda image: 0 * image + 0.5), encoder, pair, only("smoothness"))["smoothness"] == 0
    found = losses(Stub(lambda image: 0 * image + slope), encoder, pair, only("smoothness"))
    assert found["smoothness"] == pytest.approx(1 / 31**2, rel=1e-4)


def test_noise_is_how_much_the_output_follows_it(encoder: Encoder, pair: Pair) -> None:
    assert losses(Stub(lambda image: 0 * image), encoder, pair, only("noise"))["noise"] == 0
    for factor in (1, 3):
        found = losses(Stub(lambda image, f=factor: f * image), encoder, pair, only("noise"))  # type: ignore[misc]
        assert found["noise"] == pytest.approx((NOISE_STD * factor) ** 2, rel=0.03)


def test_range_is_what_saving_would_clip(encoder: Encoder, pair: Pair) -> None:
    for value, beyond in ((0.0, 0), (1.0, 0), (1.5, 0.5), (-0.25, 0.25)):
        found = losses(Stub(lambda image, v=value: 0 * image + v), encoder, pair, only("range"))  # type: ignore[misc]
        assert found["range"] == pytest.approx(beyond**2)


@pytest.mark.parametrize("name", NAMES)
def test_a_weight_scales_its_part_alone(name: str, encoder: Encoder, pair: Pair) -> None:
    network = Stub(lambda image: 1.2 * image.roll(1, -1) - 0.05)
    plain = losses(network, encoder, pair)
    tripled = losses(network, encoder, pair, dataclasses.replace(ALL, **{name: 3 * getattr(ALL, name)}))
    assert set(plain) == set(NAMES)
    assert plain[name] > 0
    for part, value in tripled.items():
        assert value == pytest.approx(plain[part] * (3 if part == name else 1), rel=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_part_without_weight_is_absent(name: str, encoder: Encoder, pair: Pair) -> None:
    assert set(losses(Stub(lambda image: image), encoder, pair, dataclasses.replace(ALL, **{name: 0.0}))) == {
        *NAMES
    } - {name}
    alone = Stub(lambda image: image)
    assert set(losses(alone, encoder, pair, only(name))) == {name}
    assert alone.calls == (2 if name in ("identity", "noise") else 1)


def test_what_is_not_asked_for_is_not_computed(encoder: Encoder, pair: Pair) -> None:
    task(Stub(lambda image: image), encoder, only("content"), style_layers={"no_such_layer": 1.0}).loss(
        Stub(lambda image: image), pair
    )


def test_weights_of_layers(encoder: Encoder, pair: Pair) -> None:
    def with_layers(**options: Any) -> dict[str, float]:
        return losses(Stub(lambda image: 1 - image), encoder, pair, **options)

    one = with_layers(style_layers={"relu1_1": 1.0})["style"]
    two = with_layers(style_layers={"relu2_1": 1.0})["style"]
    assert with_layers(style_layers={"relu1_1": 3.0, "relu2_1": 0.5})["style"] == pytest.approx(3 * one + two / 2)
    apart = sum(with_layers(style_losses=(name,))["style"] for name in ("mean-std", "gram"))
    assert with_layers()["style"] == pytest.approx(apart)
    one, two = (with_layers(content_layers={name: 1.0})["content"] for name in CONTENT)
    assert with_layers()["content"] == pytest.approx((one + two) / 2)


def painting(variant: str, encoder: Encoder) -> nn.Module:
    """A network whose last convolution paints something, which one that adds to the content does not at first."""
    network: nn.Module = untrained(encoder, VARIANTS[variant])
    for weight in network.parameters():
        if weight.ndim == 4 and not bool(weight.any()):
            nn.init.normal_(weight, 0, 0.02)
    return network


@every_variant
def test_a_batch_is_the_mean_of_its_parts(variant: str, encoder: Encoder, pair: Pair) -> None:
    """So several processes train as one, and parts of `--accumulate` as the whole; noise is drawn anew in each."""
    network = painting(variant, encoder)
    weights = dataclasses.replace(ALL, noise=0.0)
    whole = losses(network, encoder, pair, weights)
    halves = [losses(network, encoder, part_of(pair, i, count=2), weights) for i in range(2)]
    for name, value in whole.items():
        assert value == pytest.approx((halves[0][name] + halves[1][name]) / 2, rel=1e-4)
        assert name == "range" or halves[0][name] != pytest.approx(halves[1][name], rel=1e-4)  # the law can fail


@every_variant
def test_gradients_reach_the_network_and_not_the_encoder(variant: str, encoder: Encoder, pair: Pair) -> None:
    torch.manual_seed(0)
    made = task(painting(variant, encoder), encoder)
    module = made.build()
    torch.stack(list(made.loss(module, pair).values())).sum().backward()
    without = {name for name, p in module.named_parameters() if p.grad is None or not bool(p.grad.any())}
    assert without == set()
    assert all(p.grad is None and not p.requires_grad for p in encoder.net.parameters())
    assert not any(name.startswith("encoder") for name in module.state_dict())


class Toned(Stub):
    """Half the content, and the mean of the style's code as grey."""

    def forward(self, image: Tensor, code: dict[str, Tensor], *, feats: dict[str, Tensor] | None = None) -> Tensor:
        return super().forward(image / 2 + code["relu4_1"][:, 0].mean(1)[:, None, None, None], code)


def test_a_sample_shows_every_content_in_every_style(encoder: Encoder, pair: Pair) -> None:
    network = Toned(lambda image: image)
    contents, styles = pair.contents[:2], pair.styles[:3]
    with torch.no_grad():
        cells = task(network, encoder, shown=(contents, styles)).sample(network)
        greys = encoder(styles, ["relu4_1"])["relu4_1"].mean((1, 2, 3))
    assert cells.shape == (3, 4, 3, 32, 32)
    assert bool((cells[0, 0] == 1).all())
    assert torch.equal(cells[0, 1:], styles)
    assert torch.equal(cells[1:, 0], contents)
    for i in range(2):
        for j in range(3):
            expected = (contents[i] / 2 + greys[j]).clamp(0, 1)
            torch.testing.assert_close(cells[1 + i, 1 + j], expected, atol=1e-5, rtol=0)
    assert float(greys.std()) > 1e-3  # the law can fail
    with pytest.raises(OptionError, match="no pictures to show"):
        task(network, encoder).sample(network)


def test_normalised_content_leaves_contrast_free(encoder: Encoder) -> None:
    feats = encoder(torch.rand(2, 3, 32, 32), ["relu3_3"])["relu3_3"]
    flatter = 0.5 * feats + 0.1
    for normalised in (True, False):
        distance = content_term_distance(relative(l2), normalised=normalised)
        assert (distance(flatter, feats).item() < 1e-2) is normalised
        assert distance(feats.flip(-1), feats).item() > 0.05


def test_the_style_at_several_sizes_is_the_mean(encoder: Encoder, pair: Pair) -> None:
    layers: dict[str, Any] = {"style_layers": {"relu1_1": 0.3, "relu2_1": 1.0}}
    found = losses(Stub(lambda image: image), encoder, pair, only("style"), sizes=2, **layers)["style"]
    each = []
    for level in range(2):
        small = Pair(*(F.avg_pool2d(images, 2**level) for images in (pair.contents, pair.styles)))
        each.append(losses(Stub(lambda image: image), encoder, small, only("style"), **layers)["style"])
    assert found == pytest.approx(sum(each) / 2, rel=1e-5)
    assert each[0] != pytest.approx(each[1], rel=1e-3)


def test_a_teacher_replaces_the_content(encoder: Encoder, pair: Pair) -> None:
    weights = Weights(content=1, pixels=5)
    teacher = Stub(lambda image: image.flip(1))
    copy, apart = (
        losses(Stub(paint), encoder, pair, weights, teacher=teacher)
        for paint in (lambda image: image.flip(1), lambda image: image.flip(1) + 0.1)
    )
    assert copy["content"] == pytest.approx(0, abs=1e-10)
    assert copy["pixels"] == 0
    assert apart["content"] > 1e-4
    assert apart["pixels"] == pytest.approx(5 * 0.01, rel=1e-4)
    assert losses(Stub(lambda image: image), encoder, pair, weights, teacher=teacher)["content"] > 0.01
    assert "pixels" not in losses(Stub(lambda image: image), encoder, pair, weights)
