"""A written model compared with the network that it was written from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from impasto.core.errors import WeightsMismatch
from impasto.core.extras import optional
from impasto.export.conversion import EXTRA
from impasto.export.graphs import Graph
from impasto.image.pixels import to_bytes
from impasto.image.resize import SizeHW

Arrays = Mapping[str, NDArray[np.float32]]
Engine = Callable[[Arrays], list[NDArray[np.float32]]]
"""A written model: arrays by the names of its inputs to those of its outputs, in their order."""

MOST_LEVELS = 1
"""By how many of the 255 levels a pixel may differ in float32."""

MOST_RELATIVE = 1e-3
"""By how much features and style parameters may differ, relative to their root mean square."""

CHECKED_HW = ((64, 72), (136, 160))
"""Sizes that a model of any size is checked with: not square, not that of the example, and odd once halved thrice."""


def onnx_engine(model: Any) -> Engine:
    """An `onnx.ModelProto`, or a file of one, in ONNX Runtime on the processor."""
    runtime = optional("onnxruntime", EXTRA, purpose="the check of an export")
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    source = str(model) if isinstance(model, Path) else model.SerializeToString()
    session = runtime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    return lambda inputs: list(session.run(None, dict(inputs)))


def checked(graph: Graph, engine: Engine, *, size_hw: SizeHW | None = None) -> float:
    """The largest difference between the graph's module and a written model of it.

    For pictures in levels of 255, otherwise relative to the root mean square. Raises `WeightsMismatch` where it is
    above `MOST_LEVELS` or `MOST_RELATIVE`.
    """
    painted = graph.outputs == ("painted",)
    most, worst = (MOST_LEVELS if painted else MOST_RELATIVE), 0.0
    for seed, size in enumerate(CHECKED_HW if size_hw is None else (size_hw,)):
        inputs = graph.of_size(size, seed=seed)
        with torch.no_grad():
            found = graph.module(*inputs.values())
        wanted = (found,) if isinstance(found, torch.Tensor) else found
        results = engine({name: value.numpy() for name, value in inputs.items()})
        for one, other in zip(wanted, results, strict=True):
            compare = levels_apart if painted else _relative
            apart = compare(one.numpy(), other)
            worst = worst if apart <= worst else apart  # also where it is not a number
    if not worst <= most:
        unit = "levels of 255" if painted else "of the root mean square"
        raise WeightsMismatch(
            f"the written model of {graph.name} differs from the network by {worst:.3g} {unit}; {most:g} is allowed. "
            "It is not kept. Please report it."
        )
    return worst


def levels_apart(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """The largest difference of two pictures in levels of 8 bits, before rounding."""
    levels = int(to_bytes(torch.ones(1, 1, 1, 1))[0, 0, 0, 0])
    return float(np.abs(one.astype(np.float64) - other).max()) * levels


def _relative(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    scale = float(np.sqrt(np.mean(np.square(one, dtype=np.float64))))
    return float(np.abs(one.astype(np.float64) - other).max()) / max(scale, 1e-12)
