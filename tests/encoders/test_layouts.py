"""Encoders read from other projects' files compute what those projects' own layer sequences do.

Each sequence is written out here from the published layout, in plain `torch.nn`, with few channels.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from impasto.encoders.table import Encoder, build_encoder
from impasto.weights.readers import read_checkpoint

WIDTHS = (4, 4, 5, 6, 6)
VGG19 = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)
VGG16 = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
ADAIN_CONVS = (0, 2, 5, 9, 12, 16, 19, 22, 25, 29, 32, 35, 38, 42, 45, 48, 51)
ADAIN_PADS = (1, 4, 8, 11, 15, 18, 21, 24, 28, 31, 34, 37, 41, 44, 47, 50)
ADAIN_POOLS = (7, 14, 27, 40)


@pytest.fixture
def image() -> Tensor:
    return torch.rand(1, 3, 37, 45)  # odd sides tell rounding down from rounding up


def features(conv_at: tuple[int, ...]) -> nn.Sequential:
    """torchvision's `features`: convolution and ReLU by turns, a pooling wherever a number is left out."""
    modules: list[nn.Module] = []
    width, stage = 3, 0
    for number in conv_at:
        if number > len(modules):
            modules.append(nn.MaxPool2d(2, 2))
            stage += 1
        assert number == len(modules)
        modules += [nn.Conv2d(width, WIDTHS[stage], 3, padding=1), nn.ReLU()]
        width = WIDTHS[stage]
    return nn.Sequential(*modules)


def adain() -> nn.Sequential:
    """The table of AdaIN's `vgg_normalised.pth`."""
    modules: list[nn.Module] = []
    width, stage = 3, 0
    for number in range(53):
        if number == 0:
            modules.append(nn.Conv2d(3, 3, 1))
        elif number in ADAIN_CONVS:
            modules.append(nn.Conv2d(width, WIDTHS[stage], 3))
            width = WIDTHS[stage]
        elif number in ADAIN_PADS:
            modules.append(nn.ReflectionPad2d(1))
        elif number in ADAIN_POOLS:
            modules.append(nn.MaxPool2d(2, 2, ceil_mode=True))
            stage += 1
        else:
            modules.append(nn.ReLU())
    return nn.Sequential(*modules)


def outputs(net: nn.Sequential, x: Tensor) -> list[Tensor]:
    found = []
    for module in net:
        x = module(x)
        found.append(x)
    return found


def encoder_of(state: dict[str, Tensor], path: Path, checkpoint_format: str) -> Encoder:
    torch.save(state, path)
    file = read_checkpoint(path, checkpoint_format=checkpoint_format)
    return build_encoder(file.card, file.tensors, sha256=file.sha256, precision="float32")


def named(net: nn.Sequential, prefix: str) -> dict[str, Tensor]:
    return {f"{prefix}{key}": tensor for key, tensor in net.state_dict().items()}


def conv_names(conv_at: Iterable[int], modules: nn.Sequential) -> dict[str, int]:
    """`conv3_2` to its number, by counting the poolings before it."""
    found: dict[str, int] = {}
    stage, index = 1, 0
    for number, module in enumerate(modules):
        if isinstance(module, nn.MaxPool2d):
            stage, index = stage + 1, 0
        elif number in set(conv_at):
            index += 1
            found[f"conv{stage}_{index}"] = number
    return found


