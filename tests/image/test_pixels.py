"""Value ranges: levels and floats, and the colour maps of pretrained networks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.core.errors import NotFinite, OptionError, UnknownName
from impasto.image.pixels import PREPROCESS, Preprocess, from_bytes, over_white, preprocess_from, to_bytes


@pytest.mark.parametrize(("bits", "dtype"), [(8, np.uint8), (16, np.uint16)])
def test_every_level_survives_the_round_trip(bits: int, dtype: type) -> None:
    levels = np.arange(2**bits, dtype=dtype).reshape(1, 2**bits, 1)
    image = from_bytes(levels)
    assert image.shape == (1, 1, 1, 2**bits)
    assert image.min() == 0
    assert image.max() == 1
    assert np.array_equal(to_bytes(image, bits=bits)[0], levels)


@pytest.mark.parametrize("bits", [8, 16])
@settings(deadline=None, max_examples=50)
@given(value=st.floats(0, 1, width=32))
def test_rounding_moves_a_value_by_half_a_level_at_most(bits: int, value: float) -> None:
    image = torch.full((1, 3, 1, 1), value)
    back = from_bytes(to_bytes(image, bits=bits))
    assert (back - image).abs().max() <= 0.5 / (2**bits - 1) + 1e-7


def test_levels_round_half_up_and_clamp() -> None:
    image = torch.tensor([0.5 / 255, 1.5 / 255, -3.0, 7.0, 254.49 / 255]).view(1, 1, 1, 5)
    assert to_bytes(image).flatten().tolist() == [1, 2, 0, 255, 254]


def test_axes_are_moved_and_batches_kept() -> None:
    image = torch.rand(2, 3, 4, 5)
    assert to_bytes(image).shape == (2, 4, 5, 3)
    assert from_bytes(to_bytes(image)).shape == (2, 3, 4, 5)


def test_from_bytes_copies_floats_and_takes_read_only_arrays() -> None:
    floats = np.ones((2, 2, 1), dtype=np.float32)
    floats.setflags(write=False)
    from_bytes(floats).zero_()
    assert floats.min() == 1


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_not_finite_are_refused(bad: float) -> None:
    image = torch.zeros(1, 3, 2, 2)
    image[0, 1, 0, 0] = bad
    with pytest.raises(NotFinite, match="1 NaN or infinite"):
        to_bytes(image)


def test_unknown_depths_are_refused() -> None:
    with pytest.raises(OptionError, match="8 or 16"):
        to_bytes(torch.zeros(1, 3, 1, 1), bits=12)
    with pytest.raises(OptionError, match="int32"):
        from_bytes(np.zeros((1, 1, 3), dtype=np.int32))


@pytest.mark.parametrize("name", sorted(PREPROCESS))
def test_a_colour_map_and_its_inverse_cancel(name: str) -> None:
    image = torch.rand(2, 3, 3, 4, generator=torch.Generator().manual_seed(0))
    preprocess = PREPROCESS[name]
    assert torch.allclose(preprocess.inverse().apply(preprocess.apply(image)), image, atol=1e-5)
    assert preprocess_from(preprocess.to_dict()) == preprocess
    assert preprocess_from(name) is preprocess


def test_colour_maps_are_what_their_networks_were_trained_on() -> None:
    red = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1)

    def mapped(name: str) -> list[float]:
        return [round(v, 3) for v in PREPROCESS[name].apply(red).flatten().tolist()]

    assert mapped("rgb") == [1, 0, 0]
    assert mapped("rgb-255") == [255, 0, 0]
    assert mapped("imagenet-rgb") == pytest.approx([0.515 / 0.229, -0.456 / 0.224, -0.406 / 0.225], abs=1e-3)
    assert mapped("caffe-bgr") == pytest.approx([-103.939, -116.779, 255 - 123.68], abs=1e-3)
    assert mapped("squeezenet-bgr") == [-104, -117, 132]
    assert mapped("gatys-bgr") == pytest.approx([-103.939, -116.779, 131.32], abs=1e-3)


def test_a_colour_map_uses_the_whole_matrix_and_passes_gradients() -> None:
    matrix = ((1.0, 2.0, 3.0), (4.0, 5.0, 6.0), (7.0, 8.0, 10.0))
    image = torch.rand(1, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    mapped = Preprocess(matrix, (1.0, 0.0, -1.0)).apply(image)
    expected = torch.einsum("oc,bchw->bohw", torch.tensor(matrix, dtype=torch.float64), image)
    assert torch.allclose(mapped, expected + torch.tensor([1.0, 0.0, -1.0], dtype=torch.float64).view(1, 3, 1, 1))
    mapped[:, 0].sum().backward()
    assert image.grad is not None
    assert image.grad[0, :, 0, 0].tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    "value",
    [
        {"matrix": [[1, 0], [0, 1]], "offset": [0, 0, 0]},
        {"matrix": np.eye(3).tolist()},
        {"matrix": np.eye(3).tolist(), "offset": [0, 0, float("nan")]},
        {"matrix": "eye", "offset": [0, 0, 0]},
        {"matrix": [[1, 2, 3], [4, 5], [6]], "offset": [0, 0, 0]},
    ],
)
def test_a_malformed_colour_map_is_refused(value: dict[str, object]) -> None:
    with pytest.raises(OptionError, match="preprocess"):
        preprocess_from(value)


def test_an_unknown_colour_map_names_the_nearest_and_a_singular_one_has_no_inverse() -> None:
    with pytest.raises(UnknownName, match="'caffe-bgr'"):
        preprocess_from("cafe-bgr")
    with pytest.raises(OptionError, match="singular"):
        Preprocess(((0.0,) * 3,) * 3, (0.0,) * 3).inverse()


def test_over_white_mixes_by_alpha_and_leaves_opaque_pictures_alone() -> None:
    pixels = torch.rand(2, 3, 4, 5)
    assert over_white(pixels, None) is pixels
    assert torch.equal(over_white(pixels, torch.ones(2, 1, 4, 5)), pixels)
    assert torch.equal(over_white(pixels, torch.zeros(2, 1, 4, 5)), torch.ones_like(pixels))
    assert torch.allclose(over_white(pixels, torch.full((2, 1, 4, 5), 0.25)), 0.75 + 0.25 * pixels)


def test_over_white_of_large_pictures_stays_in_half_precision() -> None:
    pixels, alpha = torch.rand(1, 3, 4, 5).half(), torch.rand(1, 1, 4, 5)
    result = over_white(pixels, alpha)
    assert result.dtype == torch.float16
    assert torch.allclose(result.float(), over_white(pixels.float(), alpha), atol=1e-3)
