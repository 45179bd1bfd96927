"""Painting in one pass: every network of the table, by law."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partialmethod

import pytest
import torch
from torch import Tensor

from impasto.config.optimise import LossOptions
from impasto.core.errors import ImageTooSmall, OptionError
from impasto.encoders.table import Encoder
from impasto.nets import painting as whole_pictures
from impasto.nets import windows
from impasto.nets.adain_decoder import StyledDecoder
from impasto.nets.bands import BANDS
from impasto.nets.colours import HUES, tinted_grey
from impasto.nets.noise import SeededNoise
from impasto.nets.residual import Residual
from impasto.nets.table import VARIANTS, Network
from impasto.stylizers.arbitrary import Arbitrary
from impasto.stylizers.codes import OWN_SIDE_PX, code_of, mixed, own_code
from impasto.stylizers.finished import masked
from impasto.stylizers.optimised import Optimised
from impasto.stylizers.protocol import Mix, Step, Style

Make = Callable[..., Network]
Draw = Callable[[int, int], Tensor]
every_variant = pytest.mark.parametrize("variant", VARIANTS)


def steps(work: Arbitrary, content: Tensor, *styles: Tensor | Style, strength: float = 1.0) -> list[Step]:
    mix = Mix(tuple(s if isinstance(s, Style) else Style(s) for s in styles))
    return list(work.paint(content, work.prepare(mix), strength=strength))


def painted(work: Arbitrary, content: Tensor, *styles: Tensor | Style, strength: float = 1.0) -> Tensor:
    return steps(work, content, *styles, strength=strength)[-1].picture()


def near(one: Tensor, other: Tensor, atol: float = 1e-5) -> None:
    torch.testing.assert_close(one, other, rtol=0, atol=atol)


# Sizes and strips


@every_variant
@pytest.mark.parametrize("size", [(2, 2), (2, 70), (17, 3), (16, 16), (72, 80), (45, 51)])
def test_any_size_is_painted_in_one_step(
    variant: str, size: tuple[int, int], make_network: Make, painting: Tensor
) -> None:
    content = torch.rand(1, 3, *size)
    work = Arbitrary(make_network(variant))
    (step,) = steps(work, content, painting, strength=0.6)
    assert (step.index, step.total, step.size_hw, dict(step.losses)) == (1, 1, size, {})
    assert step.image.shape == content.shape
    assert 0 <= float(step.image.min()) <= float(step.image.max()) <= 1
    assert not step.image.requires_grad


@pytest.fixture
def small_strips(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From its call on every picture is painted by strips of few rows."""

    def use() -> None:
        monkeypatch.setattr(whole_pictures, "WHOLE_PX", 0)
        monkeypatch.setattr(windows, "LEAST_ROWS", 8)
        for net, options in ((Residual, {"strip_px": 700}), (StyledDecoder, {"window_px": 2000})):
            monkeypatch.setattr(net, "strips", partialmethod(net.strips, **options))

    return use


@every_variant
@pytest.mark.parametrize(("size", "strength"), [((181, 45), 1.0), ((45, 181), 0.4), ((3, 90), 1.0), ((70, 2), 1.5)])
@pytest.mark.parametrize("memory_bytes", [0, 1 << 30])
def test_strips_are_parts_of_the_whole(
    variant: str,
    size: tuple[int, int],
    strength: float,
    memory_bytes: int,
    make_network: Make,
    draw_photo: Draw,
    painting: Tensor,
    small_strips: Callable[[], None],
) -> None:
    network, content = make_network(variant), draw_photo(*size)
    whole = painted(Arbitrary(network), content, painting, strength=strength)
    small_strips()
    near(painted(Arbitrary(network, memory_bytes), content, painting, strength=strength), whole, 1e-3)
    assert float(whole.std()) > 0.01


def test_a_reach_that_is_too_short_shows(
    make_network: Make, draw_photo: Draw, painting: Tensor, small_strips: Callable[[], None]
) -> None:
    network, content = make_network("adain-skip"), draw_photo(181, 45)
    whole = painted(Arbitrary(network), content, painting)
    network.net.reach_px = 8  # type: ignore[attr-defined]
    small_strips()
    assert float((painted(Arbitrary(network), content, painting) - whole).abs().max()) > 1e-3


