"""Comparison of an exported model with its network."""

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
"""An exported model: from input arrays by name to its outputs in order."""

MOST_LEVELS = 1
"""Largest difference of a pixel in levels of 255, in float32."""

MOST_RELATIVE = 1e-3
"""Largest difference of features and style parameters, relative to their root mean square."""

CHECKED_HW = ((64, 72), (136, 160))
"""Sizes for the check of a dynamic model: not square, other than the example, and odd after three halvings."""


def onnx_engine(model: Any) -> Engine:
    """An `onnx.ModelProto`, or a file of one, in ONNX Runtime on the processor."""
    runtime = optional("onnxruntime", EXTRA, purpose="the check of an export")
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    source = str(model) if isinstance(model, Path) else model.SerializeToString()
    session = runtime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    return lambda inputs: list(session.run(None, dict(inputs)))


def checked(graph: Graph, engine: Engine, *, size_hw: SizeHW | None = None) -> float:
    """The largest difference between a graph's module and its exported model.

    In levels of 255 for pictures, otherwise relative to the root mean square. Raises `WeightsMismatch` if it exceeds
    `MOST_LEVELS` or `MOST_RELATIVE`.
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
            worst = worst if apart <= worst else apart  # also for NaN
    if not worst <= most:
        unit = "levels of 255" if painted else "of the root mean square"
        raise WeightsMismatch(
            f"the exported model of {graph.name} differs from the network by {worst:.3g} {unit}; {most:g} is allowed. "
            "No file was written. Please report this."
        )
    return worst


def levels_apart(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """The largest difference of two pictures in levels of 8 bits, before rounding."""
    levels = int(to_bytes(torch.ones(1, 1, 1, 1))[0, 0, 0, 0])
    return float(np.abs(one.astype(np.float64) - other).max()) * levels


def _relative(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    scale = float(np.sqrt(np.mean(np.square(one, dtype=np.float64))))
    return float(np.abs(one.astype(np.float64) - other).max()) / max(scale, 1e-12)
