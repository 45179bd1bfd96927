"""Laws of the VGG family, on narrow copies."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch import Tensor, nn

from impasto.core.errors import ImageTooSmall, UnknownName
from impasto.encoders.gains import measured_gains, natural_noise
from impasto.encoders.scaling import channel_means, unit_mean
from impasto.encoders.vgg import STAGES, Vgg, give_batch_norm

NARROW = ((4, 2), (5, 2), (6, 3), (6, 2), (6, 1))


def narrow(**options: object) -> Vgg:
    return Vgg(NARROW, **options).eval()  # type: ignore[arg-type]


@pytest.fixture
def image() -> Tensor:
    return torch.rand(2, 3, 48, 64)


def test_the_layers_of_vgg19() -> None:
    with torch.device("meta"):
        layers = Vgg(STAGES["vgg19"]).layers
    assert [name for name in layers if name.startswith("relu")] == [
        *("relu1_1", "relu1_2", "relu2_1", "relu2_2"),
        *(f"relu{s}_{i}" for s in (3, 4, 5) for i in (1, 2, 3, 4)),
    ]
    assert [name for name in layers if name.startswith("pool")] == ["pool1", "pool2", "pool3", "pool4"]
    assert layers[:6] == ("conv1_1", "relu1_1", "conv1_2", "relu1_2", "pool1", "conv2_1")
    assert len(layers) == 2 * 16 + 4


def test_the_layers_of_vgg16() -> None:
    with torch.device("meta"):
        net = Vgg(STAGES["vgg16"])
    assert len(net.convs) == 13
    assert "relu3_3" in net.layers
    assert "relu3_4" not in net.layers
    assert [net.width(f"relu{s}_1") for s in range(1, 6)] == [64, 128, 256, 512, 512]


@pytest.mark.parametrize("padding", ["zeros", "reflect"])
def test_width_and_stride_are_those_of_the_features(padding: str, image: Tensor) -> None:
    net = narrow(padding=padding)
    feats = net(image, net.layers)
    assert tuple(feats) == net.layers
    for name, found in feats.items():
        assert found.shape == (2, net.width(name), 48 // net.stride(name), 64 // net.stride(name)), name


def test_relu_and_pool_follow_from_the_convolution(image: Tensor) -> None:
    feats = narrow()(image, ["conv1_2", "relu1_2", "pool1"])
    torch.testing.assert_close(feats["relu1_2"], feats["conv1_2"].relu())
    torch.testing.assert_close(feats["pool1"], nn.functional.max_pool2d(feats["relu1_2"], 2))


def test_asking_for_more_changes_nothing(image: Tensor) -> None:
    net = narrow()
    whole = net(image, net.layers)
    for name in net.layers:
        assert torch.equal(net(image, [name])[name], whole[name]), name


@pytest.mark.parametrize(
    ("asked", "last"),
    [
        (["conv1_1"], "conv1_1"),
        (["relu1_1"], "conv1_1"),
        (["pool1"], "conv1_2"),
        (["relu3_2", "relu1_1"], "conv3_2"),
        (["pool4"], "conv4_2"),
        (["relu5_1", "relu2_2"], "conv5_1"),
        ([], None),
    ],
)
def test_computes_no_deeper_than_asked(asked: list[str], last: str | None, image: Tensor) -> None:
    net = narrow()
    counts: Counter[str] = Counter()
    for name, conv in net.convs.items():
        conv.register_forward_hook(lambda *_, name=name: counts.update([name]))  # type: ignore[misc]
    feats = net(image, iter(asked))
    assert set(feats) == set(asked)
    names = list(net.convs)
    assert list(counts) == names[: names.index(last) + 1 if last else 0]
    assert set(counts.values()) <= {1}


def test_pools_no_deeper_than_asked(monkeypatch: pytest.MonkeyPatch, image: Tensor) -> None:
    net, pooled = narrow(), []
    inner = Vgg._pool
    monkeypatch.setattr(Vgg, "_pool", lambda self, x, stage: pooled.append(stage) or inner(self, x, stage))
    net(image, ["relu2_2"])
    assert pooled == [1]
    net(image, ["pool2"])
    assert pooled == [1, 1, 2]


@pytest.mark.parametrize("padding", ["zeros", "reflect"])
@pytest.mark.parametrize("layer", ["relu1_1", "pool1", "conv3_1", "pool4", "relu5_1"])
def test_the_smallest_picture_is_enough_and_no_smaller_one_is(layer: str, padding: str) -> None:
    net = narrow(padding=padding)
    need = net.smallest_px([layer, "relu1_1"])
    assert min(net(torch.rand(1, 3, need, need + 3), [layer])[layer].shape[-2:]) == 2
    with pytest.raises(ImageTooSmall, match=f"{need}×{need - 1} px here; {layer} needs {need} px a side"):
        net(torch.rand(1, 3, need - 1, need), [layer])


def test_too_small_names_the_layer_that_needs_most() -> None:
    with pytest.raises(ImageTooSmall, match="pool4 needs 32 px"):
        narrow()(torch.rand(1, 3, 20, 20), ["relu1_1", "pool4", "relu4_2"])


@pytest.mark.parametrize(("name", "nearest"), [("relu4_9", "relu4_"), ("relu_4_1", "relu4_1"), ("pool5", "pool")])
def test_an_unknown_layer_names_the_nearest(name: str, nearest: str, image: Tensor) -> None:
    net = narrow()
    for ask in (net.width, net.stride, lambda n: net.smallest_px([n]), lambda n: net(image, [n])):
        with pytest.raises(UnknownName, match=f"unknown layer '{name}'. Did you mean '{nearest}"):
            ask(name)


def test_an_unknown_kind_of_pooling_or_padding() -> None:
    with pytest.raises(UnknownName, match="pooling 'maximum'"):
        narrow(pooling="maximum")
    with pytest.raises(UnknownName, match="padding 'reflection'"):
        narrow(padding="reflection")


def test_zero_padding_sees_the_mean_colour_outside_the_picture() -> None:
    """The published networks pad after the colours were centred."""
    net = narrow(matrix=((2, 0, 0), (0, 2, 0), (0, 0, 2)), offset=(-1, -1, -1))
    grey = torch.full((1, 3, 8, 8), 0.5)  # maps to zero, what the padding holds
    found = net(grey, ["conv1_1"])["conv1_1"]
    torch.testing.assert_close(found, found[..., :1, :1].expand_as(found))


def test_a_flat_picture_stays_flat_under_reflection() -> None:
    found = narrow(padding="reflect")(torch.full((1, 3, 32, 32), 0.3), ["relu5_1"])["relu5_1"]
    torch.testing.assert_close(found, found[..., :1, :1].expand_as(found))


def test_average_pooling_of_one_sign_is_gentler_than_max(image: Tensor) -> None:
    net = narrow()
    strongest = net(image, ["pool1"])["pool1"]
    net.pooling = "average"
    assert bool((net(image, ["pool1"])["pool1"] <= strongest + 1e-6).all())


# Gains


def rms(feats: Tensor) -> float:
    return feats.square().mean().sqrt().item()


@pytest.mark.parametrize(("native", "other"), [("max", "average"), ("average", "max")])
def test_gains_give_the_strength_of_the_native_pooling(native: str, other: str) -> None:
    net = narrow(pooling=native)
    pools = ["pool1", "pool2", "pool3", "pool4"]
    measured, others = natural_noise(128, count=2, seed=0), natural_noise(96, count=2, seed=1)
    wanted, wanted_of_others = net(measured, pools), net(others, pools)
    gains = measured_gains(net, other)
    assert (net.pooling, net.pool_gain) == (native, (1.0,) * 4)
    net.pool_gain, net.pooling = gains, other  # type: ignore[assignment]
    found, found_of_others = net(measured, pools), net(others, pools)
    for name in pools:
        assert rms(found[name]) == pytest.approx(rms(wanted[name]), rel=1e-4), name
        assert rms(found_of_others[name]) == pytest.approx(rms(wanted_of_others[name]), rel=0.1), name


def test_gains_of_the_native_pooling_are_one() -> None:
    assert measured_gains(narrow(), "max") == pytest.approx((1.0,) * 4)
    assert all(gain > 1 for gain in measured_gains(narrow(), "average"))


def test_natural_noise_falls_with_the_frequency() -> None:
    noise = natural_noise(64, count=4, seed=0)
    assert noise.shape == (4, 3, 64, 64)
    assert 0 <= float(noise.min()) < float(noise.max()) <= 1
    power = torch.fft.rfft2(noise - noise.mean((2, 3), keepdim=True)).abs().square().mean((0, 1))
    assert float(power[2, 2]) > 10 * float(power[12, 12]) > 0
    assert torch.equal(noise, natural_noise(64, count=4, seed=0))


# Batch norm


def trained_norms(net: Vgg) -> Vgg:
    """Norms with statistics and factors as after a training."""
    for norm in net.norms.values():
        assert isinstance(norm, nn.BatchNorm2d)
        for tensor in (norm.weight, norm.bias, norm.running_mean):
            nn.init.normal_(tensor, 0.3)  # type: ignore[arg-type]
        nn.init.uniform_(norm.running_var, 0.1, 3.0)  # type: ignore[arg-type]
    return net


def test_folding_is_exact(image: Tensor) -> None:
    normed = trained_norms(narrow(batch_norm=True)).double()
    folded = narrow().double()
    folded.convs.load_state_dict(normed.convs_folded())
    with torch.no_grad():
        found, wanted = folded(image.double(), folded.layers), normed(image.double(), normed.layers)
    for name in folded.layers:
        torch.testing.assert_close(found[name], wanted[name], rtol=1e-10, atol=1e-10)


def test_folding_without_norms_copies() -> None:
    net = narrow()
    tensors = net.convs_folded()
    assert tensors.keys() == net.convs.state_dict().keys()
    tensors["conv1_1.weight"].zero_()
    assert bool(net.convs["conv1_1"].weight.any())


@pytest.mark.parametrize("training", [True, False])
def test_giving_batch_norm_changes_nothing(training: bool, image: Tensor) -> None:
    net = narrow().train(training)
    with torch.no_grad():
        wanted = net(image, net.layers)
    give_batch_norm(net, image)
    assert net.training is training
    assert all(norm.training is training for norm in net.norms.values())
    assert set(net.norms) == set(net.convs)
    assert not any(int(norm.num_batches_tracked) for norm in net.norms.values())  # type: ignore[arg-type]
    with torch.no_grad():
        found = net(image, net.layers)
    for name in net.layers:
        torch.testing.assert_close(found[name], wanted[name], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("training", [True, False])
def test_given_norms_fold_away_again(training: bool, image: Tensor) -> None:
    net = narrow().train(training)
    before = net.convs_folded()
    give_batch_norm(net, image)
    for name, tensor in net.convs_folded().items():
        torch.testing.assert_close(tensor, before[name], rtol=1e-4, atol=1e-5)


# Unit mean


@pytest.mark.parametrize("pooling", ["average", "max"])
def test_unit_mean_scales_and_does_nothing_else(pooling: str, image: Tensor) -> None:
    net = narrow(pooling=pooling)
    for conv in net.convs.values():
        nn.init.uniform_(conv.bias, 0.1, 0.5)  # type: ignore[arg-type]
    scaled = narrow(pooling=pooling)
    scaled.load_convs(unit_mean(net, image))
    with torch.no_grad():
        found, wanted = scaled(image, ["relu3_3"])["relu3_3"], net(image, ["relu3_3"])["relu3_3"]
    means = channel_means(scaled, image, layer="relu3_3")
    assert float(means.max()) == pytest.approx(1, abs=1e-3)
    alive = means > 0.99
    assert bool(alive.any())
    torch.testing.assert_close(
        found[:, alive], wanted[:, alive] / wanted[:, alive].mean((0, 2, 3), keepdim=True), rtol=1e-3, atol=1e-3
    )


def test_large_pictures_are_computed_again_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    net = Vgg([(4, 2), (6, 2)], padding="reflect", pooling="average").requires_grad_(False)
    layers = ["relu1_1", "pool1", "relu2_1"]
    found = {}
    for spared_pixels in (10**9, 1):
        monkeypatch.setattr("impasto.encoders.vgg.SPARED_PIXELS", spared_pixels)
        calls = []
        handle = net.convs["conv1_2"].register_forward_hook(lambda *_, calls=calls: calls.append(1))
        image = torch.rand(1, 3, 12, 10, generator=torch.Generator().manual_seed(1)).requires_grad_(True)
        sum(feats.square().sum() for feats in net(image, layers).values()).backward()
        handle.remove()
        found[spared_pixels] = (image.grad, len(calls))
    (kept, once), (again, twice) = found.values()
    assert (once, twice) == (1, 2)
    assert torch.equal(kept, again)