def test_half_precision_in_and_out(
    make_network: Make, draw_photo: Draw, painting: Tensor, small_strips: Callable[[], None]
) -> None:
    work, content = Arbitrary(make_network("adain-skip")), draw_photo(181, 45)
    small_strips()
    half = painted(work, content.half(), painting, strength=0.7)
    assert half.dtype == torch.float16
    assert float((half.float() - painted(work, content, painting, strength=0.7)).abs().mean()) < 2e-3


@every_variant
def test_bfloat16_paints_nearly_the_same(variant: str, make_network: Make, photo: Tensor, painting: Tensor) -> None:
    half, exact = (make_network(variant, dtype=dtype) for dtype in (torch.bfloat16, torch.float32))
    one, other = (painted(Arbitrary(network), photo, painting) for network in (half, exact))
    assert one.dtype == torch.float32
    assert not torch.equal(one, other)
    assert float((one - other).abs().mean()) < 0.05


# Strength


@every_variant
@pytest.mark.parametrize("size", [(2, 2), (45, 51)])
def test_strength_0_is_the_content_bit_for_bit(
    variant: str, size: tuple[int, int], make_network: Make, painting: Tensor
) -> None:
    content = torch.rand(1, 3, *size)
    assert torch.equal(painted(Arbitrary(make_network(variant)), content, painting, strength=0), content)


@every_variant
def test_strength_is_continuous(variant: str, make_network: Make, photo: Tensor, painting: Tensor) -> None:
    work = Arbitrary(make_network(variant))
    near(painted(work, photo, painting, strength=1e-6), photo, 1e-3)
    near(*(painted(work, photo, painting, strength=strength) for strength in (1 - 1e-6, 1)), 1e-3)  # type: ignore[arg-type]
    half = painted(work, photo, painting, strength=0.5)
    assert not torch.allclose(half, photo, atol=1e-2)


@every_variant
@pytest.mark.parametrize("strength", [3.0, 10.0])
def test_beyond_the_style_it_stays_a_picture(
    variant: str, strength: float, make_network: Make, photo: Tensor, painting: Tensor
) -> None:
    output = painted(Arbitrary(make_network(variant)), photo, painting, strength=strength)
    assert bool(torch.isfinite(output).all())
    assert 0 <= float(output.min()) <= float(output.max()) <= 1


@pytest.mark.parametrize("strength", [-0.1, math.nan, math.inf])
def test_a_strength_that_there_is_not(strength: float, make_network: Make, photo: Tensor, painting: Tensor) -> None:
    with pytest.raises(OptionError, match="it must be 0 or more"):
        painted(Arbitrary(make_network("adain")), photo, painting, strength=strength)


# Mixes


@every_variant
def test_a_mix_by_law(variant: str, make_network: Make, photo: Tensor, painting: Tensor) -> None:
    work, other = Arbitrary(make_network(variant)), painting.flip(1)
    alone = painted(work, photo, painting)
    assert torch.equal(painted(work, photo, Style(painting, 3.0), Style(other, 0.0)), alone)
    near(painted(work, photo, painting, painting), alone)
    one = painted(work, photo, Style(painting, 1.0), Style(other, 2.0))
    near(painted(work, photo, Style(other, 2.0), Style(painting, 1.0)), one)
    assert not torch.allclose(one, alone, atol=1e-3)


def test_a_weight_below_0_goes_away_from_a_style(make_network: Make, photo: Tensor, painting: Tensor) -> None:
    work, other = Arbitrary(make_network("adain-skip")), painting.flip(1)
    (region,) = work.prepare(Mix((Style(painting, 3.0), Style(other, -1.0))))
    one, two = (code_of(picture, work.network) for picture in (painting, other))
    for layer, stats in region.network.params.items():
        near(stats, 1.5 * one[layer] - 0.5 * two[layer])
    assert bool(torch.isfinite(painted(work, photo, Style(painting, 3.0), Style(other, -1.0))).all())


def test_codes_mix_linearly_and_by_any_weights(make_network: Make, painting: Tensor) -> None:
    network = make_network("adain-skip")
    codes = [code_of(picture, network) for picture in (painting, painting.flip(1))]
    for layer, stats in mixed(codes, (0.3, -2.0)).items():
        near(stats, 0.3 * codes[0][layer] - 2.0 * codes[1][layer])
    with pytest.raises(OptionError, match="2 codes and 1 weights"):
        mixed(codes, (1.0,))


