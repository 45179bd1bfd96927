"""Luminance, histogram and covariance carried from one picture to another."""

from __future__ import annotations

import pytest
import torch
from skimage import color
from torch import Tensor

from impasto.core.errors import ImageError, UnknownName
from impasto.image import colour
from impasto.image.colour import (
    COLOUR_MATCHES,
    Floats,
    luminance,
    matched_covariance,
    matched_histogram,
    palette_by_luminance,
    tint_of_grey,
    tinted,
    with_luminance_of,
)

MATCHES = sorted(COLOUR_MATCHES)


def noise(seed: int, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def coloured(seed: int, height: int, width: int) -> Tensor:
    """Correlated colours well inside the gamut."""
    mix = torch.tensor([[0.08, 0.02, 0.0], [0.03, 0.06, 0.02], [-0.02, 0.01, 0.05]])
    plain = noise(seed, 1, 3, height, width) - 0.5
    return torch.einsum("oc,bchw->bohw", mix, plain) + torch.tensor([0.5, 0.45, 0.55]).view(1, 3, 1, 1)


def lightness(image: Tensor) -> Tensor:
    return torch.from_numpy(color.rgb2lab(image[0].double().permute(1, 2, 0).numpy())[..., 0])


def moments(image: Tensor) -> tuple[Tensor, Tensor]:
    pixels = image.double().flatten(2)[0]
    return pixels.mean(dim=1), torch.cov(pixels, correction=0)


def test_luminance_of_grey_is_the_grey() -> None:
    grey = noise(0, 2, 1, 4, 5)
    assert torch.allclose(luminance(grey.expand(-1, 3, -1, -1)), grey, atol=1e-6)


def test_yiq_gives_the_luminance_asked_for_even_out_of_gamut() -> None:
    chroma, light = noise(1, 2, 3, 16, 16), noise(2, 2, 3, 16, 16)
    result = with_luminance_of(chroma, light)
    assert result.dtype == torch.float32
    assert 0 <= result.min() <= result.max() <= 1
    assert torch.allclose(luminance(result), luminance(light), atol=1e-6)


def test_yiq_keeps_the_chroma_where_the_gamut_has_room() -> None:
    chroma, light = coloured(1, 8, 8), coloured(2, 8, 8)
    result = with_luminance_of(chroma, light)
    assert torch.allclose(result - luminance(result), chroma - luminance(chroma), atol=1e-6)


def test_lab_gives_the_lightness_asked_for_inside_the_gamut_and_stays_in_range_outside() -> None:
    chroma, light = coloured(1, 8, 8), coloured(2, 8, 8)
    result = with_luminance_of(chroma, light, space="lab")
    assert (lightness(result) - lightness(light)).abs().max() < 0.05
    wild = with_luminance_of(noise(3, 1, 3, 32, 32).round(), noise(4, 1, 3, 32, 32).round(), space="lab")
    assert wild.isfinite().all()
    assert 0 <= wild.min() <= wild.max() <= 1


@pytest.mark.parametrize("space", ["yiq", "lab"])
def test_a_picture_with_its_own_luminance_is_itself(space: str) -> None:
    image = noise(5, 1, 3, 8, 8)
    assert torch.allclose(with_luminance_of(image, image, space=space), image, atol=2e-3)


@pytest.mark.parametrize("space", ["yiq", "lab"])
def test_a_grey_picture_brings_no_colour(space: str) -> None:
    grey = noise(6, 1, 1, 8, 8).expand(-1, 3, -1, -1)
    result = with_luminance_of(grey, noise(7, 1, 3, 8, 8), space=space)
    assert (result.max(dim=1).values - result.min(dim=1).values).max() < 2e-3


def test_luminance_needs_equal_sizes_and_a_known_space() -> None:
    with pytest.raises(ImageError, match="one size"):
        with_luminance_of(noise(0, 1, 3, 4, 4), noise(0, 1, 3, 4, 5))
    with pytest.raises(UnknownName, match="yiq"):
        with_luminance_of(noise(0, 1, 3, 4, 4), noise(0, 1, 3, 4, 4), space="yuv")


def test_covariance_matching_gives_mean_and_covariance_of_the_reference() -> None:
    image, reference = noise(1, 1, 3, 30, 40) * 0.5 + 0.2, coloured(2, 25, 20)
    result = matched_covariance(image, reference)
    assert 0 < result.min() < result.max() < 1, "clipping would spoil the law"
    for found, wanted in zip(moments(result), moments(reference), strict=True):
        assert torch.allclose(found, wanted, rtol=2e-3, atol=1e-5)


def yiq(image: Tensor) -> Tensor:
    return torch.from_numpy(color.rgb2yiq(image[0].double().permute(1, 2, 0).numpy())).permute(2, 0, 1)


def test_histogram_matching_gives_the_distributions_of_luminance_and_chroma() -> None:
    image, reference = noise(1, 1, 3, 24, 24) * 0.3 + 0.3, coloured(2, 24, 24)
    result = matched_histogram(image, reference)
    assert 0 < result.min() < result.max() < 1, "clipping would spoil the law"
    for found, wanted in zip(yiq(result).flatten(1), yiq(reference).flatten(1), strict=True):
        assert float((found.sort().values - wanted.sort().values).abs().mean()) < 1e-4


def test_histogram_matching_to_grey_gives_grey() -> None:
    grey = noise(3, 1, 1, 30, 20).expand(-1, 3, -1, -1)
    result = matched_histogram(noise(4, 1, 3, 24, 24), grey)
    assert (result.amax(dim=1) - result.amin(dim=1)).max() < 1e-5
    assert result.std() > 0.2, "the range of the reference is used"


def test_histogram_matching_does_not_turn_noise_into_colour() -> None:
    grey = noise(6, 1, 1, 32, 32).expand(-1, 3, -1, -1)
    rounding = noise(7, 1, 3, 32, 32) * 1e-4
    reference = noise(8, 1, 3, 32, 32)
    result = matched_histogram(grey + rounding, reference)
    spread = yiq(result)[1:].flatten(1)
    assert spread.std(dim=1).max() < 0.01
    assert torch.allclose(spread.mean(dim=1), yiq(reference)[1:].flatten(1).mean(dim=1), atol=0.02)


def test_strong_colours_keep_the_luminance_given_to_them() -> None:
    image, reference = noise(1, 1, 3, 24, 24), noise(2, 1, 3, 24, 24) ** 3
    result = matched_histogram(image, reference)
    assert result.min() == 0, "some colours leave the gamut"
    found, wanted = luminance(result).flatten(), luminance(reference).flatten()
    assert float((found.sort().values - wanted.sort().values).abs().mean()) < 1e-4


@pytest.mark.parametrize("name", MATCHES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_strips_of_rows_match_as_the_whole_does(name: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    image, reference = noise(1, 2, 3, 30, 40).to(dtype), coloured(2, 50, 20).to(dtype)
    whole = COLOUR_MATCHES[name](image.float(), reference.float())
    monkeypatch.setattr("impasto.image.strips.STRIP_PX", 130)
    seen, converted = list[int](), colour._channels_last

    def counted(strip: Tensor) -> Floats:
        seen.append(strip[0, 0].numel())
        return converted(strip)

    monkeypatch.setattr(colour, "_channels_last", counted)
    found = COLOUR_MATCHES[name](image, reference)
    assert max(seen) <= 130, "never more than a strip is in float64"
    assert found.dtype == dtype
    torch.testing.assert_close(found.float(), whole, rtol=0, atol=1e-6 if dtype == torch.float32 else 1e-3)


@pytest.mark.parametrize("name", MATCHES)
def test_a_picture_matched_to_itself_is_itself(name: str) -> None:
    image = coloured(3, 12, 9)
    assert torch.allclose(COLOUR_MATCHES[name](image, image), image, atol=1e-5)


@pytest.mark.parametrize("name", MATCHES)
@pytest.mark.parametrize("flat", ["image", "reference", "both"])
def test_flat_pictures_do_not_explode(name: str, flat: str) -> None:
    plain = torch.tensor([0.2, 0.4, 0.6]).view(1, 3, 1, 1).expand(-1, -1, 6, 7)
    image = plain if flat in ("image", "both") else coloured(4, 6, 7)
    reference = 1 - plain if flat in ("reference", "both") else coloured(5, 8, 9)
    result = COLOUR_MATCHES[name](image, reference)
    assert result.shape == image.shape
    assert result.isfinite().all()
    assert 0 <= result.min() <= result.max() <= 1
    assert torch.allclose(result.mean(dim=(2, 3)), reference.mean(dim=(2, 3)), atol=1e-3)


def test_covariance_matching_does_not_amplify_what_is_only_rounding() -> None:
    grey = noise(6, 1, 1, 32, 32).expand(-1, 3, -1, -1)
    rounding = noise(7, 1, 3, 32, 32) * 1e-4
    result = matched_covariance(grey + rounding, noise(8, 1, 3, 32, 32))
    clean = matched_covariance(grey, noise(8, 1, 3, 32, 32))
    assert (result - clean).abs().max() < 0.02


@pytest.mark.parametrize("name", MATCHES)
def test_batches_take_one_reference_or_one_each(name: str) -> None:
    images, references = noise(1, 2, 3, 6, 6), noise(2, 2, 3, 5, 7)
    match = COLOUR_MATCHES[name]
    both = match(images, references)
    assert torch.equal(both[1:], match(images[1:], references[1:]))
    assert torch.equal(match(images, references[:1])[:1], both[:1])
    with pytest.raises(ImageError, match="3 references for 2"):
        match(images, noise(3, 3, 3, 4, 4))


@pytest.mark.parametrize("name", MATCHES)
def test_one_pixel_is_enough(name: str) -> None:
    assert COLOUR_MATCHES[name](noise(1, 1, 3, 1, 1), noise(2, 1, 3, 1, 1)).isfinite().all()


# Tints of grey pictures

BLUE, YELLOW = (0.1, 0.15, 0.6), (0.95, 0.9, 0.3)


def two_colours() -> Tensor:
    """Dark blue above, light yellow below, with some grey in both."""
    image = (
        torch.tensor([BLUE, YELLOW]).T.reshape(1, 3, 2, 1).repeat_interleave(20, dim=2).expand(-1, -1, -1, 40).clone()
    )
    image[..., ::5] = luminance(image)[..., ::5]
    return image


def ramp(low: float = 0.0, high: float = 1.0) -> Tensor:
    return torch.linspace(low, high, 64).reshape(1, 1, 1, 64).expand(1, 3, 8, 64)


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.3, 0.6)])
def test_a_grey_picture_takes_hues_by_rank_of_luminance(low: float, high: float) -> None:
    grey = ramp(low, high)
    result = tinted(grey, tint_of_grey(grey, palette_by_luminance(two_colours())))
    assert torch.allclose(luminance(result), luminance(grey), atol=1e-5)
    red, _, blue = result[0, :, 4].unbind()
    assert (blue[8:24] > red[8:24] + 0.05).all(), "the darker half is blue, as in the style"
    assert (red[40:56] > blue[40:56] + 0.05).all(), "the lighter half is yellow"


