"""Gram matrices and channels as pictures."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from impasto.analysis.colours import coloured, pixel_doubled, to_unit
from impasto.analysis.features import channels_of, feature_sheet, grid_columns
from impasto.analysis.gram import channel_order, cosine, gram_matrices, gram_picture, gram_sheet
from impasto.config.analysis import FeatureOptions, GramOptions
from impasto.core.errors import OptionError, UnknownName
from impasto.encoders.table import Encoder
from impasto.image.colour import luminance


def test_the_sequential_map_gets_lighter_all_the_way() -> None:
    ramp = coloured(torch.linspace(0, 1, 64)[None], kind="sequential")
    assert bool((luminance(ramp).flatten().diff() > 0).all())


def test_the_diverging_map_is_lightest_in_the_middle_and_has_two_hues() -> None:
    ramp = coloured(torch.linspace(0, 1, 65)[None], kind="diverging")[0, :, 0]  # (3, 65)
    assert int(ramp.sum(0).argmax()) == 32
    assert ramp[2, 8] > ramp[0, 8]
    assert ramp[0, 56] > ramp[2, 56]


def test_an_unknown_map_is_refused() -> None:
    with pytest.raises(UnknownName, match="sequential"):
        coloured(torch.zeros(1, 1), kind="sequentail")


@pytest.mark.parametrize("scale", ["log", "linear"])
def test_numbers_keep_their_order_and_sign(scale: str) -> None:
    values = torch.linspace(-2, 3, 21)
    shares, kind = to_unit(values, scale=scale)
    assert kind == "diverging"
    assert bool((shares.diff() > 0).all())
    assert float(shares[values.abs().argmin()]) == pytest.approx(0.5)
    assert to_unit(values.abs(), scale=scale)[1] == "sequential"
    assert float(to_unit(values.abs(), scale=scale)[0].max()) == pytest.approx(1.0)


def test_zeros_have_a_colour() -> None:
    assert float(to_unit(torch.zeros(3))[0].max()) == 0


def test_pixels_are_doubled_whole() -> None:
    image = torch.rand(1, 3, 2, 3)
    doubled = pixel_doubled(image, long_side_px=10)
    assert doubled.shape == (1, 3, 6, 9)
    assert torch.equal(doubled[..., ::3, ::3], image)
    assert torch.equal(pixel_doubled(image, long_side_px=2), image)


@pytest.mark.parametrize("order", ["index", "strongest", "clustered"])
def test_an_order_is_a_permutation_and_the_matrix_stays_symmetric(order: str, photo: Tensor, encoder: Encoder) -> None:
    (matrix,) = gram_matrices(photo, ["relu2_1"], encoder=encoder, order=order)
    (plain,) = gram_matrices(photo, ["relu2_1"], encoder=encoder)
    assert sorted(matrix.channels) == list(range(encoder.width("relu2_1")))
    assert torch.allclose(matrix.values, matrix.values.T)
    assert torch.equal(matrix.values, plain.values[list(matrix.channels)][:, list(matrix.channels)])


def test_clustering_brings_together_what_fires_together() -> None:
    group = torch.tensor([0, 1, 0, 1, 0, 1])
    values = torch.where(group[:, None] == group[None], 1.0, 0.1)
    ordered = group[channel_order(values, "clustered")]
    assert int((ordered.diff() != 0).sum()) == 1


def test_clustering_takes_silent_channels() -> None:
    values = torch.diag(torch.tensor([1.0, 0.0, 2.0, 0.0]))
    assert sorted(channel_order(values, "clustered").tolist()) == [0, 1, 2, 3]
    assert float(cosine(values).diagonal()[1]) == 0


def test_cosine_is_one_on_the_diagonal(photo: Tensor, encoder: Encoder) -> None:
    (matrix,) = gram_matrices(photo, ["conv1_1"], encoder=encoder)
    assert torch.allclose(cosine(matrix.values).diagonal(), torch.ones(len(matrix.channels)))
    assert gram_picture(matrix, scale="cosine").shape == (1, 3, *matrix.values.shape)


@pytest.mark.parametrize("scale", ["log", "linear", "cosine"])
def test_a_gram_sheet_shows_all_layers(scale: str, photo: Tensor, encoder: Encoder) -> None:
    options = GramOptions(layers=("relu1_1", "conv2_1"), scale=scale, order="clustered", cell_px=32)
    sheet = gram_sheet(photo, encoder=encoder, options=options, name="photo.png")
    assert sheet.shape[-1] > 3 * 32


def test_gram_refuses_unknown_names(photo: Tensor, encoder: Encoder) -> None:
    with pytest.raises(UnknownName, match="clustered"):
        channel_order(torch.eye(3), "clusterd")
    with pytest.raises(UnknownName, match="relu1_1"):
        gram_matrices(photo, ["relu1_7"], encoder=encoder)
    with pytest.raises(OptionError, match="no layer"):
        gram_matrices(photo, [], encoder=encoder)


def test_channels_by_strength_and_by_number(photo: Tensor, encoder: Encoder) -> None:
    strongest = channels_of(photo, "relu3_1", encoder=encoder, count=5)
    strengths = [channel.strength for channel in strongest]
    assert strengths == sorted(strengths, reverse=True)
    assert len(strongest) == 5
    everything = channels_of(photo, "relu3_1", encoder=encoder, count=0, order="index")
    assert [channel.index for channel in everything] == list(range(8))
    assert max(channel.strength for channel in everything) == strengths[0]
    with pytest.raises(UnknownName, match="strongest"):
        channels_of(photo, "relu3_1", encoder=encoder, order="strong")


@pytest.mark.parametrize("layer", ["relu2_1", "conv2_1"])
def test_a_feature_sheet_takes_both_signs(layer: str, photo: Tensor, encoder: Encoder) -> None:
    options = FeatureOptions(layer=layer, channels=99, cell_px=24)
    assert feature_sheet(photo, encoder=encoder, options=options).shape[1] == 3


def test_a_grid_is_about_square() -> None:
    assert [grid_columns(n) for n in (1, 2, 4, 5, 64)] == [1, 2, 2, 3, 8]