def test_the_mix_itself_is_checked(make_network: Make, photo: Tensor, painting: Tensor, encoder: Encoder) -> None:
    negative = Mix((Style(painting, 2.0), Style(painting, -1.0, name="b.png")))
    losses = LossOptions(content_layers=("relu2_1",), style_layers=("relu1_1",))
    with pytest.raises(OptionError, match=r"style 'b\.png' is -1; `method=optimise` needs 0 or more"):
        Optimised(encoder, losses).prepare(negative)
    mask = torch.ones(1, 1, 72, 80)
    masked = Mix((Style(painting, 2.0, mask=mask), Style(painting, -1.0, mask=mask, name="b.png")))
    with pytest.raises(OptionError, match="painting with masks needs 0 or more"):
        Arbitrary(make_network("adain")).prepare(masked)


# Masks


@pytest.fixture
def left() -> Tensor:
    """1 in the left half of 72×80 px."""
    mask = torch.zeros(1, 1, 72, 80)
    mask[..., :40] = 1
    return mask


@every_variant
def test_masks_by_law(variant: str, make_network: Make, photo: Tensor, painting: Tensor, left: Tensor) -> None:
    work, other = Arbitrary(make_network(variant)), painting.flip(1)
    one, two = (painted(work, photo, style) for style in (painting, other))
    assert torch.equal(painted(work, photo, Style(painting, 5.0, mask=torch.ones(1, 1, 72, 80))), one)
    both = painted(work, photo, Style(painting, mask=left), Style(other, mask=1 - left))
    assert torch.equal(both, torch.where(left > 0, one, two))
    near(painted(work, photo, Style(painting, mask=left), Style(other, 3.0, mask=left))[..., 40:], photo[..., 40:])
    soft = painted(
        work, photo, Style(painting, mask=0.25 * torch.ones(1, 1, 9, 10)), Style(other, mask=0.75 + 0 * left)
    )
    near(soft, torch.lerp(two, one, 0.25))


def test_nothing_covers_and_a_style_of_no_weight(
    make_network: Make, photo: Tensor, painting: Tensor, left: Tensor
) -> None:
    work = Arbitrary(make_network("adain"))
    half = painted(work, photo, Style(painting, mask=left))
    assert torch.equal(half[..., 40:], photo[..., 40:])
    also = painted(work, photo, Style(painting, mask=left), Style(painting.flip(1), 0.0, mask=1 - left))
    assert torch.equal(also, half)
    last = [*masked(work, left).paint(photo, work.prepare(Mix((Style(painting, mask=left),))))][-1]
    assert torch.equal(last.picture(), half)


@every_variant
def test_masks_in_strips(
    variant: str, make_network: Make, draw_photo: Draw, painting: Tensor, small_strips: Callable[[], None]
) -> None:
    network, content = make_network(variant), draw_photo(111, 70)
    soft = torch.linspace(0, 1, 70).expand(1, 1, 111, 70)
    styles = (Style(painting, mask=soft), Style(painting.flip(1), mask=1 - soft))
    whole = painted(Arbitrary(network), content, *styles, strength=0.6)
    small_strips()
    near(painted(Arbitrary(network), content, *styles, strength=0.6), whole, 1e-3)


# Grey contents


@pytest.mark.parametrize("variant", ["adain-colour", "predicted"])
def test_a_grey_content_gets_several_hues(
    variant: str, make_network: Make, draw_photo: Draw, small_strips: Callable[[], None]
) -> None:
    """Dark blue to light orange: a grey slope is painted bluish where it is dark and reddish where it is light."""
    slope = torch.linspace(0, 1, 96).expand(1, 1, 80, 96)
    style = torch.cat([0.1 + 0.8 * slope, 0.1 + 0.5 * slope, 0.5 - 0.3 * slope], 1)
    grey = draw_photo(96, 90).mean(1, keepdim=True).expand(1, 3, 96, 90).contiguous()
    work = Arbitrary(make_network(variant))
    code = work.prepare(Mix((Style(style),)))
    tinted = tinted_grey(grey, code[0].network.params[HUES])
    dark, light = grey.mean(1) < grey.median() - 0.1, grey.mean(1) > grey.median() + 0.1
    warmth = tinted[:, 0] - tinted[:, 2]
    assert float(warmth[dark].mean()) < -0.05 < 0.05 < float(warmth[light].mean())
    colour = draw_photo(96, 90)
    assert torch.equal(tinted_grey(colour, code[0].network.params[HUES]), colour)
    whole = painted(work, grey, style)
    small_strips()
    near(painted(work, grey, style), whole, 1e-3)


