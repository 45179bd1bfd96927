"""Readers of networks of one trained style (Johnson et al. 2016, arXiv 1603.08155), as six projects write them.

All have three layers down, five residual blocks and three layers up. Our keys are the keys of `nets.residual`:
`down.0.conv.weight`, `blocks.4.two.norm.bias`, `up.1.conv.weight`, `last.conv.bias`. Widths come from the tensors.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from impasto.core.errors import WeightsMismatch
from impasto.weights.card import Card, check_shapes
from impasto.weights.catalogue import FAST
from impasto.weights.checkpoint_format import CheckpointFormat, Origin, own_copy
from impasto.weights.containers import Contents

BLOCKS, OUTER_PX = 5, 9
_PUBLISHED = (32, 64, 128)  # widths, if the tensors do not determine them
_KNOWN = 0.5  # the part of its keys that a file must have to be taken for one with some missing

_PARTS = ("one", "two", "three")  # the convolutions of a block

RESNEXT = "ResidualBlock.0.conv3.conv_layer.weight"
"""A third convolution in a block, which only rrmina's ResNeXt variant has."""

Keys = Mapping[str, str]
"""The other project's key for each of ours."""

Prefixes = tuple[str, str]
"""The prefixes of the keys of a convolution and of its norm; no norm where that is empty."""