@torch.no_grad()
def assert_same(encoder: Encoder, image: Tensor, wanted: list[Tensor], numbers: dict[str, int]) -> None:
    assert list(numbers) == list(encoder.net.convs)
    names = [*numbers, *(name.replace("conv", "relu") for name in numbers)]
    found = encoder(image, names)
    for name, number in numbers.items():
        torch.testing.assert_close(found[name], wanted[number], rtol=1e-4, atol=1e-4)
        relu = name.replace("conv", "relu")
        torch.testing.assert_close(found[relu], wanted[number + 1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("conv_at", [VGG16, VGG19], ids=["vgg16", "vgg19"])
def test_torchvision(conv_at: tuple[int, ...], tmp_path: Path, image: Tensor) -> None:
    net = features(conv_at).eval()
    encoder = encoder_of(named(net, "features."), tmp_path / "vgg.pth", "torchvision-vgg")
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.no_grad():
        wanted = outputs(net, (image - mean[:, None, None]) / std[:, None, None])
    assert_same(encoder, image, wanted, conv_names(conv_at, net))


@pytest.mark.parametrize("conv_at", [VGG16, VGG19], ids=["vgg16", "vgg19"])
def test_caffe(conv_at: tuple[int, ...], tmp_path: Path, image: Tensor) -> None:
    net = features(conv_at).eval()
    encoder = encoder_of(named(net, "features."), tmp_path / "vgg.pth", "caffe-vgg")
    bgr = image[:, [2, 1, 0]] * 255 - torch.tensor([103.939, 116.779, 123.68])[:, None, None]
    with torch.no_grad():
        wanted = outputs(net, bgr)
    assert_same(encoder, image, wanted, conv_names(VGG19 if conv_at is VGG19 else VGG16, net))


def test_gatys(tmp_path: Path, image: Tensor) -> None:
    net = features(VGG19).eval()
    numbers = conv_names(VGG19, net)
    state = {
        f"{name}.{part}": getattr(net[n], part).detach() for name, n in numbers.items() for part in ("weight", "bias")
    }
    assert {"conv1_1.weight", "conv5_4.bias"} <= state.keys()
    encoder = encoder_of(state, tmp_path / "vgg_conv.pth", "gatys-vgg")
    mean = torch.tensor([0.40760392, 0.45795686, 0.48501961])[:, None, None]
    with torch.no_grad():
        wanted = outputs(net, (image[:, [2, 1, 0]] - mean) * 255)
    assert_same(encoder, image, wanted, numbers)


def test_adain(tmp_path: Path, image: Tensor) -> None:
    net = adain().eval()
    assert len(net.state_dict()) == 34
    encoder = encoder_of(named(net, ""), tmp_path / "vgg_normalised.pth", "adain-vgg")
    with torch.no_grad():
        wanted = outputs(net, image)
    numbers = conv_names([n for n in ADAIN_CONVS if n], net)
    relus = {"conv1_1": 3, "conv2_1": 10, "conv3_1": 17, "conv4_1": 30, "conv5_1": 43}
    assert {name: numbers[name] + 1 for name in relus} == relus
    assert wanted[43].shape[-2:] == (3, 3)  # 37×45 halved four times, up
    assert_same(encoder, image, wanted, numbers)


def test_the_layouts_are_told_apart_by_what_they_compute(tmp_path: Path, image: Tensor) -> None:
    """The guard above can fail: the same file under the other colours gives other features."""
    net = features(VGG16)
    one = encoder_of(named(net, "features."), tmp_path / "vgg.pth", "torchvision-vgg")
    other = encoder_of(named(net, "features."), tmp_path / "vgg.pth", "caffe-vgg")
    with pytest.raises(AssertionError):
        torch.testing.assert_close(one(image, ["relu3_1"]), other(image, ["relu3_1"]), rtol=1e-4, atol=1e-4)


# SqueezeNet 1.0


class Fire(nn.Module):
    def __init__(self, width: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.conv1x1_1 = nn.Conv2d(width, squeeze, 1)
        self.conv1x1_2 = nn.Conv2d(squeeze, expand, 1)
        self.conv3x3_2 = nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1x1_1(x).relu()
        return torch.cat([self.conv1x1_2(x).relu(), self.conv3x3_2(x).relu()], dim=1)


def squeezenet() -> nn.Sequential:
    """Table 1 of arXiv 1602.07360."""
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(3, 96, 7, stride=2),
            relu1=nn.ReLU(),
            pool1=nn.MaxPool2d(3, 2, ceil_mode=True),
            fire2=Fire(96, 16, 64),
            fire3=Fire(128, 16, 64),
            fire4=Fire(128, 32, 128),
            pool4=nn.MaxPool2d(3, 2, ceil_mode=True),
            fire5=Fire(256, 32, 128),
            fire6=Fire(256, 48, 192),
            fire7=Fire(384, 48, 192),
            fire8=Fire(384, 64, 256),
            pool8=nn.MaxPool2d(3, 2, ceil_mode=True),
            fire9=Fire(512, 64, 256),
            conv_final=nn.Conv2d(512, 1000, 1, padding=1),
            relu_final=nn.ReLU(),
            pool_final=nn.AdaptiveAvgPool2d(1),
        )
    )


SQUEEZED = {"conv1": "relu1", **{f"fire{n}": f"fire{n}" for n in range(2, 10)}, "scores": "pool_final"}


@torch.no_grad()
def test_squeezenet(tmp_path: Path) -> None:
    net, image = squeezenet().eval(), torch.rand(2, 3, 67, 83)
    encoder = encoder_of(net.state_dict(), tmp_path / "squeezenet.pth", "squeezenet")
    bgr = image[:, [2, 1, 0]] * 255 - torch.tensor([104.0, 117.0, 123.0])[:, None, None]
    wanted = dict(zip((name for name, _ in net.named_children()), outputs(net, bgr), strict=True))
    assert encoder.layers == tuple(SQUEEZED)
    found = encoder(image, encoder.layers)
    for ours, theirs in SQUEEZED.items():
        torch.testing.assert_close(found[ours], wanted[theirs], rtol=1e-3, atol=1e-3)
        assert found[ours].shape[1] == encoder.width(ours)
        if ours != "scores":
            assert found[ours].shape[-1] == pytest.approx(83 / encoder.stride(ours), abs=3)


@torch.no_grad()
def test_squeezenet_computes_no_deeper_than_asked(tmp_path: Path) -> None:
    encoder = encoder_of(squeezenet().state_dict(), tmp_path / "squeezenet.pth", "squeezenet")
    called = []
    for name, module in encoder.net.named_children():
        module.register_forward_hook(lambda *_, name=name: called.append(name))  # type: ignore[misc]
    encoder(torch.rand(1, 3, 40, 40), ["fire3", "conv1"])
    assert called == ["conv1", "fire2", "fire3"]
    assert encoder(torch.rand(1, 3, 4, 4), []) == {}


@torch.no_grad()
def test_squeezenet_padded_lines_up_with_a_network_that_keeps_its_borders(tmp_path: Path) -> None:
    net = squeezenet()
    encoder = encoder_of(net.state_dict(), tmp_path / "squeezenet.pth", "squeezenet")
    encoder.net.conv1_padding = 3  # type: ignore[union-attr]
    image = torch.rand(1, 3, 64, 64)
    feats = encoder(image, ["conv1", "fire4", "fire8"])
    assert [feats[name].shape[-1] for name in ("conv1", "fire4", "fire8")] == [32, 16, 8]
    bgr = image[:, [2, 1, 0]] * 255 - torch.tensor([104.0, 117.0, 123.0])[:, None, None]
    wanted = F.conv2d(F.pad(bgr, (3, 3, 3, 3), mode="reflect"), net.conv1.weight, net.conv1.bias, stride=2).relu()
    torch.testing.assert_close(feats["conv1"], wanted, rtol=1e-3, atol=1e-3)
