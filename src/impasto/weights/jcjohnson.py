"""Reader of trained styles of jcjohnson/fast-neural-style (Johnson et al. 2016), in files of Torch 7.

A file is a table with `model`, an `nn.Sequential` of the network's modules, whose numbers describe its structure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from impasto.core.errors import WeightsError
from impasto.weights.card import Card
from impasto.weights.catalogue import FAST
from impasto.weights.checkpoint_format import CheckpointFormat, Origin, own_copy
from impasto.weights.containers import MODULES, Contents
from impasto.weights.johnson import BLOCKS, OUTER_PX

_CONVS = ("SpatialConvolution", "SpatialConvolutionMM")
_NORMS = ("InstanceNormalization", "SpatialBatchNormalization")
_SHAVED_PX = 8  # of the picture on each side, by the two convolutions of a block


@dataclass(frozen=True)
class _Module:
    """A module without parts: its kind, its numbers, and its tensors."""

    kind: str
    numbers: Mapping[str, Any]
    tensors: Mapping[str, Tensor]


def _modules(contents: Contents) -> list[_Module]:
    rows = json.loads(contents.metadata.get(MODULES, "[]"))
    return [
        _Module(
            row["kind"],
            row["numbers"],
            {k.rpartition(".")[2]: v for k, v in contents.tensors.items() if k.startswith(f"modules.{index}.")},
        )
        for index, row in enumerate(rows)
    ]


def _read(contents: Contents, origin: Origin) -> tuple[dict[str, Tensor], Card]:
    modules = _modules(contents)
    network = _network(modules, where=origin.file_name)
    convs, norms = _convs(modules), _norms(modules)
    tensors_by_key: dict[str, Tensor] = {}
    for layer, conv in zip(_layers(network["blocks"]), convs, strict=True):
        weight = conv.tensors["weight"]
        sides = (int(conv.numbers["kH"]), int(conv.numbers["kW"]))
        tensors_by_key[f"{layer}.conv.weight"] = weight.view(len(weight), -1, *sides) if weight.ndim == 2 else weight
        tensors_by_key[f"{layer}.conv.bias"] = conv.tensors.get("bias", torch.zeros(int(conv.numbers["nOutputPlane"])))
    for layer, norm in zip(_layers(network["blocks"]), norms, strict=False):  # the last layer has none
        tensors_by_key |= {f"{layer}.norm.{part}": value for part, value in _norm_tensors(norm).items()}
    tensors = {
        key: own_copy(value.float(), key=key, file_name=origin.file_name) for key, value in tensors_by_key.items()
    }
    return tensors, origin.card(kind=FAST, network=network, preprocess="caffe-bgr", notes="A trained style.")


def _norm_tensors(norm: _Module) -> dict[str, Tensor]:
    parts = {part: norm.tensors[part] for part in ("weight", "bias")}
    if norm.kind == "InstanceNormalization":
        return parts
    return parts | {part: norm.tensors[part] for part in ("running_mean", "running_var")}


def _layers(blocks: int) -> list[str]:
    """Our layers in the order of the file."""
    deep = [f"blocks.{i}.{half}" for i in range(blocks) for half in ("one", "two")]
    return [*(f"down.{i}" for i in range(3)), *deep, "up.0", "up.1", "last"]


def _convs(modules: list[_Module]) -> list[_Module]:
    return [module for module in modules if module.kind in (*_CONVS, "SpatialFullConvolution")]


def _norms(modules: list[_Module]) -> list[_Module]:
    return [module for module in modules if module.kind in _NORMS]


def _network(modules: list[_Module], *, where: str) -> dict[str, Any]:
    """The options of our network. Raises `WeightsError` for another structure."""
    convs, norms = _convs(modules), _norms(modules)
    kinds = [module.kind for module in modules]
    blocks = kinds.count("CAddTable")
    start_px = int(modules[0].numbers.get("pad_l", 0)) if kinds[0] == "SpatialReflectionPadding" else 0
    expected = _kinds(blocks, norm=norms[0].kind if norms else "", start=bool(start_px))
    sides = [int(conv.numbers.get("kW", 0)) for conv in convs]
    fits = sides[:1] + sides[-1:] == [OUTER_PX, OUTER_PX] and set(sides[1:-1]) == {3}
    if [_plain(kind) for kind in kinds] != expected or not fits or start_px not in (0, _SHAVED_PX * blocks):
        raise WeightsError(
            f"{where} is a network of jcjohnson/fast-neural-style with other layers than "
            f"c9s1-32,d64,d128,R128 × {BLOCKS},u64,u32,c9s1-3 and padding reflect-start or zero, which are read."
        )
    scale = float(modules[kinds.index("MulConstant")].numbers["constant_scalar"])
    return {
        "architecture": "residual",
        "widths": [int(conv.numbers["nOutputPlane"]) for conv in convs[:3]],
        "blocks": blocks,
        "outer_px": OUTER_PX,
        "padding": "zero",
        "upsampling": "transposed",
        "eps": float(norms[0].numbers.get("eps", 1e-5)),
        "norm": "instance" if norms[0].kind == "InstanceNormalization" else "batch",
        "tanh": [scale, 0.0],
        "start_px": start_px,
        "output": "caffe-bgr",
    }


def _plain(kind: str) -> str:
    """The kind, with equivalent ones joined."""
    return "SpatialConvolution" if kind in _CONVS else "Identity" if kind == "ShaveImage" else kind


def _kinds(blocks: int, *, norm: str, start: bool) -> list[str]:
    """The kinds of modules that the file must have, in order."""
    conv = ["SpatialConvolution", norm, "ReLU"]
    block = [*conv, "SpatialConvolution", norm, "Identity", "CAddTable"]
    up = ["SpatialFullConvolution", norm, "ReLU"]
    start_of = ["SpatialReflectionPadding"] if start else []
    return [*start_of, *3 * conv, *blocks * block, *2 * up, "SpatialConvolution", "Tanh", "MulConstant"]


ROWS = (
    CheckpointFormat(
        name="jcjohnson",
        about="a trained style of jcjohnson/fast-neural-style (.t7 of Torch 7)",
        matches=lambda contents: any(module.kind == "MulConstant" for module in _modules(contents)),
        read=_read,
    ),
)
