"""Size arithmetic and resampling."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.core.errors import OptionError
from impasto.image.resize import fit, pyramid_sizes, resized

sides = st.integers(1, 5000)
sizes = st.tuples(sides, sides)


@given(size=sizes, wish=sides)
def test_a_side_is_met_and_the_aspect_kept(size: tuple[int, int], wish: int) -> None:
    for result, hit, scale in [
        (fit(size, long_side_px=wish), max, wish / max(size)),
        (fit(size, short_side_px=wish), min, wish / min(size)),
    ]:
        assert hit(result) == wish
        for new, old in zip(result, size, strict=True):
            assert new >= 1
            assert new == 1 or abs(new - old * scale) <= 0.5 + 1e-6 * new


@given(size=st.tuples(st.integers(100, 5000), st.integers(100, 5000)), megapixels=st.floats(0.1, 50))
def test_megapixels_are_met_nearly(size: tuple[int, int], megapixels: float) -> None:
    height, width = fit(size, megapixels=megapixels)
    assert height * width == pytest.approx(megapixels * 1e6, rel=0.02)
    assert height / width == pytest.approx(size[0] / size[1], rel=0.05)


@given(size=sizes, wish=sides)
def test_nothing_is_enlarged_where_that_is_forbidden(size: tuple[int, int], wish: int) -> None:
    result = fit(size, long_side_px=wish, enlarge=False)
    assert result == (size if wish >= max(size) else fit(size, long_side_px=wish))


@given(size=sizes)
def test_no_wish_and_a_wish_already_met_change_nothing(size: tuple[int, int]) -> None:
    assert fit(size) == size
    assert fit(size, long_side_px=max(size)) == size
    assert fit(size, short_side_px=min(size)) == size


def test_no_side_falls_under_one_pixel() -> None:
    assert fit((1, 4000), long_side_px=10) == (1, 10)


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        ({"long_side_px": 5, "megapixels": 1.0}, "long_side_px and megapixels"),
        ({"long_side_px": 0}, "above 0"),
        ({"megapixels": float("nan")}, "above 0"),
    ],
)
def test_contradicting_or_impossible_wishes_are_refused(wishes: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        fit((10, 10), **wishes)  # type: ignore[arg-type]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("mode", ["bicubic", "bilinear"])
@pytest.mark.parametrize("size", [(1, 1), (3, 50), (40, 31)])
def test_resampling_keeps_constants_range_and_channels(channels: int, mode: str, size: tuple[int, int]) -> None:
    flat = torch.full((1, channels, 20, 30), 0.3)
    assert torch.allclose(resized(flat, size, mode=mode), torch.full((1, channels, *size), 0.3), atol=1e-6)
    noise = torch.rand(2, channels, 20, 30, generator=torch.Generator().manual_seed(1)).round()
    result = resized(noise, size, mode=mode)
    assert result.shape == (2, channels, *size)
    assert 0 <= result.min() <= result.max() <= 1


def test_the_right_size_is_handed_through_and_overshoot_is_clamped_on_wish() -> None:
    edge = torch.zeros(1, 1, 4, 8)
    edge[..., 4:] = 1
    assert resized(edge, (4, 8)) is edge
    assert resized(edge, (8, 16), clamp=False).max() > 1
    assert resized(edge, (8, 16)).max() == 1
    with pytest.raises(OptionError, match="1 px or more"):
        resized(edge, (0, 8))


def test_shrinking_is_antialiased() -> None:
    stripes = torch.zeros(1, 1, 64, 64)
    stripes[..., ::2] = 1
    small = resized(stripes, (16, 16))
    assert (small - 0.5).abs().max() < 0.05


@settings(max_examples=200)
@given(size=sizes, smallest=st.integers(1, 600), factor=st.floats(1.05, 4))
def test_a_pyramid_rises_to_the_size(size: tuple[int, int], smallest: int, factor: float) -> None:
    levels = pyramid_sizes(size, smallest_px=smallest, factor=factor)
    longs = [max(level) for level in levels]
    assert levels[-1] == size
    assert longs == sorted(set(longs))
    assert all(a[0] <= b[0] and a[1] <= b[1] for a, b in pairwise(levels))
    assert longs[0] >= min(smallest, max(size))
    if max(size) >= smallest * factor:
        assert longs[0] <= smallest * factor + 1


def test_a_pyramid_halves() -> None:
    assert pyramid_sizes((512, 256), smallest_px=128, factor=2) == [(128, 64), (256, 128), (512, 256)]
    assert pyramid_sizes((50, 60), smallest_px=128, factor=2) == [(50, 60)]


@pytest.mark.parametrize(("smallest", "factor"), [(0, 2.0), (64, 1.0), (64, float("nan")), (64, 0.5)])
def test_an_endless_pyramid_is_refused(smallest: int, factor: float) -> None:
    with pytest.raises(OptionError, match="pyramid"):
        pyramid_sizes((100, 100), smallest_px=smallest, factor=factor)


@pytest.mark.parametrize("mode", ["bicubic", "bilinear"])
@pytest.mark.parametrize("size", [(80, 1), (7, 1), (1, 1), (29, 1), (1, 40), (12, 2)])
@pytest.mark.parametrize("given", [(29, 1), (29, 31), (1, 31)])
def test_pictures_of_one_column_are_resized_as_those_of_one_row(
    given: tuple[int, int], size: tuple[int, int], mode: str
) -> None:
    image = torch.rand(1, 3, *given)
    found, turned = resized(image, size, mode=mode), resized(image.mT.contiguous(), size[::-1], mode=mode).mT
    torch.testing.assert_close(found, turned, rtol=0, atol=1e-5)
    torch.testing.assert_close(resized(torch.ones(1, 3, *given), size, mode=mode), torch.ones(1, 3, *size))
