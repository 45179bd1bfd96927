"""Networks as ONNX: what ONNX Runtime makes of them is what torch makes of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from impasto.core.errors import OptionError, WeightsMismatch
from impasto.encoders.table import Encoder
from impasto.export.conversion import onnx_model
from impasto.export.graphs import Graph, arbitrary_graphs, encoder_graph, fast_graph, row_of
from impasto.export.parity import checked, onnx_engine
from impasto.nets import fast, table
from impasto.nets.codes import code_from
from impasto.nets.colours import colour_map
from impasto.weights.card import Card

MakeNetwork = Callable[..., fast.FastNetwork]

LITTLE = 0.05
"""Levels of 255 that rounding in float32 explains, here."""


@pytest.fixture(scope="module")
def three(a_network: MakeNetwork) -> Graph:
    """A network of three styles."""
    torch.manual_seed(0)
    return fast_graph(a_network("ours", styles=("a", "b", "c")), seed=7)


@pytest.fixture(scope="module")
def written(three: Graph) -> Any:
    return onnx_model(three)


def test_a_network_of_styles_takes_their_weights(three: Graph, written: Any) -> None:
    assert [value.name for value in written.graph.input] == ["image", "style_weights"]
    assert {entry.domain for entry in written.opset_import} == {""}  # plain operators, of every engine
    engine = onnx_engine(written)
    assert checked(three, engine) < LITTLE
    inputs = three.of_size((64, 64)) | {"style_weights": torch.tensor([[0.2, -0.5, 1.3]])}
    with torch.no_grad():
        wanted = three.module(*inputs.values())
    (found,) = engine({name: value.numpy() for name, value in inputs.items()})
    assert abs(torch.from_numpy(found) - wanted).max() < LITTLE / 255
    with torch.no_grad():
        first = three.module(*three.of_size((64, 64)).values())
    assert wanted.std() > 0.05
    assert (wanted - first).abs().mean() > 0.01


def test_it_is_the_network_with_its_noise(a_network: MakeNetwork) -> None:
    network = a_network("ours", styles=("a", "b"))
    graph = fast_graph(network)
    inputs = graph.of_size((40, 48))
    with torch.no_grad():
        found = graph.module(*inputs.values())
    assert (found - network.of({"a": 1.0}).painter.painted(inputs["image"])).abs().max() < 1e-4
    with torch.no_grad():
        other = fast_graph(network, seed=1).module(*inputs.values())
    assert (found - other).abs().mean() > 1e-3


@pytest.mark.parametrize(("kind", "preprocess"), [("half", "rgb"), ("tensorflow", "imagenet-rgb")])
def test_other_architectures(kind: str, preprocess: str, a_network: MakeNetwork) -> None:
    graph = fast_graph(a_network(kind, preprocess=preprocess))
    assert list(graph.inputs) == ["image"]
    assert checked(graph, onnx_engine(onnx_model(graph))) < LITTLE


def test_a_fixed_size_is_the_only_one(three: Graph) -> None:
    model = onnx_model(three, size_hw=(48, 32))
    dims = [
        [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    ]
    assert dims == [[1, 3, 48, 32], [1, 3], [1, 3, 48, 32]]
    engine = onnx_engine(model)
    assert checked(three, engine, size_hw=(48, 32)) < LITTLE
    with pytest.raises(Exception, match=r"(?i)dimensions"):
        engine({name: value.numpy() for name, value in three.of_size((64, 64)).items()})


def test_an_arbitrary_network_is_a_painter_and_what_gives_it_a_style(encoder: Encoder, painting: torch.Tensor) -> None:
    small = {**table.PREDICTED, "widths": (4, 6), "blocks": 1, "rank": 8}
    net = table.untrained(encoder, small).eval().requires_grad_(False)
    network = table.Network(net, Card(kind=table.KIND, name="small", network=small), "", encoder)
    painter, style = arbitrary_graphs(network)
    assert [list(graph.inputs) for graph in (painter, style)] == [["image", "style"], ["picture"]]
    engine = onnx_engine(onnx_model(style))
    assert checked(style, engine) < 1e-3
    picture = painting[..., :64, :72]
    (row,) = engine({"picture": picture.numpy()})
    wanted = net.style_params(code_from(encoder(picture, net.code_layers), picture, net=net))
    assert torch.allclose(torch.from_numpy(row), row_of(wanted), atol=1e-3)
    assert checked(painter, onnx_engine(onnx_model(painter))) < LITTLE


def test_a_network_that_mirrors_the_encoder_is_refused(make_network: Callable[..., table.Network]) -> None:
    with pytest.raises(OptionError, match="statistics of features"):
        arbitrary_graphs(make_network("adain"))


def test_an_encoder_gives_its_features_by_name(encoder: Encoder) -> None:
    graph = encoder_graph(encoder, ("relu1_1", "relu3_1"))
    model = onnx_model(graph)
    assert [value.name for value in model.graph.output] == ["relu1_1", "relu3_1"]
    assert checked(graph, onnx_engine(model)) < 1e-4


def test_another_picture_is_not_kept(three: Graph, written: Any) -> None:
    engine = onnx_engine(written)
    with pytest.raises(WeightsMismatch, match="levels of 255"):
        checked(three, lambda inputs: [value + 0.01 for value in engine(inputs)])
    with pytest.raises(WeightsMismatch, match="nan"):
        checked(three, lambda inputs: [value * float("nan") for value in engine(inputs)])


def test_colours_move_as_far_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    spread = torch.rand(50, 3, 3) * 10 ** (-2 * torch.rand(50, 3, 1))
    stats = torch.cat([torch.rand(50, 1, 3), spread @ spread.mT / 3], dim=1)
    wanted = colour_map(stats, stats.flip(0))
    monkeypatch.setattr("impasto.nets.colours.exported", lambda: True)
    found = colour_map(stats, stats.flip(0))
    assert (found - wanted).abs().max() < 1e-3
