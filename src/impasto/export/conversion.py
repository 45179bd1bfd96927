"""Graphs as ONNX models."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import torch

import impasto
from impasto.core.extras import optional
from impasto.export.graphs import MULTIPLE_PX, Graph
from impasto.export.planes import defined
from impasto.image.resize import SizeHW

EXTRA = "export"
OPSET = 18
"""The first with integer operators for the noise."""

SIDES = ("height", "width")
"""Names of the free sides of pictures."""


def onnx_model(graph: Graph, *, size_hw: SizeHW | None = None) -> Any:
    """`graph` as an `onnx.ModelProto`, for pictures of any size in multiples of 8 px, or of `size_hw` only.

    By torch's tracing exporter. The newer one (`dynamo=True`, onnxscript) writes an equivalent graph, but takes a
    minute of CPU time for compact-styles instead of a few seconds.
    """
    onnx = optional("onnx", EXTRA, purpose="the export")
    free = {name: dict(enumerate(SIDES, start=2)) for name in (*graph.pictures, *graph.of_picture_size)}
    buffer = io.BytesIO()
    with torch.no_grad(), _quiet():
        torch.onnx.export(
            graph.module.eval(),
            tuple(graph.inputs.values()),
            cast(Any, buffer),
            dynamo=False,
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
            dynamic_axes=free,
            opset_version=OPSET,
        )
    model = _folded(defined(onnx.load_from_string(buffer.getvalue())))
    if size_hw is not None:
        model = _with_size(model, graph, size_hw=size_hw)
    _describe(model, graph)
    onnx.checker.check_model(model)
    return model


def _with_size(model: Any, graph: Graph, *, size_hw: SizeHW) -> Any:
    """The model for pictures of one size. Noise is not folded, since its planes are larger than the weights."""
    from onnx import shape_inference

    for value in model.graph.input:
        if value.name in graph.pictures:
            for dim, side in zip(value.type.tensor_type.shape.dim[2:], size_hw, strict=True):
                dim.dim_value = side
    painted = graph.outputs == ("painted",)
    for value in model.graph.output:
        if value.name in graph.of_picture_size:
            shape = value.type.tensor_type.shape.dim
            for dim, side in zip(shape, (1, 3, *size_hw), strict=True):
                if painted:
                    dim.dim_value = side
                else:
                    dim.Clear()  # inferred
    return shape_inference.infer_shapes(model, data_prop=True)


def _folded(model: Any) -> Any:
    """The model with constants folded and redundant nodes removed by ONNX Runtime."""
    import onnx

    runtime = optional("onnxruntime", EXTRA, purpose="the export")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        options = runtime.SessionOptions()
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath, options.log_severity_level = str(path), 3
        runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return onnx.load(path)


def _describe(model: Any, graph: Graph) -> None:
    plain = [entry for entry in model.opset_import if entry.domain in {node.domain for node in model.graph.node}]
    del model.opset_import[:]  # ONNX Runtime adds its own domains
    model.opset_import.extend(plain)
    model.producer_name, model.producer_version = "impasto", impasto.__version__
    del model.metadata_props[:]
    entry = model.metadata_props.add()
    entry.key, entry.value = "impasto", json.dumps({**graph.about, "multiple_px": MULTIPLE_PX}, ensure_ascii=False)
    for node in model.graph.node:  # stack traces
        node.doc_string = ""


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's warnings of absent packages and of its own deprecated calls."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
