import pytest
import torch

from impasto.core.errors import OptionError
from impasto.nets.bands import BAND_NUMBERS, LEVELS, LIMIT, band_covariances, by_band, in_bands
from impasto.nets.residual import Residual

SIZES = [(96, 128), (61, 47), (5, 3), (1, 1)]


def picture(height, width, *, seed=0, contrast=0.1):
    """Noise of several sizes around mid grey: every band has some contrast, and nothing is clipped."""
    draw = torch.Generator().manual_seed(seed)
    image = torch.full((1, 3, height, width), 0.5)
    for side in (1, 4, 16):
        small = torch.randn(1, 3, -(-height // side), -(-width // side), generator=draw)
        image += contrast * torch.nn.functional.interpolate(small, size=(height, width), mode="nearest") / 2
    return image.clamp(0.02, 0.98)


@pytest.mark.parametrize("size_hw", SIZES)
def test_a_picture_with_its_own_contrast_stays_as_it_is(size_hw):
    image = picture(*size_hw)
    torch.testing.assert_close(in_bands(image, band_covariances(image)), image, atol=1e-5, rtol=0)


def test_the_contrast_of_each_band_comes_near_that_of_the_style_and_the_mean_stays():
    image, style = picture(256, 192, contrast=0.06), picture(160, 224, seed=1, contrast=0.12)
    target = band_covariances(style)
    painted = in_bands(image, target)
    before, after, aim = (by_band(band_covariances(x)).diagonal(dim1=2, dim2=3).sum(2) for x in (image, painted, style))
    assert (after / aim - 1).abs().max() < 0.45  # bands overlap, so that each is met only nearly
    assert ((after / aim - 1).abs() < (before / aim - 1).abs()).all()
    torch.testing.assert_close(painted.mean((2, 3)), image.mean((2, 3)), atol=2e-3, rtol=0)


def test_a_constant_picture_stays_constant():
    image = torch.full((1, 3, 40, 50), 0.3)
    torch.testing.assert_close(in_bands(image, band_covariances(picture(64, 64))), image, atol=1e-6, rtol=0)


def test_noise_is_amplified_by_the_limit_at_most():
    noise = 0.5 + 0.002 * torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(3))
    painted = in_bands(noise, band_covariances(picture(64, 64, contrast=0.3)))
    assert (painted - 0.5).std() <= LIMIT * (noise - 0.5).std()


def test_pictures_of_a_batch_are_matched_each_by_itself():
    images = torch.cat([picture(40, 48, seed=seed) for seed in (1, 2)])
    targets = torch.cat([band_covariances(picture(40, 48, seed=seed, contrast=0.2)) for seed in (3, 4)])
    alone = torch.cat([in_bands(images[i : i + 1], targets[i : i + 1]) for i in (0, 1)])
    torch.testing.assert_close(in_bands(images, targets), alone, atol=1e-5, rtol=0)
    same = in_bands(images, targets[:1])
    torch.testing.assert_close(same[1:], in_bands(images[1:], targets[:1]), atol=1e-5, rtol=0)


def test_there_is_one_covariance_a_band_and_one_of_the_rest():
    assert band_covariances(picture(32, 32)).shape == (1, BAND_NUMBERS)
    assert BAND_NUMBERS == 9 * (LEVELS + 1)


def network(**numbers):
    torch.manual_seed(0)
    net = Residual(
        widths=(8, 16), blocks=1, outer_px=3, recolours=True, matches_palette=True, matches_bands=True, **numbers
    )
    net.last.conv.weight.data.normal_(0, 0.05)
    palette = torch.cat([torch.full((1, 3), 0.5), 0.02 * torch.eye(3)]).flatten()
    net.palette.copy_(palette.expand_as(net.palette))
    return net.eval()


@pytest.mark.parametrize("size_hw", [(61, 47), (64, 80)])
@pytest.mark.parametrize("room_bytes", [0, 1 << 30])
@torch.no_grad()
def test_strips_equal_the_whole(size_hw, room_bytes):
    net = network()
    image, plain = picture(*size_hw), net(picture(*size_hw))
    net.bands.copy_(band_covariances(picture(64, 64, seed=5, contrast=0.3))[0])
    whole = net(image)
    strips = net.strips(lambda a, b: image[:, :, a:b], size_hw, room_bytes=room_bytes, strip_px=600)
    torch.testing.assert_close(torch.cat([part for _, part in strips], dim=2), whole, atol=1e-4, rtol=0)
    assert (whole - plain).abs().mean() > 0.01


@torch.no_grad()
def test_the_contrasts_of_several_styles_are_mixed_by_weight():
    net = network(styles=2)
    targets = torch.cat([band_covariances(picture(64, 64, seed=seed, contrast=seed / 10)) for seed in (1, 3)])
    net.bands.copy_(targets)
    torch.testing.assert_close(net.contrast(torch.tensor([[0.25, 0.75]])), 0.25 * targets[:1] + 0.75 * targets[1:])


@torch.no_grad()
def test_unknown_contrast_is_not_matched():
    net = network()
    with_palette_only = Residual(widths=(8, 16), blocks=1, outer_px=3, recolours=True, matches_palette=True).eval()
    with_palette_only.load_state_dict({k: v for k, v in net.state_dict().items() if k != "bands"})
    image = picture(48, 40)
    torch.testing.assert_close(net(image), with_palette_only(image))


def test_bands_are_matched_before_the_palette_only():
    with pytest.raises(OptionError, match="matches_bands needs matches_palette"):
        Residual(widths=(8,), blocks=0, recolours=True, matches_bands=True)
