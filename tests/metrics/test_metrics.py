"""Laws of the measures, with a two-layer encoder drawn by code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
import torch
from skimage.color import lab2rgb
from torch import Tensor
from torch.nn import functional

from impasto.core.errors import ImageTooSmall, OptionError
from impasto.image.resize import resized
from impasto.losses.table import STYLE_LOSSES
from impasto.metrics.features import SLICED, content_distance, style_distance
from impasto.metrics.pixels import COLOUR_PIXELS, colour_distance, ssim
from impasto.metrics.table import METRICS, Case, measured, reference_rows

LAYERS = ("relu1", "relu2")


class TinyEncoder:
    """Two random 3×3 convolutions; counts its calls."""

    def __init__(self) -> None:
        draw = torch.Generator().manual_seed(0)
        self.first, self.second = torch.randn(6, 3, 3, 3, generator=draw), torch.randn(8, 6, 3, 3, generator=draw)
        self.calls = 0

    def __call__(self, image: Tensor, layers: Sequence[str]) -> Mapping[str, Tensor]:
        self.calls += 1
        first = functional.conv2d(image, self.first, padding=1).relu()
        second = functional.conv2d(functional.avg_pool2d(first, 2), self.second, padding=1).relu()
        return {name: feats for name, feats in zip(LAYERS, (first, second), strict=True) if name in layers}


def stripes(height: int, width: int) -> Tensor:
    """A style: red and yellow, fine."""
    across = (torch.arange(width) % 4 < 2).float().expand(height, width)
    return torch.stack([torch.ones(height, width) * 0.9, across, torch.zeros(height, width)]).unsqueeze(0)


def scene(height: int, width: int) -> Tensor:
    """A content: a bright disc on a blue slope."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    disc = (x.square() + y.square() < 0.4).float()
    return torch.stack([disc * 0.8, disc * 0.8, (y + 1) / 2]).unsqueeze(0)


def of_lab(*lab: float, size: int = 8) -> Tensor:
    colour = torch.from_numpy(lab2rgb([[lab]])).float()  # (1, 1, 3)
    return colour.permute(2, 0, 1).unsqueeze(0).expand(1, 3, size, size)


def case(
    output: Tensor,
    content: Tensor,
    style: Tensor | None,
    *,
    content_layers: Sequence[str] = LAYERS,
    encoder: TinyEncoder | None = None,
) -> Case:
    return Case(
        output=output,
        content=content,
        style=style,
        encoder=encoder or TinyEncoder(),
        content_layers=content_layers,
        style_layers=LAYERS,
    )


def every_measure(output: Tensor, content: Tensor, style: Tensor) -> dict[str, float]:
    return measured(case(output, content, style, content_layers=LAYERS[1:]))


def test_content_distance_is_zero_for_a_copy_and_positive_else() -> None:
    content, encoder = scene(20, 24), TinyEncoder()
    assert content_distance(content, content, encoder=encoder, layers=LAYERS) == 0
    assert content_distance(stripes(20, 24), content, encoder=encoder, layers=LAYERS) > 0.1


def test_content_distance_takes_an_output_of_another_size() -> None:
    content, encoder = scene(20, 24), TinyEncoder()
    larger = content_distance(scene(40, 48), content, encoder=encoder, layers=LAYERS)
    assert 0 < larger < 0.3 * content_distance(stripes(20, 24), content, encoder=encoder, layers=LAYERS)


@pytest.mark.parametrize("loss", ["gram", "sliced"])
def test_style_distance_is_zero_for_a_copy_and_nearly_for_another_crop(loss: str) -> None:
    style, encoder = stripes(32, 32), TinyEncoder()
    far = style_distance(scene(32, 32), style, encoder=encoder, layers=LAYERS, loss=STYLE_LOSSES[loss])
    assert style_distance(style, style, encoder=encoder, layers=LAYERS, loss=STYLE_LOSSES[loss]) == pytest.approx(
        0, abs=1e-6
    )
    assert style_distance(stripes(24, 48), style, encoder=encoder, layers=LAYERS, loss=STYLE_LOSSES[loss]) < 0.1 * far


def test_a_subset_of_the_pixels_gives_nearly_the_sliced_distance_of_all() -> None:
    output, style, encoder = scene(96, 96), stripes(96, 96), TinyEncoder()
    every = style_distance(output, style, encoder=encoder, layers=LAYERS, loss=STYLE_LOSSES["sliced"])
    subset = style_distance(output, style, encoder=encoder, layers=LAYERS, loss=SLICED)
    assert subset != every
    assert subset == pytest.approx(every, rel=0.02)


@pytest.mark.parametrize("distance", [content_distance, style_distance])
def test_measuring_in_no_layer_is_refused(distance) -> None:
    with pytest.raises(OptionError, match="no layers"):
        distance(scene(8, 8), scene(8, 8), encoder=TinyEncoder(), layers=())


