"""Networks of trained styles, narrow and of random weights: the keys of each project, and its own forward pass.

Written from the layouts, in plain functions of torch, apart from what the product does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

A, B, C = 4, 5, 6
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

State = dict[str, Tensor]


def drawn(shapes: dict[str, tuple[int, ...]], *, seed: int = 3) -> State:
    """Random convolutions that keep the strength of features, scales about 1 and shifts about 0."""
    draw, found = torch.Generator().manual_seed(seed), {}
    for key, shape in shapes.items():
        noise = torch.randn(shape, generator=draw)
        if len(shape) == 4:
            found[key] = noise / (shape[1] * shape[2] * shape[3]) ** 0.5
        else:
            found[key] = (1 + 0.2 * noise) if _is_scale(key) else 0.2 * noise
    return found


def _is_scale(key: str) -> bool:
    norm = ("in", "norm", "norm_layer")
    parts = key.split(".")
    return key.endswith(".weight") and (parts[-2].rstrip("0123456789") in norm or key.endswith("norm_layer.weight"))


def conv(name: str, into: int, out: int, side: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (out, into, side, side), f"{name}.bias": (out,)}


def norm(name: str, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def reflected(x: Tensor, state: State, name: str, *, stride: int = 1) -> Tensor:
    weight = state[f"{name}.weight"]
    side = weight.shape[-1] // 2
    return F.conv2d(F.pad(x, (side,) * 4, mode="reflect"), weight, state[f"{name}.bias"], stride=stride)


def normed(x: Tensor, state: State, name: str) -> Tensor:
    return F.instance_norm(x, weight=state[f"{name}.weight"], bias=state[f"{name}.bias"], eps=1e-5)


def nearest(x: Tensor) -> Tensor:
    return x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)


def imagenet(x: Tensor) -> Tensor:
    return (x - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)


def from_imagenet(x: Tensor) -> Tensor:
    return x * torch.tensor(STD).view(1, 3, 1, 1) + torch.tensor(MEAN).view(1, 3, 1, 1)


# pytorch/examples, and gordicaleksa


def examples_state(ups: tuple[str, str, str]) -> State:
    shapes = conv("conv1.conv2d", 3, A, 9) | norm("in1", A) | conv("conv2.conv2d", A, B, 3) | norm("in2", B)
    shapes |= conv("conv3.conv2d", B, C, 3) | norm("in3", C)
    for i in range(1, 6):
        for half in (1, 2):
            shapes |= conv(f"res{i}.conv{half}.conv2d", C, C, 3) | norm(f"res{i}.in{half}", C)
    shapes |= conv(ups[0], C, B, 3) | norm("in4", B) | conv(ups[1], B, A, 3) | norm("in5", A) | conv(ups[2], A, 3, 9)
    return drawn(shapes)


def examples_net(x: Tensor, s: State, ups: tuple[str, str, str]) -> Tensor:
    for i, stride in ((1, 1), (2, 2), (3, 2)):
        x = F.relu(normed(reflected(x, s, f"conv{i}.conv2d", stride=stride), s, f"in{i}"))
    for i in range(1, 6):
        y = F.relu(normed(reflected(x, s, f"res{i}.conv1.conv2d"), s, f"res{i}.in1"))
        x = x + normed(reflected(y, s, f"res{i}.conv2.conv2d"), s, f"res{i}.in2")
    x = F.relu(normed(reflected(nearest(x), s, ups[0]), s, "in4"))
    x = F.relu(normed(reflected(nearest(x), s, ups[1]), s, "in5"))
    return reflected(x, s, ups[2])


DECONVS = ("deconv1.conv2d", "deconv2.conv2d", "deconv3.conv2d")
UPS = ("up1.conv2d.conv2d", "up2.conv2d.conv2d", "up3.conv2d")


def centred(state: State, last: str, *, mean: float, spread: float) -> State:
    """The last convolution so that its output lies within the range of pixels."""
    return state | {f"{last}.weight": spread * state[f"{last}.weight"], f"{last}.bias": torch.full((3,), mean)}


def of_examples() -> State:
    return centred(examples_state(DECONVS), DECONVS[2], mean=120.0, spread=40.0)


def as_examples(image: Tensor, s: State) -> Tensor:
    return examples_net(image * 255, s, DECONVS) / 255


def of_gordicaleksa() -> State:
    return examples_state(UPS)


def as_gordicaleksa(image: Tensor, s: State) -> Tensor:
    return from_imagenet(examples_net(imagenet(image), s, UPS))


# eriklindernoren


def of_eriklindernoren() -> State:
    shapes: dict[str, tuple[int, ...]] = {}
    for i, (into, out, side) in {0: (3, A, 9), 1: (A, B, 3), 2: (B, C, 3), 8: (C, B, 3), 9: (B, A, 3)}.items():
        shapes |= conv(f"model.{i}.block.1", into, out, side) | norm(f"model.{i}.norm", out)
    for i in range(3, 8):
        for half in (0, 1):
            shapes |= conv(f"model.{i}.block.{half}.block.1", C, C, 3) | norm(f"model.{i}.block.{half}.norm", C)
    return drawn(shapes | conv("model.10.block.1", A, 3, 9))


def as_eriklindernoren(image: Tensor, s: State) -> Tensor:
    def block(x: Tensor, name: str, *, stride: int = 1) -> Tensor:
        return normed(reflected(x, s, f"{name}.block.1", stride=stride), s, f"{name}.norm")

    x = imagenet(image)
    for i, stride in ((0, 1), (1, 2), (2, 2)):
        x = F.relu(block(x, f"model.{i}", stride=stride))
    for i in range(3, 8):
        x = x + block(F.relu(block(x, f"model.{i}.block.0")), f"model.{i}.block.1")
    for i in (8, 9):
        x = F.relu(block(F.interpolate(x, scale_factor=2), f"model.{i}"))
    return from_imagenet(reflected(x, s, "model.10.block.1"))


# rrmina


def of_rrmina(*, tanh: bool = False) -> State:
    shapes: dict[str, tuple[int, ...]] = {}
    for i, (into, out, side) in {0: (3, A, 9), 2: (A, B, 3), 4: (B, C, 3)}.items():
        shapes |= conv(f"ConvBlock.{i}.conv_layer", into, out, side) | norm(f"ConvBlock.{i}.norm_layer", out)
    for i in range(5):
        for half in (1, 2):
            name = f"ResidualBlock.{i}.conv{half}"
            shapes |= conv(f"{name}.conv_layer", C, C, 3) | norm(f"{name}.norm_layer", C)
    for i, (into, out) in {0: (C, B), 2: (B, A)}.items():
        shapes |= {f"DeconvBlock.{i}.conv_transpose.weight": (into, out, 3, 3)}
        shapes |= {f"DeconvBlock.{i}.conv_transpose.bias": (out,)} | norm(f"DeconvBlock.{i}.norm_layer", out)
    last = "DeconvBlock.4.conv_layer"
    state = drawn(shapes | conv(last, A, 3, 9))
    return centred(state, last, mean=0.7, spread=0.4) if tanh else centred(state, last, mean=120.0, spread=40.0)


def as_rrmina_rgb(image: Tensor, s: State) -> Tensor:
    """Of RGB in place of BGR, as mosaic_dark.pth was trained."""
    return as_rrmina(image[:, [2, 1, 0]], s, tanh=True)[:, [2, 1, 0]]


def as_rrmina(image: Tensor, s: State, *, tanh: bool = False) -> Tensor:
    def block(x: Tensor, name: str, *, stride: int = 1) -> Tensor:
        return normed(reflected(x, s, f"{name}.conv_layer", stride=stride), s, f"{name}.norm_layer")

    x = image[:, [2, 1, 0]] * 255
    for i, stride in ((0, 1), (2, 2), (4, 2)):
        x = F.relu(block(x, f"ConvBlock.{i}", stride=stride))
    for i in range(5):
        y = F.relu(block(x, f"ResidualBlock.{i}.conv1"))
        if f"ResidualBlock.{i}.conv3.conv_layer.weight" in s:
            y = block(F.relu(block(y, f"ResidualBlock.{i}.conv2")), f"ResidualBlock.{i}.conv3")
        else:
            y = block(y, f"ResidualBlock.{i}.conv2")
        x = x + y
    for i in (0, 2):
        name = f"DeconvBlock.{i}.conv_transpose"
        x = F.conv_transpose2d(x, s[f"{name}.weight"], s[f"{name}.bias"], stride=2, padding=1, output_padding=1)
        x = F.relu(normed(x, s, f"DeconvBlock.{i}.norm_layer"))
    x = reflected(x, s, "DeconvBlock.4.conv_layer")
    return (150 * torch.tanh(x) if tanh else x)[:, [2, 1, 0]] / 255


def of_rrmina_resnext() -> State:
    state = {key: value for key, value in of_rrmina().items() if not key.startswith("ResidualBlock")}
    shapes: dict[str, tuple[int, ...]] = {}
    for i in range(5):
        for part, (into, out, side) in {1: (C, 3, 1), 2: (3, 3, 3), 3: (3, C, 1)}.items():
            name = f"ResidualBlock.{i}.conv{part}"
            shapes |= conv(f"{name}.conv_layer", into, out, side) | norm(f"{name}.norm_layer", out)
    return state | drawn(shapes)


# myklmaring


def of_myklmaring() -> State:
    shapes = conv("conv1.conv1", 3, A, 9) | norm("norm1", A) | conv("conv2.conv1", A, B, 3) | norm("norm2", B)
    shapes |= conv("conv3.conv1", B, C, 3) | norm("norm3", C)
    for i in range(1, 6):
        for half in (1, 2):
            shapes |= conv(f"res{i}.ConvLayer{half}.conv1", C, C, 3) | norm(f"res{i}.norm{half}", C)
    shapes |= conv("up1.conv1", C, B, 3) | norm("norm4", B) | conv("up2.conv1", B, A, 3) | norm("norm5", A)
    state = centred(drawn(shapes | conv("conv4.conv1", A, 3, 9)), "conv4.conv1", mean=120.0, spread=40.0)
    names = {"encoder": ["conv1", "norm1", "", "conv2", "norm2", "", "conv3", "norm3"]}
    names |= {"residual": [f"res{i}" for i in range(1, 6)]}
    names |= {"decoder": ["up1", "norm4", "", "up2", "norm5", "", "conv4"]}
    twins = {name: f"{part}.{i}" for part, row in names.items() for i, name in enumerate(row) if name}
    again = {key.replace(key.split(".")[0], twins[key.split(".")[0]], 1): value.clone() for key, value in state.items()}
    return state | again


def as_myklmaring(image: Tensor, s: State) -> Tensor:
    x = image * 255
    for i, stride in ((1, 1), (2, 2), (3, 2)):
        x = F.relu(normed(reflected(x, s, f"conv{i}.conv1", stride=stride), s, f"norm{i}"))
    for i in range(1, 6):
        y = F.relu(normed(reflected(x, s, f"res{i}.ConvLayer1.conv1"), s, f"res{i}.norm1"))
        x = x + normed(reflected(y, s, f"res{i}.ConvLayer2.conv1"), s, f"res{i}.norm2")
    for i in (1, 2):
        x = F.relu(normed(reflected(nearest(x), s, f"up{i}.conv1"), s, f"norm{i + 3}"))
    return reflected(x, s, "conv4.conv1") / 255


# lengstrom (TensorFlow, deeplearn.js)


def of_lengstrom() -> State:
    filters = [(9, 9, 3, A), (3, 3, A, B), (3, 3, B, C), *([(3, 3, C, C)] * 10)]
    filters += [(3, 3, B, C), (3, 3, A, B), (9, 9, A, 3)]  # transposed: out before in
    draw, arrays = torch.Generator().manual_seed(3), []
    for number, shape in enumerate(filters):
        width = shape[2] if number in (13, 14) else shape[3]
        arrays.append(torch.randn(shape, generator=draw) / (shape[0] * shape[1] * shape[2]) ** 0.5)
        arrays += [0.2 * torch.randn(width, generator=draw), 1 + 0.2 * torch.randn(width, generator=draw)]
    arrays[-1] = 0.4 * arrays[-1]
    return {f"Variable_{i}" if i else "Variable": array for i, array in enumerate(arrays)}


def same(x: Tensor, filter_: Tensor, *, stride: int = 1) -> Tensor:
    """TensorFlow's convolution with padding SAME; `filter_` is `(h, w, in, out)`."""
    side = filter_.shape[0]
    margins = []
    for length in (x.shape[3], x.shape[2]):
        total = max((-(-length // stride) - 1) * stride + side - length, 0)
        margins += [total // 2, total - total // 2]
    return F.conv2d(F.pad(x, margins), filter_.permute(3, 2, 0, 1), stride=stride)


def same_transposed(x: Tensor, filter_: Tensor) -> Tensor:
    """TensorFlow's own definition: the gradient of the convolution with stride 2 of a picture of twice the size."""
    out = filter_.shape[2]
    large = torch.zeros(1, out, 2 * x.shape[2], 2 * x.shape[3], requires_grad=True)
    with torch.enable_grad():
        (found,) = torch.autograd.grad(same(large, filter_, stride=2), large, grad_outputs=x)
    return found


def as_lengstrom(image: Tensor, s: State) -> Tensor:
    def variable(number: int) -> Tensor:
        return s[f"Variable_{number}" if number else "Variable"]

    def tf_normed(x: Tensor, number: int) -> Tensor:
        mean, var = x.mean((2, 3), keepdim=True), x.var((2, 3), keepdim=True, correction=0)
        shift, scale = variable(number + 1), variable(number + 2)
        return scale.view(1, -1, 1, 1) * (x - mean) / (var + 1e-3).sqrt() + shift.view(1, -1, 1, 1)

    def layer(x: Tensor, number: int, *, stride: int = 1) -> Tensor:
        return tf_normed(same(x, variable(number), stride=stride), number)

    x = image * 255
    for number, stride in ((0, 1), (3, 2), (6, 2)):
        x = F.relu(layer(x, number, stride=stride))
    for number in range(9, 39, 6):
        x = x + layer(F.relu(layer(x, number)), number + 3)
    for number in (39, 42):
        x = F.relu(tf_normed(same_transposed(x, variable(number)), number))
    return (torch.tanh(layer(x, 45)) * 150 + 255.0 / 2) / 255


@dataclass(frozen=True)
class Sample:
    """A state with the project's keys, and its forward pass: pictures in `[0, 1]` to such, neither cut nor clamped."""

    state: Callable[[], State]
    forward: Callable[[Tensor, State], Tensor]


SAMPLES: dict[str, Sample] = {
    "pytorch-examples": Sample(of_examples, as_examples),
    "gordicaleksa": Sample(of_gordicaleksa, as_gordicaleksa),
    "eriklindernoren": Sample(of_eriklindernoren, as_eriklindernoren),
    "rrmina": Sample(of_rrmina, as_rrmina),
    "rrmina-tanh": Sample(lambda: of_rrmina(tanh=True), lambda image, s: as_rrmina(image, s, tanh=True)),
    "rrmina-tanh-rgb": Sample(lambda: of_rrmina(tanh=True), as_rrmina_rgb),
    "rrmina-resnext": Sample(of_rrmina_resnext, as_rrmina),
    "myklmaring": Sample(of_myklmaring, as_myklmaring),
    "lengstrom": Sample(of_lengstrom, as_lengstrom),
}
