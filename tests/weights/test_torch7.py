"""Trained styles in files of Torch 7, written here by the documented layout, painted as the project's modules paint."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from impasto.core.errors import WeightsError
from impasto.nets import fast as nets
from impasto.weights.readers import import_weights, read_checkpoint

A, B, C, BLOCKS = 4, 5, 6, 5


@dataclass(eq=False)
class Module:
    """A Lua object of a class, with its fields."""

    kind: str
    fields: dict[Any, Any] = field(default_factory=dict)


class Writer:
    """`torch.save` in binary: kinds, numbers of objects, and one storage that tensors may share."""

    def __init__(self) -> None:
        self.data, self.numbers = b"", dict[int, int]()
        self.kept: list[Any] = []  # so that no id is used twice

    def write(self, value: Any) -> None:
        match value:
            case None:
                self.ints(0)
            case bool():
                self.ints(5, int(value))
            case int() | float():
                self.ints(1)
                self.data += struct.pack("<d", value)
            case str():
                self.ints(2)
                self.text(value)
            case dict():
                if self.is_new(3, value):
                    self.ints(len(value))
                    for key, entry in value.items():
                        self.write(key)
                        self.write(entry)
            case Tensor():
                if self.is_new(4, value):
                    self.text("V 1")
                    self.text("torch.FloatTensor")
                    self.tensor(value)
            case Module():
                if self.is_new(4, value):
                    self.text("V 1")
                    self.text(value.kind)
                    self.write(value.fields)

    def is_new(self, kind: int, value: Any) -> bool:
        new = id(value) not in self.numbers
        self.kept.append(value)
        self.ints(kind, self.numbers.setdefault(id(value), len(self.numbers) + 1))
        return new

    def ints(self, *values: int) -> None:
        self.data += struct.pack(f"<{len(values)}i", *values)

    def text(self, value: str) -> None:
        self.ints(len(value))
        self.data += value.encode()

    def tensor(self, value: Tensor) -> None:
        self.ints(value.ndim)
        self.data += struct.pack(f"<{2 * value.ndim + 1}q", *value.shape, *value.stride(), 3)  # from the third number
        self.ints(4, 10_000 + len(self.kept))
        self.text("V 1")
        self.text("torch.FloatStorage")
        self.data += struct.pack("<q", value.numel() + 2) + bytes(8) + value.contiguous().numpy().tobytes()


def conv(module: nn.Conv2d | nn.ConvTranspose2d) -> Module:
    full = isinstance(module, nn.ConvTranspose2d)
    numbers = {"nInputPlane": module.in_channels, "nOutputPlane": module.out_channels}
    numbers |= {"kW": module.kernel_size[0], "kH": module.kernel_size[1], "dW": module.stride[0], "padW": 1}
    tensors = {"weight": module.weight.detach(), "bias": module.bias.detach(), "gradWeight": torch.empty(0)}  # type: ignore[union-attr]
    return Module("nn.SpatialFullConvolution" if full else "nn.SpatialConvolution", numbers | tensors)


def norm(module: nn.InstanceNorm2d | nn.BatchNorm2d) -> Module:
    tensors: dict[str, Any] = {"weight": module.weight.detach(), "bias": module.bias.detach(), "eps": module.eps}
    if isinstance(module, nn.BatchNorm2d):
        tensors |= {"running_mean": module.running_mean, "running_var": module.running_var}
        return Module("nn.SpatialBatchNormalization", tensors)
    inner = Module("nn.SpatialBatchNormalization", {"weight": torch.ones(3), "bias": torch.zeros(3)})
    return Module("nn.InstanceNormalization", tensors | {"bn": inner})


def sequential(*modules: Module) -> Module:
    return Module("nn.Sequential", {"modules": dict(enumerate(modules, 1)), "train": False})


def relu() -> Module:
    return Module("nn.ReLU", {"inplace": True})


@dataclass(frozen=True)
class Network:
    """The project's network, by torch's modules, and its file."""

    normed: type[nn.Module] = nn.InstanceNorm2d
    start_px: int = 40

    def made(self) -> tuple[list[nn.Module], list[nn.Module]]:
        """Convolutions and norms in the order in which they run, with weights that matter."""
        torch.manual_seed(0)
        convs: list[nn.Module] = [nn.Conv2d(3, A, 9, 1, 4), nn.Conv2d(A, B, 3, 2, 1), nn.Conv2d(B, C, 3, 2, 1)]
        convs += [nn.Conv2d(C, C, 3, 1, 0 if self.start_px else 1) for _ in range(2 * BLOCKS)]
        convs += [nn.ConvTranspose2d(a, b, 3, 2, 1, 1) for a, b in ((C, B), (B, A))] + [nn.Conv2d(A, 3, 9, 1, 4)]
        norms = [self.normed(conv.out_channels, affine=True) for conv in convs[:-1]]  # type: ignore[call-arg]
        for part in norms:
            nn.init.normal_(part.weight, 1, 0.2)  # type: ignore[arg-type]
            nn.init.normal_(part.bias, 0, 0.2)  # type: ignore[arg-type]
            if isinstance(part, nn.BatchNorm2d):
                nn.init.uniform_(part.running_mean, -9, 9)  # type: ignore[arg-type]
                nn.init.uniform_(part.running_var, 0.5, 3)  # type: ignore[arg-type]
        return convs, [part.eval() for part in norms]

    def painted(self, image: Tensor) -> Tensor:
        """What the project's code paints of a picture in `[0, 1]`."""
        convs, norms = (iter(parts) for parts in self.made())
        mean = torch.tensor([103.939, 116.779, 123.68]).view(1, 3, 1, 1)
        x = F.pad(image[:, [2, 1, 0]] * 255 - mean, (self.start_px,) * 4, mode="reflect")
        with torch.no_grad():
            for _ in range(3):
                x = F.relu(next(norms)(next(convs)(x)))
            for _ in range(BLOCKS):
                y = F.relu(next(norms)(next(convs)(x)))
                y = next(norms)(next(convs)(y))
                x = y + (x[..., 2:-2, 2:-2] if self.start_px else x)
            for _ in range(2):
                x = F.relu(next(norms)(next(convs)(x)))
            return ((150 * torch.tanh(next(convs)(x)) + mean) / 255)[:, [2, 1, 0]].clamp(0, 1)

    def model(self) -> Module:
        convs, norms = (iter(parts) for parts in self.made())
        px = self.start_px
        modules = [Module("nn.SpatialReflectionPadding", {"pad_l": px, "pad_r": px})] if px else []
        for _ in range(3):
            modules += [conv(next(convs)), norm(next(norms)), relu()]  # type: ignore[arg-type]
        for _ in range(BLOCKS):
            inner = sequential(conv(next(convs)), norm(next(norms)), relu(), conv(next(convs)), norm(next(norms)))  # type: ignore[arg-type]
            skip = Module("nn.ShaveImage", {"size": 2}) if px else Module("nn.Identity")
            concat = Module("nn.ConcatTable", {"modules": {1: inner, 2: skip}})
            modules.append(sequential(concat, Module("nn.CAddTable", {"inplace": False})))
        for _ in range(2):
            modules += [conv(next(convs)), norm(next(norms)), relu()]  # type: ignore[arg-type]
        ends = [Module("nn.Tanh"), Module("nn.MulConstant", {"constant_scalar": 150}), Module("nn.TotalVariation")]
        return sequential(*modules, conv(next(convs)), *ends)  # type: ignore[arg-type]

    def file(self, path: Path) -> Path:
        writer = Writer()
        writer.write({"opt": {"arch": "c9s1-32", "gpu": 0}, "train_loss_history": {1: 0.5}, "model": self.model()})
        path.write_bytes(writer.data)
        return path


