"""Narrow weights in the layouts of other projects, as tensors and as files."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

WIDTHS = (4, 4, 5, 6, 6)
VGG16, VGG19 = (2, 2, 3, 3, 3), (2, 2, 4, 4, 4)


def layers(counts: tuple[int, ...], *, normed: bool = False, seed: int = 0) -> nn.Sequential:
    """The `features` of torchvision's VGG, narrow, in evaluation; no pooling at the end (it has no keys)."""
    torch.manual_seed(seed)
    modules: list[nn.Module] = []
    channels = 3
    for stage, (width, count) in enumerate(zip(WIDTHS, counts, strict=False)):
        modules += [nn.MaxPool2d(2, 2)] if stage else []
        for _ in range(count):
            modules.append(nn.Conv2d(channels, width, 3, padding=1))
            if normed:
                modules.append(_norm(width))
            modules.append(nn.ReLU())
            channels = width
    return nn.Sequential(*modules).eval()


def _norm(width: int) -> nn.BatchNorm2d:
    """A batch norm that has been trained."""
    norm = nn.BatchNorm2d(width)
    for tensor in (norm.weight, norm.bias, norm.running_mean):
        nn.init.normal_(tensor)  # type: ignore[arg-type]
    nn.init.uniform_(norm.running_var, 0.1, 3.0)  # type: ignore[arg-type]
    return norm


def features(counts: tuple[int, ...] = VGG19, *, normed: bool = False, classifier: bool = True) -> dict[str, Tensor]:
    """torchvision's or Caffe's keys."""
    state = {f"features.{key}": tensor for key, tensor in layers(counts, normed=normed).state_dict().items()}
    return state | (
        {"classifier.0.weight": torch.zeros(2, 7), "classifier.0.bias": torch.zeros(2)} if classifier else {}
    )


def gatys(counts: tuple[int, ...] = VGG19) -> dict[str, Tensor]:
    """Gatys' keys."""
    names = [f"conv{s}_{i}" for s, count in enumerate(counts, 1) for i in range(1, count + 1)]
    convs = [module for module in layers(counts) if isinstance(module, nn.Conv2d)]
    pairs = zip(names, convs, strict=True)
    return {f"{name}.{key}": tensor for name, conv in pairs for key, tensor in conv.state_dict().items()}


def adain(count: int = 16) -> dict[str, Tensor]:
    """AdaIN's keys, as published, for the first `count` convolutions."""
    numbers = (2, 5, 9, 12, 16, 19, 22, 25, 29, 32, 35, 38, 42, 45, 48, 51)
    convs = [module for module in layers(VGG19) if isinstance(module, nn.Conv2d)]
    first = nn.Conv2d(3, 3, 1).state_dict()
    pairs = list(zip((0, *numbers[:count]), (first, *(conv.state_dict() for conv in convs)), strict=False))
    return {f"{number}.{key}": tensor for number, state in pairs for key, tensor in state.items()}


def decoder(*, seed: int = 0) -> dict[str, Tensor]:
    """The keys of AdaIN's decoder, as published, for the narrow encoder of `adain`."""
    torch.manual_seed(seed)
    one, two, three, four, _ = WIDTHS
    sizes = {1: (four, three), 5: (three, three), 8: (three, three), 11: (three, three), 14: (three, two)}
    sizes |= {18: (two, two), 21: (two, one), 25: (one, one), 28: (one, 3)}
    convs = {number: nn.Conv2d(into, out, 3).state_dict() for number, (into, out) in sizes.items()}
    return {f"{number}.{key}": tensor for number, state in convs.items() for key, tensor in state.items()}


def squeezenet(*, classifier: bool = True) -> dict[str, Tensor]:
    """SqueezeNet 1.0 with narrow fires."""
    state = {"conv1.weight": torch.ones(6, 3, 7, 7).half(), "conv1.bias": torch.ones(6)}
    channels = 6
    for n in range(2, 10):
        squeezed, small, large = n, n + 1, n + 2
        for key, out, into, side in (
            ("conv1x1_1", squeezed, channels, 1),
            ("conv1x1_2", small, squeezed, 1),
            ("conv3x3_2", large, squeezed, 3),
        ):
            state |= {f"fire{n}.{key}.weight": torch.ones(out, into, side, side).half()}
            state |= {f"fire{n}.{key}.bias": torch.ones(out)}
        channels = small + large
    last = {"conv_final.weight": torch.ones(10, channels, 1, 1), "conv_final.bias": torch.ones(10)}
    return state | (last if classifier else {})


def torchvision_squeezenet() -> dict[str, Tensor]:
    """torchvision's keys of the same network: poolings are numbered too, the classifier is a 1×1 convolution."""
    numbers = {"conv1": "features.0", "conv_final": "classifier.1"}
    numbers |= {f"fire{n}": f"features.{at}" for n, at in zip(range(2, 10), (3, 4, 5, 7, 8, 9, 10, 12), strict=True)}
    parts = {"conv1x1_1": "squeeze", "conv1x1_2": "expand1x1", "conv3x3_2": "expand3x3"}
    keys = (key.split(".") for key in squeezenet())
    return {
        ".".join([numbers[first], *(parts.get(part, part) for part in rest)]): squeezenet()[".".join([first, *rest])]
        for first, *rest in keys
    }


def by_position(counts: tuple[int, ...]) -> list[tuple[str, int]]:
    """Our key and torchvision's number of each convolution, from the layers themselves."""
    numbers = [number for number, module in enumerate(layers(counts)) if isinstance(module, nn.Conv2d)]
    names = [f"conv{s}_{i}" for s, count in enumerate(counts, 1) for i in range(1, count + 1)]
    return list(zip(names, numbers, strict=True))


def pth(folder: Path, state: object, name: str = "w.pth") -> Path:
    """A file of `torch.save`."""
    torch.save(state, folder / name)
    return folder / name


def plain(folder: Path, state: dict[str, Tensor], metadata: dict[str, str] | None = None) -> Path:
    """A safetensors file without a card."""
    save_file(state, folder / "w.safetensors", metadata=metadata)
    return folder / "w.safetensors"


def same(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> bool:
    """Whether the keys are the same, and every number."""
    return found.keys() == wanted.keys() and all(torch.equal(found[key], wanted[key]) for key in wanted)
