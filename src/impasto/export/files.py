"""Networks as files for other engines, each compared with its network before it is written."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impasto.config.export import OnnxOptions
from impasto.core.errors import OptionError, WeightsError
from impasto.core.extras import optional
from impasto.core.paths import written_whole
from impasto.encoders.table import Progress, load_encoder
from impasto.export.conversion import onnx_model
from impasto.export.graphs import MULTIPLE_PX, Graph, arbitrary_graphs, encoder_graph, fast_graph
from impasto.export.parity import Arrays, Engine, checked, onnx_engine
from impasto.image.resize import SizeHW
from impasto.nets import fast, table
from impasto.styles.catalogue import StyleCatalogue
from impasto.styles.text import split_name
from impasto.weights import readers

SUFFIXES = {"onnx": ".onnx", "openvino": ".xml"}


@dataclass(frozen=True)
class Written:
    """A file, the shapes of its model's inputs and outputs, and its difference from the network."""

    path: Path
    name: str
    inputs: dict[str, list[int | str]]
    outputs: dict[str, list[int | str]]
    difference: float
    unit: str


def write_graphs(name: str, path: Path, *, options: OnnxOptions, progress: Progress | None = None) -> Iterator[Written]:
    """Write the network or trained style `name` to `path`; an arbitrary network gets a second file, `…-style`.

    Each model is compared with the network first. Raises `OptionError`, `UnknownName`, `WeightsError` and its kinds.
    """
    check_suffix(path, options.format)
    size = None if options.size is None else (options.size[1], options.size[0])
    if size is not None and any(side % MULTIPLE_PX for side in size):
        raise OptionError(f"`size` is {size[1]}x{size[0]}; multiples of {MULTIPLE_PX} px are needed.")
    for index, graph in enumerate(graphs_of(name, options, progress=progress)):
        target = path if index == 0 else path.with_name(f"{path.stem}-style{path.suffix}")
        yield _written(graph, target, options=options, size_hw=size if index == 0 else None)


def check_suffix(path: Path, form: str) -> None:
    """Raise `OptionError` for a file name of another format."""
    if path.suffix != SUFFIXES[form]:
        raise OptionError(f"{path} does not end in {SUFFIXES[form]}, as files of `format={form}` do. Rename it.")


def graphs_of(name: str, options: OnnxOptions, *, progress: Progress | None = None) -> tuple[Graph, ...]:
    """The graphs to export for a network, encoder or trained style, by name or file."""
    seed, styles = options.noise_seed, StyleCatalogue()
    if split_name(name).style or (name in styles.names and name not in styles.networks):
        at = styles.named(name)
        return (fast_graph(fast.load_fast_network(at.network, precision="float32").of({at.style: 1.0}), seed=seed),)
    kind = readers.load_weights(name, progress=progress).card.kind
    if kind == fast.KIND:
        return (fast_graph(fast.load_fast_network(name, precision="float32"), seed=seed),)
    if kind == table.KIND:
        return arbitrary_graphs(table.load_network(name, precision="float32", progress=progress), seed=seed)
    if kind != "encoder":
        raise WeightsError(f"{name} is of kind {kind}; a network or an encoder is needed.")
    return (encoder_graph(load_encoder(name, precision="float32"), options.layers),)


def _written(graph: Graph, path: Path, *, options: OnnxOptions, size_hw: SizeHW | None) -> Written:
    model = onnx_model(graph, size_hw=size_hw)
    if options.format == "openvino":
        difference = _save_openvino(graph, model, path=path, size_hw=size_hw)
    else:
        difference = checked(graph, onnx_engine(model), size_hw=size_hw)
        with written_whole(path) as temporary:
            temporary.write_bytes(model.SerializeToString())
    unit = "levels of 255" if graph.outputs == ("painted",) else "of the root mean square"
    return Written(path, graph.name, _shapes(model.graph.input), _shapes(model.graph.output), difference, unit)


def _save_openvino(graph: Graph, model: Any, *, path: Path, size_hw: SizeHW | None) -> float:
    """Write an OpenVINO model to `path` and its weights to `.bin`; returns the difference."""
    openvino = optional("openvino", "openvino", purpose="an OpenVINO model")
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "model.onnx"
        source.write_bytes(model.SerializeToString())
        core = openvino.Core()
        converted = core.read_model(source)  # convert_model reports to the telemetry of OpenVINO
        precision = {"INFERENCE_PRECISION_HINT": "f32"}
        compiled = core.compile_model(converted, "CPU", precision)

        def run(inputs: Arrays) -> list[Any]:
            return list(compiled(dict(inputs)).values())

        engine: Engine = run
        difference = checked(graph, engine, size_hw=size_hw)
        made = Path(folder) / path.name
        openvino.save_model(converted, made, compress_to_fp16=False)
        for suffix in (".bin", path.suffix):  # the description last: it names the weights
            with written_whole(path.with_suffix(suffix)) as temporary:
                shutil.copyfile(made.with_suffix(suffix), temporary)
    return difference


def _shapes(values: Any) -> dict[str, list[int | str]]:
    return {
        value.name: [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in values
    }