@pytest.mark.parametrize(
    "network", [Network(), Network(start_px=0), Network(normed=nn.BatchNorm2d)], ids=["mirrored", "zeros", "batch"]
)
def test_the_painting_is_the_project_s_own(
    network: Network, tmp_path: Path, draw_photo: Callable[..., Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "cache"))
    import_weights(network.file(tmp_path / "candy.t7"))
    for size in ((52, 44), (45, 43)):
        image = draw_photo(*size)
        expected = network.painted(image)[..., : size[0], : size[1]]
        assert expected.std() > 0.05
        painted = nets.load_fast_network("candy", precision="float32").painter.painted(image)
        torch.testing.assert_close(painted, expected, atol=1e-4, rtol=0)


def test_the_card_says_what_it_is(tmp_path: Path) -> None:
    file = read_checkpoint(Network().file(tmp_path / "candy.t7"))
    assert (file.card.preprocess, file.card.network["output"]) == ("caffe-bgr", "caffe-bgr")
    assert (file.card.network["start_px"], file.card.network["tanh"]) == (40, [150.0, 0.0])
    assert "read as jcjohnson" in file.card.source


def test_other_networks_are_named(tmp_path: Path) -> None:
    other = Network(start_px=16).file(tmp_path / "other.t7")
    with pytest.raises(WeightsError, match="with other layers than c9s1-32"):
        read_checkpoint(other)
    writer = Writer()
    writer.write({"weights": torch.ones(3)})
    (tmp_path / "table.t7").write_bytes(writer.data)
    with pytest.raises(WeightsError, match="without a network"):
        read_checkpoint(tmp_path / "table.t7")


def test_damaged_files_are_one_line(tmp_path: Path) -> None:
    data = Network().file(tmp_path / "candy.t7").read_bytes()
    path = tmp_path / "damaged.t7"
    for seed in range(40):
        broken = bytearray(data[: len(data) * (1 + seed % 3) // 3])
        for place in torch.randint(8, len(broken), (12,), generator=torch.Generator().manual_seed(seed)).tolist():
            broken[place] ^= 1 << seed % 8
        path.write_bytes(bytes(broken))
        said = ""
        try:
            read_checkpoint(path)
        except WeightsError as error:
            said = str(error)
        assert "\n" not in said
