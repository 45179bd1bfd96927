"""Encoders scaled to unit mean."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from impasto.encoders.scaling import DEAD, channel_means, layer_means, unit_mean
from impasto.encoders.vgg import Vgg

STAGES = ((4, 2), (6, 1), (8, 2))


def drawn(*, pooling: str = "average", padding: str = "reflect", seed: int = 1) -> Vgg:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        vgg = Vgg(STAGES, pooling=pooling, padding=padding)  # type: ignore[arg-type]
        for conv in vgg.convs.values():
            torch.nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")  # type: ignore[arg-type]
            torch.nn.init.uniform_(conv.bias, 0.0, 0.5)  # type: ignore[arg-type]
    return vgg.eval().requires_grad_(False)


def scaled(vgg: Vgg, images: Tensor) -> Vgg:
    other = Vgg(vgg.stages, pooling=vgg.pooling, padding=vgg.padding, pool_gain=vgg.pool_gain)  # type: ignore[arg-type]
    other.load_convs(unit_mean(vgg, images))
    return other.eval().requires_grad_(False)


@pytest.fixture
def images(draw_photo: Callable[[int, int], Tensor], draw_painting: Callable[[int, int], Tensor]) -> Tensor:
    photo, painting = draw_photo(32, 32), draw_painting(32, 32)
    return torch.cat([photo, painting, photo.flip(-1), painting.flip(1), 1 - photo])


def relus(vgg: Vgg) -> list[str]:
    return [name for name in vgg.layers if name.startswith("relu")]


def alive(vgg: Vgg, images: Tensor, name: str) -> Tensor:
    means = channel_means(vgg, images, layer=name)
    return means >= DEAD * means.mean()


@pytest.mark.parametrize("padding", ["reflect", "zeros"])
@pytest.mark.parametrize("pooling", ["average", "max"])
def test_every_living_channel_has_mean_one(pooling: str, padding: str, images: Tensor) -> None:
    vgg = drawn(pooling=pooling, padding=padding)
    other = scaled(vgg, images)
    for name in relus(vgg):
        living = alive(vgg, images, name)
        assert int(living.sum()) >= len(living) // 2
        means = channel_means(other, images, layer=name)
        torch.testing.assert_close(means[living], torch.ones(int(living.sum())), atol=1e-4, rtol=0)
        assert bool((means <= 1 + 1e-4).all())


@pytest.mark.parametrize("pooling", ["average", "max"])
def test_features_are_in_proportion_channel_by_channel(pooling: str, images: Tensor, photo: Tensor) -> None:
    vgg = drawn(pooling=pooling)
    other = scaled(vgg, images)
    before, after = vgg(photo, vgg.layers), other(photo, vgg.layers)  # on a picture that was not measured, too
    for name in vgg.layers:
        relu = name.replace("conv", "relu").replace("pool1", "relu1_2").replace("pool2", "relu2_1")
        means = channel_means(vgg, images, layer=relu)
        factor = 1 / torch.maximum(means, DEAD * means.mean())
        expected = before[name] * factor[None, :, None, None]
        torch.testing.assert_close(after[name], expected, atol=2e-4 * float(expected.abs().max()), rtol=0)


def test_a_gain_at_the_poolings_is_kept(images: Tensor) -> None:
    vgg = drawn()
    vgg.pool_gain = (1.5, 0.5)
    other = scaled(vgg, images)
    for name in relus(vgg):
        living = alive(vgg, images, name)
        means = channel_means(other, images, layer=name)[living]
        torch.testing.assert_close(means, torch.ones(len(means)), atol=1e-4, rtol=0)


def test_dead_channels_are_not_blown_up(images: Tensor) -> None:
    vgg = drawn()
    vgg.convs["conv1_2"].bias[1] = -1e4  # type: ignore[index, operator]
    vgg.convs["conv1_2"].weight[1] = 1e-3  # type: ignore[index, operator]
    before = vgg.convs_folded()["conv2_1.weight"][:, 1]
    tensors = unit_mean(vgg, images)
    assert all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values())
    assert float(channel_means(scaled(vgg, images), images, layer="relu1_2")[1]) == 0
    means = channel_means(vgg, images, layer="relu2_1")
    floor = DEAD * channel_means(vgg, images, layer="relu1_2").mean()
    living = torch.maximum(means, DEAD * means.mean())
    torch.testing.assert_close(tensors["conv2_1.weight"][:, 1], before * floor / living[:, None, None])


def test_a_layer_that_is_dead_altogether_stays_finite(images: Tensor) -> None:
    vgg = drawn()
    vgg.convs["conv2_1"].bias.fill_(-1e6)  # type: ignore[operator, union-attr]
    tensors = unit_mean(vgg, images)
    assert all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values())


def test_scaling_again_changes_nothing(images: Tensor) -> None:
    vgg = drawn()
    for conv in vgg.convs.values():  # no channel is nearly dead, which would be raised again
        conv.weight.mul_(0.1)  # type: ignore[operator, union-attr]
        conv.bias.fill_(1.0)  # type: ignore[operator, union-attr]
    once = scaled(vgg, images)
    for name, tensor in unit_mean(once, images).items():
        torch.testing.assert_close(tensor, once.convs_folded()[name], atol=1e-4, rtol=1e-3)


def test_the_network_itself_is_left_alone(images: Tensor) -> None:
    vgg = drawn()
    before = vgg.convs_folded()
    unit_mean(vgg, images)
    assert all(torch.equal(before[name], tensor) for name, tensor in vgg.convs_folded().items())


def test_means_do_not_depend_on_how_pictures_are_batched(images: Tensor) -> None:
    whole, parts = (channel_means(drawn(), images, layer="relu2_1", batch=batch) for batch in (16, 2))
    torch.testing.assert_close(whole, parts)
    expected = drawn()(images, ["relu2_1"])["relu2_1"].mean((0, 2, 3))
    torch.testing.assert_close(whole, expected)


def test_means_for_a_card(images: Tensor) -> None:
    vgg = drawn()
    found = layer_means(vgg, images)
    assert list(found) == relus(vgg)
    assert found["relu3_2"] == pytest.approx(float(channel_means(vgg, images, layer="relu3_2").mean()), abs=1e-3)


def test_batch_norms_are_refused(images: Tensor) -> None:
    with pytest.raises(ValueError, match="fold them first"):
        unit_mean(Vgg(STAGES, batch_norm=True), images)
