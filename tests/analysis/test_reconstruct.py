"""Pictures rebuilt from noise."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from impasto.analysis.layers import LayerStep, layer_sheet, layer_steps, layer_targets
from impasto.analysis.reconstruct import _statistic_loss, error_of, rebuilt
from impasto.config.analysis import RebuildOptions, RebuildTarget
from impasto.core.errors import ImageTooSmall, OptionError, UnknownName
from impasto.encoders.table import Encoder
from impasto.losses.table import STYLE_LOSSES

FEW = RebuildOptions(steps=25, tv_weight=0.0)


@pytest.fixture
def small(photo: Tensor) -> Tensor:
    return photo[..., :32, :32].contiguous()


def test_a_shallow_layer_gives_the_picture_back(small: Tensor, encoder: Encoder) -> None:
    steps = list(rebuilt(small, RebuildTarget(content_layer="conv1_1"), encoder=encoder, options=FEW))
    assert error_of(steps[-1]) < 0.01 < error_of(steps[0])
    assert (steps[-1].image - small).abs().mean() < 0.03


def test_style_forgets_where_and_keeps_what(small: Tensor, encoder: Encoder) -> None:
    target = RebuildTarget(style_layer=("relu1_1", "relu2_1"))
    steps = list(rebuilt(small, target, encoder=encoder, options=FEW))
    assert error_of(steps[-1]) < 0.5 * error_of(steps[0])
    assert (steps[-1].image - small).abs().mean() > 0.05


@pytest.mark.parametrize("name", sorted(STYLE_LOSSES))
def test_every_style_loss_can_be_rebuilt_from(name: str, small: Tensor, encoder: Encoder) -> None:
    options = RebuildOptions(steps=4, style_loss=name)
    steps = list(rebuilt(small, RebuildTarget(style_layer=("relu2_1",)), encoder=encoder, options=options))
    assert error_of(steps[-1]) < error_of(steps[0])


def test_the_noise_follows_the_seed(small: Tensor, encoder: Encoder) -> None:
    def last(seed: int) -> Tensor:
        options = RebuildOptions(steps=2, seed=seed)
        *_, step = rebuilt(small, RebuildTarget(content_layer="relu1_1"), encoder=encoder, options=options)
        return step.image

    assert torch.equal(last(1), last(1))
    assert not torch.equal(last(1), last(2))


def test_it_ends_early_when_nothing_is_left_to_gain(small: Tensor, encoder: Encoder) -> None:
    options = RebuildOptions(steps=500, tv_weight=100.0)
    steps = list(rebuilt(small, RebuildTarget(content_layer="relu1_1"), encoder=encoder, options=options))
    assert steps[-1].index < 200


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (RebuildTarget(), "neither of"),
        (RebuildTarget(content_layer="relu1_1", style_layer=("relu1_1",)), "both of"),
    ],
)
def test_one_kind_of_target_is_needed(target: RebuildTarget, words: str, small: Tensor, encoder: Encoder) -> None:
    with pytest.raises(OptionError, match=words):
        next(rebuilt(small, target, encoder=encoder))


def test_unknown_names_and_small_pictures_are_refused(small: Tensor, encoder: Encoder) -> None:
    with pytest.raises(UnknownName, match="relu1_1"):
        next(rebuilt(small, RebuildTarget(content_layer="relu1_9"), encoder=encoder))
    options = RebuildOptions(style_loss="grm")
    with pytest.raises(UnknownName, match="gram"):
        next(rebuilt(small, RebuildTarget(style_layer=("relu1_1",)), encoder=encoder, options=options))
    with pytest.raises(ImageTooSmall, match="relu5_1 needs 32"):
        next(rebuilt(small[..., :20, :], RebuildTarget(content_layer="relu5_1"), encoder=encoder))


def test_targets_grow_by_one_layer() -> None:
    content, style = layer_targets(("a", "b"))
    assert [t.content_layer for t in content] == ["a", "b"]
    assert [t.style_layer for t in style] == [("a",), ("a", "b")]


def test_the_sheet_shows_every_reconstruction(small: Tensor, encoder: Encoder) -> None:
    ends: dict[int, LayerStep] = {}
    for at in layer_steps(small, ("relu1_1", "relu2_1"), encoder=encoder, options=RebuildOptions(steps=2)):
        ends[at.number] = at
    assert sorted(ends) == [1, 2, 3, 4]
    sheet = layer_sheet(small, list(ends.values()), cell_px=32)
    assert sheet.shape[-1] > 3 * 32
    assert sheet.shape[-2] > 2 * 32


def test_all_layers_are_checked_before_the_first_is_rebuilt(small: Tensor, encoder: Encoder) -> None:
    with pytest.raises(UnknownName):
        next(layer_steps(small, ("relu1_1", "relu9_1"), encoder=encoder))


def test_a_loss_that_matches_neighbours_rebuilds_no_picture() -> None:
    with pytest.raises(OptionError, match="neighbours has no statistic to rebuild a picture from"):
        _statistic_loss("neighbours")
