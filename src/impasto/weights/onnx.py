"""Initialisers of ONNX models (`onnx/onnx.proto`: `ModelProto`, `GraphProto`, `TensorProto`)."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from impasto.core.errors import WeightsError
from impasto.weights.signatures import MOST_BYTES, whole_file
from impasto.weights.wire import Message, NotAMessage

_DTYPES = {1: "<f4", 10: "<f2", 11: "<f8"}  # TensorProto.DataType: FLOAT, FLOAT16, DOUBLE
_GRAPH, _INITIALISER, _EXTERNAL = 7, 5, 1


def parsed_model(path: Path, head: bytes) -> Message | None:
    """The model in a file; None for other files. The first field of a model is its version."""
    if head[:1] != b"\x08" or not 0 < head[1] < 128 or path.stat().st_size > MOST_BYTES:
        return None
    try:
        model = Message.parse(whole_file(path))
        return model if len(model.messages(_GRAPH)) == 1 else None
    except NotAMessage:
        return None


def initialisers(model: Message, path: Path) -> dict[str, Tensor]:
    """The float initialisers of a model by name, in its order. Raises `WeightsError`."""
    tensors: dict[str, Tensor] = {}
    try:
        for entry in model.messages(_GRAPH)[0].messages(_INITIALISER):
            if entry.integer(2) in _DTYPES:
                tensors[entry.text(8)] = _tensor(entry, path)
    except ValueError as error:
        raise WeightsError(f"{path.name} is a damaged ONNX model ({error}); download it again.") from error
    if not tensors:
        raise WeightsError(f"{path.name} is an ONNX model without weights inside; a model with initialisers is needed.")
    return tensors


def _tensor(entry: Message, path: Path) -> Tensor:
    name, shape, dtype = entry.text(8), tuple(entry.integers(1)), np.dtype(_DTYPES[entry.integer(2)])
    if entry.integer(14) == _EXTERNAL:
        raise WeightsError(f"{path.name} keeps {name} in another file; save the model with its weights inside.")
    raw = entry.chunks(9)
    data = bytes(raw[-1]) if raw else b"".join(bytes(chunk) for chunk in entry.chunks(4))
    if len(data) != math.prod(shape) * dtype.itemsize:
        raise WeightsError(f"{name} in {path.name} has {len(data)} bytes, and the shape {shape}; it is damaged.")
    return torch.from_numpy(np.frombuffer(data, dtype=dtype).reshape(shape).astype(dtype.newbyteorder("=")))
