"""Readers of VGG weights (arXiv 1409.1556) in the key layouts of torchvision, Caffe, Gatys and AdaIN.

Our keys are `convS_I.weight` and `convS_I.bias`: convolution I (1 to 4) of stage S (1 to 5, separated by poolings).
The others number the layers of one sequence; a larger gap between two convolutions indicates a pooling. Widths are read
from the tensors, so narrow variants and networks truncated after any convolution are supported.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from impasto.core.errors import WeightsMismatch
from impasto.weights.card import Card, check_shapes
from impasto.weights.checkpoint_format import CheckpointFormat, Origin, own_copy
from impasto.weights.containers import Contents

_VGG19 = (2, 2, 4, 4, 4)
_NORM_EPS = 1e-5  # default of torch's BatchNorm2d, which checkpoints do not contain
_NORM_PARTS = ("weight", "bias", "running_mean", "running_var")
_MOST_STAGES, _MOST_CONVS = 5, 4

StageKeys = list[list[str]]
"""The key prefix of each convolution (`features.0`), by stage."""


def network_of(stages: Sequence[Sequence[int]], *, padding: str, ceil_mode: bool) -> dict[str, Any]:
    """The card's network for `[[width, convolutions], …]`; max pooling, as in all published VGGs."""
    return {
        "architecture": "vgg",
        "stages": [list(stage) for stage in stages],
        "padding": padding,
        "pooling": "max",
        "ceil_mode": ceil_mode,
    }


def _is_features(contents: Contents) -> bool:
    """Keys `features.N.weight`, or `N.weight` without the classifier, starting with a 3×3 convolution of 3 channels."""
    prefix = _features_prefix(contents)
    pattern = re.escape(prefix) + r"\d+\.(weight|bias|running_mean|running_var|num_batches_tracked)"
    known = all(re.fullmatch(pattern, key) or key.startswith("classifier.") for key in contents.tensors)
    return known and contents.shapes.get(f"{prefix}0.weight", ())[1:] == (3, 3, 3)


def _features_prefix(contents: Contents) -> str:
    return "features." if "features.0.weight" in contents.tensors else ""


def _is_normed(contents: Contents) -> bool:
    return any(key.endswith(".running_mean") for key in contents.tensors)


def _is_gatys(contents: Contents) -> bool:
    """Keys `convS_I.…` of VGG-19 or a truncation of it; keys of compact networks do not match."""
    names = [key.removesuffix(".weight") for key in contents.tensors if key.endswith(".weight")]
    whole = [f"conv{s}_{i}" for s, count in enumerate(_VGG19, 1) for i in range(1, count + 1)]
    return bool(names) and set(names) == set(whole[: len(names)])


def _is_adain(contents: Contents) -> bool:
    return contents.shapes.get("0.weight") == (3, 3, 1, 1) and all(re.match(r"\d+\.", key) for key in contents.tensors)


def _stages_by_distance(shapes: Mapping[str, tuple[int, ...]], *, prefix: str, step: int, where: str) -> StageKeys:
    """Convolutions by stage: `step` layers apart within a stage, one more across a pooling."""
    pattern = re.compile(re.escape(prefix) + r"(\d+)\.weight")
    numbers = sorted(int(m[1]) for key, shape in shapes.items() if len(shape) == 4 and (m := pattern.fullmatch(key)))
    if not numbers:
        raise WeightsMismatch(f"{where} has no convolutions after its first layer; a VGG is needed.")
    stages = [[f"{prefix}{numbers[0]}"]]
    for before, here in pairwise(numbers):
        if here - before not in (step, step + 1):
            raise WeightsMismatch(
                f"{where} has convolution {prefix}{here} after {prefix}{before}; "
                f"{prefix}{before + step}, or {prefix}{before + step + 1} after a pooling, is needed: "
                "it is not a VGG, or one is missing."
            )
        if here - before == step + 1:
            stages.append([])
        stages[-1].append(f"{prefix}{here}")
    return stages


def _canonical(
    contents: Contents, stages: StageKeys, *, normed: bool, aside: Sequence[str], where: str
) -> tuple[dict[str, Tensor], list[list[int]]]:
    """Our keys and the stages' `[width, convolutions]`, after checking keys and shapes; `aside` is ignored."""
    counts = [len(stage) for stage in stages]
    if len(stages) > _MOST_STAGES or max(counts) > _MOST_CONVS:
        raise WeightsMismatch(f"{where} has {counts} convolutions by stage; at most 5 stages of 4 are a VGG.")
    shapes = contents.shapes
    widths = [next(iter(shapes[f"{stage[0]}.weight"]), 0) for stage in stages]
    needed: dict[str, tuple[int, ...]] = {}
    channels = 3
    for stage, width in zip(stages, widths, strict=True):
        for key in stage:
            needed |= {f"{key}.weight": (width, channels, 3, 3), f"{key}.bias": (width,)}
            needed |= {f"{_next(key)}.{part}": (width,) for part in _NORM_PARTS} if normed else {}
            channels = width
    ignored = [key for key in shapes if key.startswith(tuple(aside)) or key.endswith(".num_batches_tracked")]
    check_shapes({key: shape for key, shape in shapes.items() if key not in ignored}, needed, where=where)
    tensors = {}
    for s, stage in enumerate(stages, 1):
        for i, key in enumerate(stage, 1):
            weight, bias = _folded(contents.tensors, key) if normed else _pair(contents.tensors, key)
            tensors[f"conv{s}_{i}.weight"] = own_copy(weight, key=f"{key}.weight", file_name=where)
            tensors[f"conv{s}_{i}.bias"] = own_copy(bias, key=f"{key}.bias", file_name=where)
    return tensors, [[width, count] for width, count in zip(widths, counts, strict=True)]


