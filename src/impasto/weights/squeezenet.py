"""Reader of SqueezeNet 1.0 (arXiv 1602.07360) with the keys `conv1`, `fireN.conv1x1_1`, `fireN.conv3x3_2` and so on."""

from __future__ import annotations

import dataclasses
import re

from torch import Tensor

from impasto.core.errors import WeightsMismatch
from impasto.weights.card import Card, check_shapes
from impasto.weights.checkpoint_format import CheckpointFormat, Origin, own_copy
from impasto.weights.containers import Contents

_FIRES = range(2, 10)


def _matches(contents: Contents) -> bool:
    return {"conv1.weight", "fire2.conv1x1_1.weight", "fire2.conv3x3_2.weight"} <= contents.tensors.keys()


def _read(contents: Contents, origin: Origin) -> tuple[dict[str, Tensor], Card]:
    """The tensors under the keys that they have; the classifier `conv_final` may be absent."""
    check_shapes(contents.shapes, _needed(contents, origin.file_name), where=origin.file_name)
    tensors = {k: own_copy(t, key=k, file_name=origin.file_name) for k, t in contents.tensors.items()}
    card = origin.card(kind="encoder", network={"architecture": "squeezenet-1.0"}, preprocess="squeezenet-bgr")
    return tensors, card


def _needed(contents: Contents, where: str) -> dict[str, tuple[int, ...]]:
    """The shapes that SqueezeNet has with the widths of these tensors."""
    channels, needed = _convolution(contents, "conv1", channels=3, side=7, where=where)
    for n in _FIRES:
        squeezed, first = _convolution(contents, f"fire{n}.conv1x1_1", channels=channels, side=1, where=where)
        small, second = _convolution(contents, f"fire{n}.conv1x1_2", channels=squeezed, side=1, where=where)
        large, third = _convolution(contents, f"fire{n}.conv3x3_2", channels=squeezed, side=3, where=where)
        needed |= first | second | third
        channels = small + large
    if "conv_final.weight" in contents.tensors:
        needed |= _convolution(contents, "conv_final", channels=channels, side=1, where=where)[1]
    return needed


def _convolution(
    contents: Contents, key: str, *, channels: int, side: int, where: str
) -> tuple[int, dict[str, tuple[int, ...]]]:
    """Width of a convolution, and the shapes that its tensors must have."""
    shape = contents.shapes.get(f"{key}.weight", ())
    if len(shape) != 4:
        raise WeightsMismatch(f"{where} has no convolution {key}, which SqueezeNet 1.0 needs.")
    return shape[0], {f"{key}.weight": (shape[0], channels, side, side), f"{key}.bias": (shape[0],)}


_TORCHVISION_FIRES = dict(zip((3, 4, 5, 7, 8, 9, 10, 12), _FIRES, strict=True))
"""Our fire by its number in torchvision's `features`, which has the poolings between them."""

_TORCHVISION_PARTS = {"squeeze": "conv1x1_1", "expand1x1": "conv1x1_2", "expand3x3": "conv3x3_2"}


def _from_torchvision(key: str) -> str:
    """Our key for one of torchvision's `squeezenet1_0`; any other key unchanged."""
    if match := re.fullmatch(r"features\.(\d+)\.(squeeze|expand1x1|expand3x3)\.(weight|bias)", key):
        number = int(match[1])
        return f"fire{_TORCHVISION_FIRES.get(number, number)}.{_TORCHVISION_PARTS[match[2]]}.{match[3]}"
    return key.replace("features.0.", "conv1.").replace("classifier.1.", "conv_final.")


def _matches_torchvision(contents: Contents) -> bool:
    return {"features.3.squeeze.weight", "features.12.expand3x3.weight"} <= contents.tensors.keys()


def _read_torchvision(contents: Contents, origin: Origin) -> tuple[dict[str, Tensor], Card]:
    ours = Contents(tensors={_from_torchvision(key): tensor for key, tensor in contents.tensors.items()})
    tensors, card = _read(ours, origin)
    return tensors, dataclasses.replace(card, preprocess="imagenet-rgb")


ROWS = (
    CheckpointFormat(
        name="torchvision-squeezenet",
        about="features.3.squeeze … features.12.expand3x3: squeezenet1_0 of torchvision, RGB, ImageNet mean",
        matches=_matches_torchvision,
        read=_read_torchvision,
    ),
    CheckpointFormat(
        name="squeezenet", about="conv1, fire2 … fire9, conv_final: SqueezeNet 1.0", matches=_matches, read=_read
    ),
)