@dataclass(frozen=True, kw_only=True)
class KeyLayout:
    """How one project writes the network.

    `mark` is a key that only this project has; `network` are the numbers that differ from the defaults of
    `nets.residual`; `preprocess` and `output` name the ranges and colour orders of both ends. Keys that match `aside`
    are left out. `numbered`: files may have numbers for names, in the order of `keys`. `twins` maps the prefixes of
    second copies of tensors to the prefixes of the first ones. `bottleneck`: blocks have three convolutions.
    """

    name: str
    about: str
    keys: Keys
    mark: str
    preprocess: str
    output: str
    network: Mapping[str, Any] = field(default_factory=dict)
    channels_last: bool = False
    numbered: bool = False
    aside: str = ""
    twins: Mapping[str, str] = field(default_factory=dict)
    bottleneck: bool = False

    def matches(self, contents: Contents) -> bool:
        """Whether the mark and half of the keys exist."""
        named = {_first_copy(key, self.twins) for key in self._named(contents.tensors)}
        known = sum(key in named for key in self.keys.values())
        return self.mark in named and (RESNEXT in named) is self.bottleneck and known >= _KNOWN * len(self.keys)

    def read(self, contents: Contents, origin: Origin) -> tuple[dict[str, Tensor], Card]:
        """Our keys, and the card. Raises `WeightsMismatch` with every key that differs."""
        tensors = self._own(self._named(contents.tensors), origin.file_name)
        shapes = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
        widths = self._widths(shapes)
        inner = shapes.get(self.keys["blocks.0.one.conv.weight"], (0,))[0] if self.bottleneck else 0
        check_shapes(shapes, self._needed(widths, inner), where=origin.file_name)
        renamed = {
            ours: own_copy(self._turned(tensors[key]), key=key, file_name=origin.file_name)
            for ours, key in self.keys.items()
        }
        network = {"architecture": "residual", "widths": list(widths), "blocks": BLOCKS, "outer_px": OUTER_PX}
        network |= {**self.network, "output": self.output} | ({"bottleneck": inner} if self.bottleneck else {})
        return renamed, origin.card(kind=FAST, network=network, preprocess=self.preprocess, notes="A trained style.")

    def _named(self, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """The tensors under the project's keys: old ONNX models number them in the order of a state dict."""
        if not self.numbered or len(tensors) != len(self.keys) or not all(key.isdecimal() for key in tensors):
            return tensors
        return dict(zip(self.keys.values(), sorted_by_number(tensors), strict=True))

    def _own(self, tensors: Mapping[str, Tensor], where: str) -> dict[str, Tensor]:
        """Each tensor once, without ignored ones."""
        unique: dict[str, Tensor] = {}
        for key, tensor in tensors.items():
            first = _first_copy(key, self.twins)
            if first in unique and not torch.equal(unique[first], tensor):
                raise WeightsMismatch(f"{where} has two tensors for {first} that differ ({key}); the same is needed.")
            if not (self.aside and re.search(self.aside, key)):
                unique[first] = tensor
        return unique

    def _turned(self, tensor: Tensor) -> Tensor:
        """`(h, w, in, out)` to `(out, in, h, w)`, where the project has the former."""
        return tensor.permute(3, 2, 0, 1) if self.channels_last and tensor.ndim == 4 else tensor

    def _widths(self, shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
        axis = 3 if self.channels_last else 0
        shapes_of_convs = (shapes.get(self.keys[f"down.{i}.conv.weight"], ()) for i in range(len(_PUBLISHED)))
        return tuple(
            shape[axis] if len(shape) == 4 else width for shape, width in zip(shapes_of_convs, _PUBLISHED, strict=True)
        )

    def _needed(self, widths: tuple[int, ...], inner: int) -> dict[str, tuple[int, ...]]:
        """The shapes under the project's own keys; `inner` are the channels within a bottleneck."""
        a, b, c = widths
        ways = {"down.0": (3, a, OUTER_PX), "down.1": (a, b, 3), "down.2": (b, c, 3)}
        block = {"one": (c, inner, 1), "two": (inner, inner, 3), "three": (inner, c, 1)}
        block = block if self.bottleneck else dict.fromkeys(_PARTS[:2], (c, c, 3))
        ways |= {f"blocks.{i}.{part}": way for i in range(BLOCKS) for part, way in block.items()}
        ways |= {"up.0": (c, b, 3), "up.1": (b, a, 3), "last": (a, 3, OUTER_PX)}
        needed: dict[str, tuple[int, ...]] = {}
        for ours, key in self.keys.items():
            layer, part, kind = ours.rsplit(".", 2)
            into, out, side = ways[layer]
            turns = self.network.get("upsampling") == "transposed" and layer.startswith("up.")
            ends = (into, out) if turns else (out, into)
            if part == "conv" and kind == "weight":
                needed[key] = (side, side, ends[1], ends[0]) if self.channels_last else (*ends, side, side)
            else:
                needed[key] = (out,)
        return needed

    def checkpoint_format(self) -> CheckpointFormat:
        """The row for `readers.FORMATS`."""
        return CheckpointFormat(name=self.name, about=self.about, matches=self.matches, read=self.read)


def _first_copy(key: str, twins: Mapping[str, str]) -> str:
    """The key of the tensor that `key` is a second copy of, or `key`."""
    start = next((start for start in twins if key.startswith(f"{start}.")), None)
    return key if start is None else twins[start] + key.removeprefix(start)


def _keys(
    *,
    down: Callable[[int], Prefixes],
    block: Callable[[int, int], Prefixes],
    up: Callable[[int], Prefixes],
    last: str,
    convs: int = 2,
) -> dict[str, str]:
    """Keys in the order of a state dict; layers are counted from 0, the `convs` convolutions of a block from 1."""
    places = {f"down.{i}": down(i) for i in range(3)}
    for i in range(BLOCKS):
        places |= {f"blocks.{i}.{part}": block(i, n) for n, part in enumerate(_PARTS[:convs], start=1)}
    places |= {f"up.{i}": up(i) for i in range(2)} | {"last": (last, "")}
    keys: dict[str, str] = {}
    for layer, (conv, norm) in places.items():
        keys |= {f"{layer}.conv.{part}": f"{conv}.{part}" for part in ("weight", "bias")}
        keys |= {f"{layer}.norm.{part}": f"{norm}.{part}" for part in ("weight", "bias") if norm}
    return keys


def _examples(ups: tuple[str, str, str]) -> dict[str, str]:
    """pytorch/examples and those who started from it, who name the layers up otherwise."""
    return _keys(
        down=lambda i: (f"conv{i + 1}.conv2d", f"in{i + 1}"),
        block=lambda i, n: (f"res{i + 1}.conv{n}.conv2d", f"res{i + 1}.in{n}"),
        up=lambda i: (ups[i], f"in{i + 4}"),
        last=ups[2],
    )


def sorted_by_number(tensors: Mapping[str, Tensor]) -> list[Tensor]:
    """The tensors in the order of the numbers that are their names."""
    return [tensors[key] for key in sorted(tensors, key=int)]


def _rrmina(*, convs: int = 2) -> dict[str, str]:
    return _keys(
        down=lambda i: (f"ConvBlock.{2 * i}.conv_layer", f"ConvBlock.{2 * i}.norm_layer"),
        block=lambda i, n: (f"ResidualBlock.{i}.conv{n}.conv_layer", f"ResidualBlock.{i}.conv{n}.norm_layer"),
        up=lambda i: (f"DeconvBlock.{2 * i}.conv_transpose", f"DeconvBlock.{2 * i}.norm_layer"),
        last="DeconvBlock.4.conv_layer",
        convs=convs,
    )


def _lengstrom() -> dict[str, str]:
    """Filter, shift and scale of each layer, numbered in the order in which they are made."""
    order = ["down.0", "down.1", "down.2"]
    order += [f"blocks.{i}.{part}" for i in range(BLOCKS) for part in _PARTS[:2]]
    order += ["up.0", "up.1", "last"]
    parts = [f"{layer}.{part}" for layer in order for part in ("conv.weight", "norm.bias", "norm.weight")]
    return {ours: f"Variable_{number}" if number else "Variable" for number, ours in enumerate(parts)}


_TWINS = {f"residual.{i}": f"res{i + 1}" for i in range(BLOCKS)}
_TWINS |= {f"encoder.{3 * i}": f"conv{i + 1}" for i in range(3)}
_TWINS |= {f"encoder.{3 * i + 1}": f"norm{i + 1}" for i in range(3)}
_TWINS |= {"decoder.0": "up1", "decoder.1": "norm4", "decoder.3": "up2", "decoder.4": "norm5", "decoder.6": "conv4"}

_TRANSPOSED: dict[str, Any] = {"upsampling": "transposed"}
_TENSORFLOW: dict[str, Any] = {"padding": "same", "eps": 1e-3, "biases": False, "last_norm": True}

_RRMINA = KeyLayout(
    name="rrmina",
    about="ConvBlock, ResidualBlock, DeconvBlock: a trained style of rrmina's repository, without a final tanh",
    keys=_rrmina(),
    mark="DeconvBlock.0.conv_transpose.weight",
    preprocess="bgr-255",
    output="bgr-255",
    network=_TRANSPOSED,
)
LAYOUTS = (
    KeyLayout(
        name="pytorch-examples",
        about="conv1.conv2d … deconv3.conv2d: a trained style of pytorch/examples (fast_neural_style)",
        keys=_examples(("deconv1.conv2d", "deconv2.conv2d", "deconv3.conv2d")),
        numbered=True,
        mark="deconv1.conv2d.weight",
        preprocess="rgb-255",
        output="rgb-255",
        aside=r"in\d+\.(running_(mean|var)|num_batches_tracked)$",  # of old torch, which never used them here
    ),
    KeyLayout(
        name="gordicaleksa",
        about="conv1.conv2d … up3.conv2d: a trained style of gordicaleksa's repository",
        keys=_examples(("up1.conv2d.conv2d", "up2.conv2d.conv2d", "up3.conv2d")),
        mark="up1.conv2d.conv2d.weight",
        preprocess="imagenet-rgb",
        output="imagenet-rgb",
    ),
    KeyLayout(
        name="eriklindernoren",
        about="model.0.block.1 … model.10.block.1: a trained style of eriklindernoren's repository",
        keys=_keys(
            down=lambda i: (f"model.{i}.block.1", f"model.{i}.norm"),
            block=lambda i, n: (f"model.{3 + i}.block.{n - 1}.block.1", f"model.{3 + i}.block.{n - 1}.norm"),
            up=lambda i: (f"model.{8 + i}.block.1", f"model.{8 + i}.norm"),
            last="model.10.block.1",
        ),
        mark="model.3.block.0.block.1.weight",
        preprocess="imagenet-rgb",
        output="imagenet-rgb",
    ),
    _RRMINA,
    dataclasses.replace(
        _RRMINA,
        name="rrmina-tanh",
        about="the same keys: a trained style of rrmina's repository, whose output is 150 · tanh",
        network=_TRANSPOSED | {"tanh": [150.0, 0.0]},
    ),
    dataclasses.replace(
        _RRMINA,
        name="rrmina-tanh-rgb",
        about="the same keys: rrmina's mosaic_dark.pth, which was trained with RGB, and whose output is 150 · tanh",
        preprocess="rgb-255",
        output="rgb-255",
        network=_TRANSPOSED | {"tanh": [150.0, 0.0]},
    ),
    dataclasses.replace(
        _RRMINA,
        name="rrmina-resnext",
        about="ResidualBlock.0.conv3 too: a trained style of rrmina's repository, of its ResNeXt variant",
        keys=_rrmina(convs=3),
        bottleneck=True,
    ),
    KeyLayout(
        name="myklmaring",
        about="conv1.conv1 … conv4.conv1, mostly twice: a trained style of myklmaring's repository",
        keys=_keys(
            down=lambda i: (f"conv{i + 1}.conv1", f"norm{i + 1}"),
            block=lambda i, n: (f"res{i + 1}.ConvLayer{n}.conv1", f"res{i + 1}.norm{n}"),
            up=lambda i: (f"up{i + 1}.conv1", f"norm{i + 4}"),
            last="conv4.conv1",
        ),
        mark="up1.conv1.weight",
        preprocess="rgb-255",
        output="rgb-255",
        twins=_TWINS,
    ),
    KeyLayout(
        name="lengstrom",
        about="Variable … Variable_47: a trained style of lengstrom's repository (a deeplearn.js folder, or .npz)",
        keys=_lengstrom(),
        mark="Variable",
        preprocess="rgb-255",
        output="rgb-255",
        network=_TRANSPOSED | _TENSORFLOW | {"tanh": [150.0, 127.5]},
        channels_last=True,
        aside=r"(_Adam(_\d+)?|beta\d_power|global_step)$",
    ),
)


ROWS = tuple(layout.checkpoint_format() for layout in LAYOUTS)
