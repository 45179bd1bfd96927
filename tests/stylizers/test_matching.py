"""Painting by matched neighbours and by relaxed transport, with a tiny encoder."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from impasto.config.optimise import LossOptions, OptimiseOptions
from impasto.config.presets import PRESETS
from impasto.core.errors import OptionError
from impasto.encoders.table import Encoder
from impasto.stylizers.optimised import Optimised, PaintedStep, Paused
from impasto.stylizers.protocol import Mix, Style
from impasto.stylizers.targets import final_losses, objective_for

every_preset = pytest.mark.parametrize("preset", ["nnst", "strotss"])


def work(encoder: Encoder, preset: str, **options: object) -> Optimised:
    groups = PRESETS[preset].options
    quick = {**groups["optimise"], "init": "recoloured", "smallest_px": 32, "steps": (3, 2)}
    quick |= {"final_steps": 2 * (preset == "nnst")} | options
    return Optimised(encoder, LossOptions(**groups["losses"]), OptimiseOptions(**quick))


def steps_of(stylizer: Optimised, content: Tensor, *styles: Style, strength: float = 1.0) -> list[PaintedStep]:
    return list(stylizer.paint(content, stylizer.prepare(Mix(styles)), strength=strength))


@every_preset
@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_painting_lowers_the_loss_of_each_pass(
    preset: str, optimizer: str, encoder: Encoder, photo: Tensor, painting: Tensor
) -> None:
    steps = steps_of(work(encoder, preset, optimizer=optimizer, steps=(8, 6)), photo, Style(painting))
    assert [step.size_hw for step in steps[:14]] == [(36, 40)] * 8 + [(72, 80)] * 6
    assert len(steps) == 14 + 2 * (preset == "nnst")
    for first, last in ((steps[0], steps[7]), (steps[8], steps[13])):
        assert sum(last.losses.values()) < sum(first.losses.values())


@every_preset
@pytest.mark.parametrize("stop", [1, 4, 5, 6])
def test_stopped_and_resumed_is_the_same_bit_for_bit(
    preset: str, stop: int, encoder: Encoder, photo: Tensor, painting: Tensor
) -> None:
    stylizer = work(encoder, preset)
    mix, whole, paused = Mix((Style(painting),)), [], None
    for step in stylizer.paint(photo, mix):
        whole.append(step)
        if step.index == stop:
            buffer = io.BytesIO()
            assert step.pause is not None
            torch.save(step.pause().to_dict(), buffer)
            buffer.seek(0)
            paused = Paused(**torch.load(buffer, weights_only=True))
    if paused is None:
        assert stop > len(whole)
        return
    rest = list(replace(stylizer, resume=paused).paint(photo, mix))
    assert torch.equal(rest[-1].picture(), whole[-1].picture())


@every_preset
def test_each_region_takes_its_own_style(preset: str, encoder: Encoder, photo: Tensor) -> None:
    red, blue = torch.rand(2, 1, 3, 64, 64) * torch.tensor([[0.9, 0.1, 0.1], [0.1, 0.1, 0.9]]).view(2, 1, 3, 1, 1)
    left = torch.zeros(1, 1, 72, 80)
    left[..., :40] = 1
    styles = (Style(red, mask=left), Style(blue, mask=1 - left))
    stylizer = work(encoder, preset, steps=(8, 6))
    stylizer = replace(stylizer, losses=replace(stylizer.losses, palette_weight=100.0))
    image = steps_of(stylizer, photo, *styles)[-1].picture()
    warm = image[:, 0] - image[:, 2]
    assert float(warm[..., :32].mean()) > 0.1 > -0.1 > float(warm[..., 48:].mean())


@every_preset
def test_strength_zero_is_the_content_and_less_is_nearer_to_it(
    preset: str, encoder: Encoder, photo: Tensor, painting: Tensor
) -> None:
    stylizer = work(encoder, preset)
    at = {s: steps_of(stylizer, photo, Style(painting), strength=s)[-1].picture() for s in (0.0, 0.5)}
    assert torch.equal(at[0.0], photo)
    assert not torch.equal(at[0.5], photo)


def test_a_final_pass_is_refused_where_there_are_no_neighbours(encoder: Encoder, painting: Tensor) -> None:
    stylizer = Optimised(encoder, LossOptions(), OptimiseOptions(final_steps=3))
    with pytest.raises(
        OptionError, match="`final_steps` is for `style_loss=neighbours`; the style loss is wasserstein2"
    ):
        stylizer.prepare(Mix((Style(painting),)))


def test_the_final_pass_takes_each_layer_by_itself() -> None:
    losses = final_losses(LossOptions(style_layers=("relu1_1+relu2_1", "relu2_1+relu3_1"), style_loss="neighbours"))
    assert losses.style_layers == ("relu1_1", "relu2_1", "relu3_1")
    assert losses.style_loss == "nearest"


def test_neighbours_of_the_canvas_differ_from_those_of_the_content(
    encoder: Encoder, photo: Tensor, painting: Tensor
) -> None:
    losses = LossOptions(style_loss="neighbours", style_layers=("relu1_1+relu3_1",), neighbour_content=0.0)
    mix = Mix((Style(painting),))
    targets = []
    for canvas in (None, photo, photo.flip(3)):
        terms = objective_for(photo, mix, encoder=encoder, losses=losses, canvas=canvas).features
        (style,) = (term.function for term in terms if term.name == "style")
        targets.append(style.keywords["target"][0])
    assert torch.equal(targets[0], targets[1])
    assert not torch.equal(targets[0], targets[2])


def test_the_palette_comes_near_to_the_styles(encoder: Encoder, photo: Tensor) -> None:
    style = Style(torch.rand(1, 3, 64, 64) * torch.tensor([0.2, 0.9, 0.2]).view(1, 3, 1, 1))
    losses = LossOptions(style_layers=(), content_weight=0.1, tv_weight=0, palette_weight=5.0)
    options = OptimiseOptions(init="content", smallest_px=32, steps=(12,))
    image = steps_of(Optimised(encoder, losses, options), photo, style)[-1].image
    greener = [float(x[:, 1].mean() - x[:, 0].mean()) for x in (photo, image)]
    assert greener[1] > greener[0] + 0.1