def test_a_saved_style_without_hues_paints_on(make_network: Make, photo: Tensor, painting: Tensor) -> None:
    work = Arbitrary(make_network("predicted"))
    code = dict(code_of(painting, work.network))
    del code[HUES]
    near(painted(work, photo, Style(code=code, name="old")), painted(work, photo, painting))
    mix = painted(work, photo, Style(code=code, name="old"), painting.flip(1), strength=0.7)
    assert bool(torch.isfinite(mix).all())


# Noise


def test_the_seed_reaches_the_network(make_network: Make, photo: Tensor, painting: Tensor) -> None:
    network = make_network("predicted")
    one, same, other = (
        painted(Arbitrary(network, noise=SeededNoise(seed)), photo, painting, strength=0.7) for seed in (0, 0, 1)
    )
    assert torch.equal(one, same)
    assert torch.equal(one, painted(Arbitrary(network), photo, painting, strength=0.7))
    assert float((one - other).abs().max()) > 1e-3


# Codes


@pytest.mark.parametrize("variant", ["adain", "wct-skip", "predicted"])
def test_codes_of_large_pictures_are_the_same_by_strips(variant: str, make_network: Make, draw_painting: Draw) -> None:
    network, picture = make_network(variant), draw_painting(371, 133)
    by_strips, whole = (code_of(picture, network, window_px=window_px) for window_px in (20_000, 1 << 20))
    assert set(by_strips) == set(network.code_shapes) | ({HUES, BANDS} if network.net.recolours else set())
    for layer, stats in whole.items():
        near(by_strips[layer], stats, 1e-4)


def test_a_style_that_is_too_small_is_named(make_network: Make, photo: Tensor) -> None:
    with pytest.raises(ImageTooSmall, match=r"the style a\.png is 40×15 px; predicted needs 32 px a side"):
        painted(Arbitrary(make_network("predicted")), photo, Style(torch.rand(1, 3, 15, 40), name="a.png"))


@every_variant
def test_a_saved_style_paints_as_its_picture_does(
    variant: str, make_network: Make, photo: Tensor, painting: Tensor
) -> None:
    work = Arbitrary(make_network(variant))
    saved = Style(code={**code_of(painting, work.network), "other": torch.zeros(1)}, name="a")
    assert torch.equal(painted(work, photo, saved), painted(work, photo, painting))


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ({"relu1_1": torch.zeros(1, 2, 4)}, "the saved style 'a' does not have relu4_1; adain needs"),
        (
            {"relu4_1": torch.zeros(1, 9, 8)},
            r"has relu4_1 of shape \(1, 9, 8\); adain needs relu4_1 of shape \(1, 2, 8\)",
        ),
    ],
)
def test_a_saved_style_of_another_network(code: Mapping[str, Tensor], message: str, make_network: Make) -> None:
    with pytest.raises(OptionError, match=message):
        Arbitrary(make_network("adain")).prepare(Mix((Style(code=code, name="a"),)))


def test_optimising_needs_the_picture(encoder: Encoder, painting: Tensor) -> None:
    losses = LossOptions(content_layers=("relu2_1",), style_layers=("relu1_1",))
    with pytest.raises(OptionError, match="`method=optimise` needs the style's picture; 'a' is a saved style"):
        Optimised(encoder, losses).prepare(Mix((Style(code={}, name="a"),)))


def test_a_style_is_a_picture_or_a_code(painting: Tensor) -> None:
    with pytest.raises(OptionError, match="style 'a' has neither a picture nor a code"):
        Style(name="a")
    with pytest.raises(OptionError, match="has both a picture and a code"):
        Style(painting, code={})


@pytest.mark.parametrize("size", [(2, 2), (3, 700), (90, 40), (700, 600)])
def test_every_content_has_a_code_of_its_own(size: tuple[int, int], make_network: Make, draw_photo: Draw) -> None:
    network, content = make_network("predicted"), draw_photo(*size)
    code = own_code(content, network)
    assert all(bool(torch.isfinite(stats).all()) for stats in code.values())
    if min(size) >= 32 and max(size) <= OWN_SIDE_PX:
        assert all(torch.equal(stats, code_of(content, network)[layer]) for layer, stats in code.items())
