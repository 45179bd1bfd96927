"""Reader of SqueezeNet 1.0 (arXiv 1602.07360) with the keys `conv1`, `fireN.conv1x1_1`, `fireN.conv3x3_2` and so on."""

from __future__ import annotations

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
    check_shapes(contents.shapes, _needed(contents, origin.file_name), origin.file_name)
    tensors = {k: own_copy(t, key=k, file_name=origin.file_name) for k, t in contents.tensors.items()}
    card = origin.card(kind="encoder", network={"architecture": "squeezenet-1.0"}, preprocess="squeezenet-bgr")
    return tensors, card


def _needed(contents: Contents, where: str) -> dict[str, tuple[int, ...]]:
    """The shapes that SqueezeNet has with the widths of these tensors."""
    channels, needed = _convolution(contents, "conv1", 3, 7, where)
    for n in _FIRES:
        squeezed, first = _convolution(contents, f"fire{n}.conv1x1_1", channels, 1, where)
        small, second = _convolution(contents, f"fire{n}.conv1x1_2", squeezed, 1, where)
        large, third = _convolution(contents, f"fire{n}.conv3x3_2", squeezed, 3, where)
        needed |= first | second | third
        channels = small + large
    if "conv_final.weight" in contents.tensors:
        needed |= _convolution(contents, "conv_final", channels, 1, where)[1]
    return needed


def _convolution(
    contents: Contents, key: str, channels: int, side: int, where: str
) -> tuple[int, dict[str, tuple[int, ...]]]:
    """Width of a convolution, and the shapes that its tensors must have."""
    shape = contents.shapes.get(f"{key}.weight", ())
    if len(shape) != 4:
        raise WeightsMismatch(f"{where} has no convolution {key}, which SqueezeNet 1.0 needs.")
    return shape[0], {f"{key}.weight": (shape[0], channels, side, side), f"{key}.bias": (shape[0],)}


ROWS = (
    CheckpointFormat(
        name="squeezenet",
        about="conv1, fire2 … fire9, conv_final: SqueezeNet 1.0",
        matches=_matches,
        read=_read,
    ),
)
