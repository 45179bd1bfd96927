from __future__ import annotations

import math
import sys

import numpy as np
import pytest
import torch
from skimage import data, transform
from torch import Tensor

from impasto.core.errors import MissingExtra, OptionError, UnknownName
from impasto.flow.estimators import ESTIMATORS, estimator, luma, resized_flow
from impasto.flow.warping import agreement, blurred, inside, motion_boundaries, trusted, warped

SIZE = (160, 208)


def picture(size_hw: tuple[int, int] = SIZE) -> Tensor:
    photo = transform.resize(data.astronaut(), (size_hw[0] + 64, size_hw[1] + 64), anti_aliasing=True)
    return torch.from_numpy(photo).permute(2, 0, 1)[None].float()


def affine_flow(matrix: list[list[float]], size_hw: tuple[int, int] = SIZE) -> Tensor:
    """`matrix @ (x, y, 1) - (x, y)` around the middle."""
    y, x = np.mgrid[: size_hw[0], : size_hw[1]].astype(np.float32)
    cx, cy = size_hw[1] / 2, size_hw[0] / 2
    (a, b, c), (d, e, f) = matrix
    flow = np.stack([a * (x - cx) + b * (y - cy) + c - (x - cx), d * (x - cx) + e * (y - cy) + f - (y - cy)])
    return torch.from_numpy(flow.astype(np.float32))[None]


def moved(flow: Tensor) -> tuple[Tensor, Tensor]:
    """Two frames between which the motion is known: what `flow` takes from the first to the second."""
    wide = picture()
    second = wide[..., 32:-32, 32:-32]
    padded = torch.nn.functional.pad(flow, (32, 32, 32, 32), mode="replicate")
    return warped(wide, padded)[..., 32:-32, 32:-32], second


MOTIONS = {
    "still": [[1, 0, 0], [0, 1, 0]],
    "shift": [[1, 0, 3.5], [0, 1, -2.25]],
    "zoom and turn": [[1.02, -0.01, 1.0], [0.01, 1.02, 0.5]],
}


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("motion", MOTIONS)
def test_known_motion_is_found(name: str, motion: str) -> None:
    flow = affine_flow(MOTIONS[motion])
    first, second = moved(flow)
    error = (estimator(name)(first, second) - flow).norm(dim=1)[..., 16:-16, 16:-16]
    assert error.mean() < (0.6 if name == "farneback" else 0.2)  # Farnebäck's finds no motion in the flat background
    assert error.median() < 0.15


def test_the_fine_choice_is_finer() -> None:
    flow = affine_flow(MOTIONS["shift"])
    frames = moved(flow)
    errors = [(estimator(name)(*frames) - flow).norm(dim=1).mean() for name in ("dis-coarse", "dis-fine")]
    assert errors[1] < errors[0]


def test_a_smaller_search_gives_the_flow_of_the_whole() -> None:
    flow = affine_flow(MOTIONS["shift"])
    found = estimator("dis-fine", long_side_px=104)(*moved(flow))
    assert found.shape == flow.shape
    assert (found - flow).norm(dim=1)[..., 16:-16, 16:-16].mean() < 0.5


@pytest.mark.parametrize("size_hw", [(5, 7), (31, 200), (1, 1)])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_frames_of_any_size_have_flow(name: str, size_hw: tuple[int, int]) -> None:
    frame = picture()[..., : size_hw[0], : size_hw[1]]
    found = estimator(name)(frame, frame)
    assert found.shape == (1, 2, *size_hw)
    assert found.abs().median() < 0.01


def test_wrong_frames_and_names_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OptionError, match="208×160 and 207×160 px"):
        estimator("dis")(picture()[..., :160, :208], picture()[..., :160, :207])
    with pytest.raises(UnknownName, match="Did you mean 'dis'"):
        estimator("dsi")
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingExtra, match=r"impasto\[video\]"):
        estimator("dis")


def test_resized_flow_scales_its_vectors() -> None:
    flow = torch.tensor([3.0, -2.0]).view(1, 2, 1, 1).expand(1, 2, 10, 20)
    larger = resized_flow(flow, (30, 40))
    assert larger.shape == (1, 2, 30, 40)
    assert torch.allclose(larger, torch.tensor([6.0, -6.0]).view(1, 2, 1, 1).expand(1, 2, 30, 40))
    assert resized_flow(flow, (10, 20)) is flow


@pytest.mark.parametrize("mode", ["cubic", "linear", "nearest"])
def test_warping_by_whole_pixels_moves_pixels(mode: str) -> None:
    image = picture()
    flow = torch.tensor([3.0, -2.0]).view(1, 2, 1, 1).expand(1, 2, *image.shape[-2:])
    found = warped(image, flow, mode=mode)
    assert torch.allclose(found[..., 2:, :-3], image[..., :-2, 3:], atol=1e-6)
    assert torch.equal(warped(image, torch.zeros_like(flow), mode=mode), image)


def test_warping_one_channel_and_masks_keeps_their_shape() -> None:
    mask = picture()[:, :1]
    assert warped(mask, torch.zeros(1, 2, *mask.shape[-2:])).shape == mask.shape
    assert blurred(mask, 2.0).shape == mask.shape


def test_the_wider_kernel_keeps_more_detail() -> None:
    image = picture()
    half = torch.full((1, 2, *image.shape[-2:]), 0.5)
    errors = []
    for mode in ("cubic", "linear"):
        there = warped(image, half, mode=mode)
        errors.append((warped(there, -half, mode=mode) - image).abs()[..., 4:-4, 4:-4].mean())
    assert errors[0] < 0.7 * errors[1]


def test_there_and_back_is_trusted_and_elsewhere_not() -> None:
    flow = affine_flow(MOTIONS["shift"])
    assert trusted(flow, -flow)[..., 4:-4, 4:-4].all()
    assert (agreement(flow, -flow)[..., 4:-4, 4:-4] > 0.99).all()
    assert not trusted(flow, flow).any()
    assert agreement(flow, flow).max() < 1e-6


def test_the_threshold_of_consistency_is_sundarams() -> None:
    """A flow of 10 px and one back of `10 - gap`: trusted up to gap² = 0.01 (100 + (10 - gap)²) + 0.5."""
    flow = torch.zeros(1, 2, 8, 64)
    flow[:, 0] = 10
    for gap, expected in ((1.48, True), (1.5, False)):
        reverse = torch.zeros_like(flow)
        reverse[:, 0] = -(10 - gap)
        assert (gap**2 <= 0.01 * (100 + (10 - gap) ** 2) + 0.5) is expected
        assert bool(trusted(flow, reverse)[..., 4, 20]) is expected
        assert bool(agreement(flow, reverse)[..., 4, 20] > math.exp(-1)) is expected


def test_what_leaves_the_frame_is_not_trusted() -> None:
    flow = torch.zeros(1, 2, 20, 30)
    flow[:, 0] = 4
    assert inside(flow)[..., :, :26].all()
    assert not inside(flow)[..., :, 26:].any()
    assert not trusted(flow, -flow)[..., 26:].any()


def test_a_moving_square_has_motion_boundaries_at_its_edge() -> None:
    flow = torch.zeros(1, 2, 40, 40)
    flow[..., 10:30, 10:30] = 5
    edge = motion_boundaries(flow)[0, 0]
    assert edge[15, 9:11].all()
    assert not edge[20, 15:25].any()
    assert not edge[:5].any()


def test_luminance_of_grey_is_grey() -> None:
    grey = torch.rand(2, 1, 5, 6).expand(2, 3, 5, 6)
    assert torch.allclose(luma(grey), grey[:, :1])