def _next(key: str) -> str:
    """The layer after `features.3`: `features.4`."""
    return re.sub(r"\d+$", lambda m: str(int(m[0]) + 1), key)


def _pair(tensors: Mapping[str, Tensor], key: str) -> tuple[Tensor, Tensor]:
    return tensors[f"{key}.weight"], tensors[f"{key}.bias"]


def _folded(tensors: Mapping[str, Tensor], key: str) -> tuple[Tensor, Tensor]:
    """Weight (o, i, 3, 3) and bias (o,) of a convolution with its batch norm folded in.

    Exact for evaluation: the norm directly follows the convolution, so padding is unaffected.
    """
    weight, bias = (t.double() for t in _pair(tensors, key))
    gain, shift, mean, variance = (tensors[f"{_next(key)}.{part}"].double() for part in _NORM_PARTS)
    scale = gain / torch.sqrt(variance + _NORM_EPS)
    kind = tensors[f"{key}.weight"].dtype
    return (weight * scale[:, None, None, None]).to(kind), ((bias - mean) * scale + shift).to(kind)


def _read_features(contents: Contents, origin: Origin, *, preprocess: str) -> tuple[dict[str, Tensor], Card]:
    normed = _is_normed(contents)
    stages = _stages_by_distance(
        contents.shapes, prefix=_features_prefix(contents), step=3 if normed else 2, where=origin.file_name
    )
    tensors, widths = _canonical(contents, stages, normed=normed, aside=("classifier.",), where=origin.file_name)
    notes = "Batch norm is folded into the convolutions." if normed else ""
    network = network_of(widths, padding="zeros", ceil_mode=False)
    return tensors, origin.card(kind="encoder", network=network, preprocess=preprocess, notes=notes)


def _read_torchvision(contents: Contents, origin: Origin) -> tuple[dict[str, Tensor], Card]:
    return _read_features(contents, origin, preprocess="imagenet-rgb")


def _read_caffe(contents: Contents, origin: Origin) -> tuple[dict[str, Tensor], Card]:
    return _read_features(contents, origin, preprocess="caffe-bgr")


def _read_gatys(contents: Contents, origin: Origin) -> tuple[dict[str, Tensor], Card]:
    stages: StageKeys = []
    for s in range(1, len(_VGG19) + 1):
        keys = sorted(k.removesuffix(".weight") for k in contents.tensors if re.fullmatch(rf"conv{s}_\d\.weight", k))
        stages += [keys] if keys else []
    tensors, widths = _canonical(contents, stages, normed=False, aside=(), where=origin.file_name)
    network = network_of(widths, padding="zeros", ceil_mode=False)
    return tensors, origin.card(kind="encoder", network=network, preprocess="gatys-bgr")


def _read_adain(contents: Contents, origin: Origin) -> tuple[dict[str, Tensor], Card]:
    """The leading 1×1 convolution becomes the card's preprocessing, unchanged."""
    check_shapes(
        {k: s for k, s in contents.shapes.items() if k.startswith("0.")},
        {"0.weight": (3, 3, 1, 1), "0.bias": (3,)},
        where=origin.file_name,
    )
    stages = _stages_by_distance(contents.shapes | {"0.weight": ()}, prefix="", step=3, where=origin.file_name)
    tensors, widths = _canonical(contents, stages, normed=False, aside=("0.",), where=origin.file_name)
    matrix, offset = (
        own_copy(contents.tensors[key], key=key, file_name=origin.file_name) for key in ("0.weight", "0.bias")
    )
    preprocess = {"matrix": matrix[:, :, 0, 0].tolist(), "offset": offset.tolist()}
    network = network_of(widths, padding="reflect", ceil_mode=True)
    return tensors, origin.card(kind="encoder", network=network, preprocess=preprocess)


ROWS = (
    CheckpointFormat(
        name="torchvision-vgg",
        about="features.N.weight, RGB, ImageNet mean and deviation; batch norm variants too",
        matches=_is_features,
        read=_read_torchvision,
    ),
    CheckpointFormat(
        name="caffe-vgg",
        about="features.N.weight, BGR 0..255 minus the mean (neural-style-pt, jcjohnson)",
        matches=lambda contents: _is_features(contents) and not _is_normed(contents),
        read=_read_caffe,
    ),
    CheckpointFormat(
        name="gatys-vgg",
        about="conv1_1.weight …, the VGG-19 of Gatys' own code (vgg_conv.pth)",
        matches=_is_gatys,
        read=_read_gatys,
    ),
    CheckpointFormat(
        name="adain-vgg",
        about="0.weight of 3×3×1×1, then N.weight: AdaIN's encoder (vgg_normalised.pth)",
        matches=_is_adain,
        read=_read_adain,
    ),
)