@pytest.mark.parametrize("other", [(60.0, 0.0, 0.0), (50.0, 20.0, 0.0), (50.0, 0.0, -20.0), (55.0, 10.0, 10.0)])
def test_flat_pictures_are_as_far_as_their_colours(other: tuple[float, float, float]) -> None:
    grey = (50.0, 0.0, 0.0)
    expected = sum((a - b) ** 2 for a, b in zip(grey, other, strict=True)) ** 0.5
    assert colour_distance(of_lab(*grey), of_lab(*other, size=5)) == pytest.approx(expected, rel=0.03)


def test_colour_distance_ignores_place_and_size_but_not_shares() -> None:
    style = stripes(16, 16)
    assert colour_distance(style.flip(3).mT, style) == pytest.approx(0, abs=1e-3)
    assert colour_distance(stripes(8, 24), style) == pytest.approx(0, abs=1e-3)
    assert colour_distance(style[..., :3], style) > 5


def test_a_subset_of_the_pixels_gives_nearly_the_colour_distance_of_all() -> None:
    side = int(1.5 * COLOUR_PIXELS**0.5)
    small = colour_distance(scene(64, 64), stripes(64, 64))
    assert colour_distance(scene(side, side), stripes(side, side)) == pytest.approx(small, rel=0.05)


def test_colour_distance_is_symmetric() -> None:
    one, other = scene(12, 12), stripes(16, 16)
    assert colour_distance(one, other) == pytest.approx(colour_distance(other, one), rel=1e-4)


def test_ssim_is_one_for_a_copy_and_falls_with_noise() -> None:
    content = scene(24, 24)
    noise = torch.randn(content.shape, generator=torch.Generator().manual_seed(0))
    values = [ssim(content + strength * noise, content) for strength in (0.0, 0.05, 0.3)]
    assert values[0] == pytest.approx(1)
    assert values == sorted(values, reverse=True)
    assert values[2] < 0.8


def test_ssim_of_a_batch_is_the_mean_of_its_items() -> None:
    content = torch.cat([scene(16, 16), stripes(16, 16)])
    output = torch.cat([scene(16, 16), scene(16, 16)])
    assert ssim(output, content) == pytest.approx((1 + ssim(scene(16, 16), stripes(16, 16))) / 2)


def test_ssim_works_at_seven_pixels_and_says_so_below() -> None:
    assert ssim(scene(7, 7), scene(7, 7)) == pytest.approx(1)
    with pytest.raises(ImageTooSmall, match="9×6 px; SSIM needs 7 px"):
        ssim(scene(6, 9), scene(6, 9))


def test_measures_everything_in_the_table_as_plain_numbers() -> None:
    values = every_measure(scene(20, 24), stripes(20, 24), stripes(16, 16))
    assert list(values) == list(METRICS)
    assert all(type(value) is float for value in values.values())


def test_every_row_says_what_it_is() -> None:
    for metric in METRICS.values():
        assert metric.about
        assert metric.better in ("low", "high")


def test_the_copies_mark_the_ends_of_each_scale() -> None:
    content, style = scene(24, 28), stripes(32, 20)
    rows = reference_rows(case((content + stripes(24, 28)) / 2, content, style, content_layers=LAYERS[1:]))
    assert list(rows) == ["output", "content copy", "style copy"]
    assert rows["content copy"]["content"] == 0
    assert rows["content copy"]["ssim"] == pytest.approx(1)
    for name, metric in METRICS.items():
        best = min if metric.better == "low" else max
        copies = {row: rows[row][name] for row in ("content copy", "style copy")}
        if metric.of != "neither":
            assert best(copies, key=copies.__getitem__) == f"{metric.of} copy", name


def test_progress_counts_every_measure_of_every_row() -> None:
    calls: list[tuple[int, int]] = []
    reference_rows(
        case(scene(20, 24), scene(20, 24), stripes(20, 24)),
        progress=lambda done, total, name: calls.append((done, total)),
    )
    count = 3 * len(METRICS)
    assert calls == [(done, count) for done in range(count)]


def test_a_content_of_another_size_is_compared_at_the_outputs_size() -> None:
    output, style = scene(20, 24), stripes(16, 16)
    values = every_measure(output, scene(80, 96), style)
    assert values == every_measure(output, resized(scene(80, 96), (20, 24)), style)
    assert values["ssim"] > 0.9
    assert values["content"] < 0.2


def test_features_are_computed_once_a_picture() -> None:
    encoder = TinyEncoder()
    measured(case(scene(16, 16), stripes(16, 16), scene(20, 20), encoder=encoder))
    assert encoder.calls == 3


def test_pictures_are_left_alone_and_carry_no_gradient() -> None:
    output = scene(16, 16).requires_grad_()
    before = output.detach().clone()
    every_measure(output, stripes(16, 16), stripes(16, 16))
    assert output.grad is None
    assert torch.equal(output.detach(), before)


def test_values_outside_the_range_count_as_clamped() -> None:
    wild = scene(16, 16) * 3 - 1
    assert colour_distance(wild, stripes(8, 8)) == pytest.approx(colour_distance(wild.clamp(0, 1), stripes(8, 8)))
    assert ssim(wild, scene(16, 16)) == pytest.approx(ssim(wild.clamp(0, 1), scene(16, 16)))