def test_the_less_frequent_of_opposite_hues_does_not_fade_the_other() -> None:
    light = ramp(0.4, 0.6)[..., ::2]
    red, cyan = (light + torch.tensor([step, 0.0, 0.0]).view(1, 3, 1, 1) for step in (0.3, -0.3))
    red, cyan = with_luminance_of(red, light), with_luminance_of(cyan, light)
    alone = palette_by_luminance(red)
    mixed = palette_by_luminance(torch.cat([red, red, cyan], dim=2))
    assert torch.allclose(mixed, alone, atol=0.02)
    assert alone.norm(dim=1).min() > 0.1


def test_a_coloured_picture_is_not_tinted_and_a_toned_one_in_part() -> None:
    palette = palette_by_luminance(two_colours())
    image = coloured(1, 16, 16)
    assert tinted(image, tint_of_grey(image, palette)) is image
    grey = ramp()
    strengths = []
    for toned in (0.0, 0.02, 0.06):
        shift = torch.tensor([toned, 0.0, -toned]).view(1, 3, 1, 1)
        strengths.append(float(tint_of_grey((grey * 0.8 + 0.1) + shift, palette).abs().mean()))
    assert strengths[0] > strengths[1] > strengths[2] == 0


def test_a_grey_style_tints_nothing() -> None:
    grey = ramp()
    result = tinted(grey, tint_of_grey(grey, palette_by_luminance(noise(0, 1, 1, 9, 9).expand(-1, 3, -1, -1))))
    assert torch.allclose(result, grey, atol=1e-5)


def test_tints_of_batches_and_strips_are_those_of_each_picture() -> None:
    greys = noise(1, 2, 1, 8, 8).expand(-1, 3, -1, -1)
    styles = noise(2, 2, 3, 9, 7)
    tint = tint_of_grey(greys, palette_by_luminance(styles))
    whole = tinted(greys, tint)
    alone = tinted(greys[1:], tint_of_grey(greys[1:], palette_by_luminance(styles[1:])))
    assert torch.equal(whole[1:], alone)
    assert torch.equal(tinted(greys[:, :, 2:5], tint), whole[:, :, 2:5])
    one = tint_of_grey(greys, palette_by_luminance(styles[:1]))
    assert torch.equal(one[:1], tint[:1])
