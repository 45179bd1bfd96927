"""Noise by place and seed."""

from __future__ import annotations

import pytest
import torch

from impasto.core.errors import OptionError
from impasto.nets.layers import blurred_double
from impasto.nets.moments import moments
from impasto.nets.noise import SeededNoise, noise_plane, with_noise
from impasto.nets.residual import Residual


def test_a_plane_is_standard_normal_and_white():
    plane = noise_plane(0, 512, left=0, right=512, layer=3)[0, 0]
    assert plane.mean().abs() < 0.01
    assert plane.std() == pytest.approx(1, abs=0.01)
    for shifted in (plane.roll(1, 0), plane.roll(1, 1), noise_plane(0, 512, left=0, right=512, layer=4)[0, 0]):
        assert (plane * shifted).mean().abs() < 0.01


@pytest.mark.parametrize(("start", "stop", "width"), [(0, 7, 31), (5, 6, 64), (40, 64, 10)])
def test_a_part_of_a_plane_is_cut_from_the_whole(start, stop, width):
    whole = noise_plane(0, 64, left=0, right=64, layer=1, seed=9)
    assert torch.equal(noise_plane(start, stop, left=0, right=width, layer=1, seed=9), whole[:, :, start:stop, :width])


def test_seeds_differ():
    assert not torch.equal(
        noise_plane(0, 8, left=0, right=8, layer=0, seed=1), noise_plane(0, 8, left=0, right=8, layer=0, seed=2)
    )


def test_noise_is_scaled_per_channel():
    x = with_noise(
        torch.zeros(2, 3, 40, 40), torch.tensor([0.0, 0.1, 0.2]), plane=noise_plane(0, 40, left=0, right=40, layer=0)
    )
    assert torch.equal(x[:, 0], torch.zeros(2, 40, 40))
    torch.testing.assert_close(x[:, 2], 2 * x[:, 1])
    assert x[0, 1].std() == pytest.approx(1, abs=0.1)


def test_a_checkerboard_of_the_smaller_grid_vanishes():
    checker = ((torch.arange(16)[:, None] + torch.arange(16)) % 2).float()[None, None]
    assert blurred_double(checker)[..., 4:-4, 4:-4].std() < 1e-6
    assert blurred_double(torch.full((1, 2, 5, 7), 0.3)).sub(0.3).abs().max() < 1e-6


@pytest.mark.parametrize("unshuffle", [1, 2])
@pytest.mark.parametrize("room_bytes", [0, 1 << 30])
def test_strips_of_a_noisy_network_equal_the_whole(unshuffle, room_bytes):
    torch.manual_seed(0)
    numbers = {"widths": (8, 16, 24), "blocks": 2, "outer_px": 3, "skips": True, "unshuffle": unshuffle}
    net = Residual(**numbers, upsampling="bilinear", noise=True).eval()
    for parameter in net.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    image = torch.rand(1, 3, 131, 157)
    noise = SeededNoise(3, offset_yx=(13, -7))
    with torch.no_grad():
        whole = net(image, noise=noise)
        options = {"strip_px": 3000, "room_bytes": room_bytes, "noise": noise}
        strips = net.strips(lambda start, stop: image[:, :, start:stop], (131, 157), **options)
        parts = torch.cat([part for _, part in strips], dim=2)
        assert not torch.allclose(whole, net(image), atol=1e-2)
    torch.testing.assert_close(parts, whole, atol=1e-4, rtol=0)


def test_training_draws_its_noise_anew():
    net = Residual(widths=(4, 8), blocks=1, outer_px=3, upsampling="bilinear", noise=True)
    for name, parameter in net.named_parameters():
        if name.endswith("noise"):
            parameter.data.fill_(0.1)
    image = torch.rand(1, 3, 16, 16)
    assert not torch.equal(net.train()(image), net(image))
    assert torch.equal(net.eval()(image), net(image))


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_an_offset_moves_the_noise(stride):
    size = {"stride": stride, "device": torch.device("cpu")}
    plane = SeededNoise(5).plane(2, 0, 40, 60, **size)
    moved = SeededNoise(5, offset_yx=(8, -12)).plane(2, 0, 40, 60, **size)
    down, right = 8 // stride, 12 // stride
    assert torch.equal(moved[..., down:, :-right], plane[..., :-down, right:])


def test_layers_know_how_many_pixels_a_place_covers():
    net = Residual(widths=(4, 6, 8), blocks=1, outer_px=3, upsampling="bilinear", noise=True, unshuffle=2).eval()
    strides: dict[tuple[int, int], int] = {}

    class Recorded:
        def plane(self, layer, start, stop, width, *, stride, device):
            strides[stop - start, width] = stride
            return torch.zeros(1, 1, stop - start, width)

    net(torch.rand(1, 3, 48, 64), noise=Recorded())
    assert strides == {(48 // s, 64 // s): s for s in (8, 4, 2)}


@pytest.mark.parametrize("room_bytes", [0, 1 << 30])
def test_the_finished_picture_has_the_palette_of_the_style(room_bytes):
    torch.manual_seed(0)
    net = Residual(widths=(8, 16), blocks=1, outer_px=3, recolours=True, matches_palette=True).eval()
    net.last.conv.weight.data.normal_(0, 0.05)
    palette = torch.cat([torch.full((1, 3), 0.5), 0.01 * torch.eye(3)])
    net.palette.copy_(palette.flatten())
    image = torch.rand(1, 3, 61, 47)
    with torch.no_grad():
        whole = net(image)
        strips = net.strips(lambda a, b: image[:, :, a:b], (61, 47), room_bytes=room_bytes, strip_px=600)
        parts = torch.cat([part for _, part in strips], dim=2)
    torch.testing.assert_close(moments(whole, covariances=True)[0], palette, atol=3e-3, rtol=0)
    torch.testing.assert_close(parts, whole, atol=1e-4, rtol=0)
    assert not torch.allclose(net.train()(image), whole, atol=0.01)


def test_a_palette_is_needed_to_match_one():
    with pytest.raises(OptionError, match="recolours"):
        Residual(widths=(8,), blocks=0, matches_palette=True)
