"""Modules to export, with example inputs."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from impasto.core.errors import OptionError
from impasto.encoders.table import Encoder
from impasto.export.planes import TracedNoise
from impasto.image.pixels import Preprocess, preprocess_from
from impasto.nets.bands import BANDS
from impasto.nets.codes import code_from
from impasto.nets.fast import FastNetwork
from impasto.nets.layers import PALETTE, mixed_entry
from impasto.nets.painting import RGB
from impasto.nets.table import Network
from impasto.stylizers.codes import code_of

MULTIPLE_PX = 8
"""Sides of pictures are multiples of this, which no network needs to crop."""

EXAMPLE_PX = 64  # side of the pictures that a module is traced with
STYLE_PX = 256  # side of style pictures in a check: the deepest layer still has 16 × 16 places


@dataclass(frozen=True, eq=False)
class Graph:
    """A module to export. `inputs` are examples by name; those in `pictures` may have any size, as the outputs
    `of_picture_size` do.

    `about` is stored in the file's metadata.
    """

    name: str
    module: nn.Module
    inputs: Mapping[str, Tensor]
    outputs: tuple[str, ...]
    pictures: tuple[str, ...]
    of_picture_size: tuple[str, ...] = ()
    about: Mapping[str, Any] = field(default_factory=dict)

    def of_size(self, size_hw: tuple[int, int], *, seed: int = 0) -> dict[str, Tensor]:
        """Inputs with pictures of size `size_hw`, smooth colours and some noise."""
        draw = torch.Generator().manual_seed(seed)
        coarse = torch.rand(1, 3, 6, 6, generator=draw)
        smooth = nn.functional.interpolate(coarse, size=size_hw, mode="bicubic").clamp(0, 1)
        picture = (smooth + 0.05 * torch.randn(1, 3, *size_hw, generator=draw)).clamp(0, 1)
        return {name: picture if name in self.pictures else value for name, value in self.inputs.items()}


class PaintingModule(nn.Module):
    """A network of one style, from and to RGB in `[0, 1]`, whose style parameters are an input.

    The style input is a row `(1, n)` of the parameters in the order of their keys. With a `table` `(styles, n)` it is
    the weight of each style. A network without style parameters has no style input.
    """

    table: Tensor | None

    def __init__(
        self,
        net: nn.Module,
        *,
        params: Mapping[str, Tensor] | None = None,
        table: Tensor | None = None,
        maps: tuple[Preprocess, Preprocess],
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.net, self.noise = net, TracedNoise(seed)
        self.sizes = {key: params[key].numel() for key in sorted(params)} if params else {}
        self.before, self.after = (None if value == preprocess_from(RGB) else value for value in maps)
        self.register_buffer("table", table)

    def forward(self, image: Tensor, style: Tensor | None = None) -> Tensor:
        """`image` `(1, 3, h, w)` painted and clamped."""
        params, start = {}, 0
        if style is not None:
            row = (style if self.table is None else style @ self.table)[0]
            for key, size in self.sizes.items():  # no split: WebGPU allows an operator ten buffers
                part = slice(start, start + size)
                params[key] = row[part] if self.table is None else self._mixed(key, part, style=style, row=row)
                start += size
        seen = image if self.before is None else self.before.apply(image)
        with _params_set(self.net, params):
            painted = self.net(seen, noise=self.noise)
        return (painted if self.after is None else self.after.inverse().apply(painted)).clamp(0, 1)

    def _mixed(self, key: str, part: slice, *, style: Tensor, row: Tensor) -> Tensor:
        """An entry of the mixed styles. All but the colours are taken from `row`, which keeps the graph small."""
        if key not in (PALETTE, BANDS):
            return row[part]
        assert self.table is not None
        entries = self.table[:, part]
        return mixed_entry(key, lambda weights: weights @ entries, weights=style)[0]


class StyleRow(nn.Module):
    """The encoder and the predictor of an arbitrary network: a style picture to the row of its parameters."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.net, self.encoder = network.net, network.encoder.net

    def forward(self, picture: Tensor) -> Tensor:
        """`picture` `(1, 3, h, w)` to `(1, n)`."""
        feats = self.encoder(picture, self.net.code_layers)
        return row_of(self.net.style_params(code_from(feats, picture, net=self.net)))


class FeaturesModule(nn.Module):
    """An encoder's features at some layers, as a tuple."""

    def __init__(self, encoder: Encoder, layers: Sequence[str]) -> None:
        super().__init__()
        self.encoder, self.layers = encoder.net, tuple(layers)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """`image` `(1, 3, h, w)` to features `(1, c, h / stride, w / stride)`."""
        feats = self.encoder(image, self.layers)
        return tuple(feats[name] for name in self.layers)


@contextlib.contextmanager
def _params_set(net: nn.Module, params: Mapping[str, Tensor]) -> Iterator[None]:
    """`net` with some of its tensors replaced. `torch.func.functional_call` does not work while tracing."""
    kept = []
    for key, value in params.items():
        owner, _, name = key.rpartition(".")
        module = net.get_submodule(owner)
        held: dict[str, Any] = module._parameters if name in module._parameters else module._buffers
        kept.append((held, name, held[name]))
        held[name] = value
    try:
        yield
    finally:
        for held, name, value in kept:
            held[name] = value


def row_of(params: Mapping[str, Tensor]) -> Tensor:
    """Style parameters, each `(1, …)` or `(…)`, side by side in the order of their keys: `(1, n)`."""
    return torch.cat([params[key].reshape(1, -1) for key in sorted(params)], dim=1)


def fast_graph(network: FastNetwork, *, seed: int = 0) -> Graph:
    """A fast network; with several styles, it has an input for their weights, which commonly add up to 1."""
    maps = (network.preprocess, network.postprocess)
    about = _about(network) | {"styles": list(network.styles), "noise_seed": seed}
    image = _example()
    if len(network.styles) == 1:
        module = PaintingModule(network.net, maps=maps, seed=seed)
        return Graph(network.name, module, {"image": image}, ("painted",), ("image",), ("painted",), about)
    each = [network.style_params(name) for name in network.styles]
    table = torch.cat([row_of(params) for params in each])
    net = network.of({network.styles[0]: 1.0}).net
    module = PaintingModule(net, params=each[0], table=table, maps=maps, seed=seed)
    weights = torch.eye(len(each))[:1]
    inputs = {"image": image, "style_weights": weights}
    return Graph(network.name, module, inputs, ("painted",), ("image",), ("painted",), about)


def painter_of(network: FastNetwork) -> tuple[PaintingModule, Tensor]:
    """The painter of a fast network of one style with its parameters as an input, and the row of its parameters.

    The row of a network without style parameters is empty.
    """
    params = network.style_params(network.styles[0])
    module = PaintingModule(network.net, params=params, maps=(network.preprocess, network.postprocess))
    return module, row_of(params) if params else torch.zeros(1, 0)


def row_graph(painting: PaintingModule, row: Tensor, *, name: str) -> Graph:
    """A painter with the row of a style's parameters as second input."""
    inputs = {"image": _example()} | ({"style": row} if painting.sizes else {})
    return Graph(name, painting, inputs, ("painted",), ("image",), ("painted",))


def arbitrary_graphs(network: Network, *, seed: int = 0) -> tuple[Graph, Graph]:
    """The painter of an arbitrary network, and the graph that turns a style picture into its second input.

    Raises `OptionError` for a network that does not predict norm parameters.
    """
    about = _about(network) | {"encoder": network.encoder.name, "noise_seed": seed}
    painting, row = arbitrary_painting(network, seed=seed)
    painter = dataclasses.replace(row_graph(painting, row, name=network.name), about=about)
    picture = _example(STYLE_PX)
    module = StyleRow(network)
    return painter, Graph(f"{network.name}-style", module, {"picture": picture}, ("style",), ("picture",), about=about)


def arbitrary_painting(network: Network, *, seed: int = 0) -> tuple[PaintingModule, Tensor]:
    """The painter of an arbitrary network, and the row of an example style. Raises as `arbitrary_graphs` does."""
    if network.net.fast_network is None:
        raise OptionError(
            f"{network.name} paints by the statistics of features; only networks that predict norm parameters can be "
            "exported, for example compact-any."
        )
    params = network.net.style_params(code_of(_example(STYLE_PX), network))
    net: Any = network.net.of_style(params)
    rgb = preprocess_from(RGB)
    painting = PaintingModule(net, params={key: value[0] for key, value in params.items()}, maps=(rgb, rgb), seed=seed)
    return painting, row_of(params)


def encoder_graph(encoder: Encoder, layers: Sequence[str] = ()) -> Graph:
    """An encoder with the features of `layers`, by default those of the losses, as outputs by their names."""
    wanted = tuple(layers) or tuple(dict.fromkeys((*encoder.defaults.style, *encoder.defaults.content)))
    about = {"name": encoder.name, "layers": wanted}
    example = {"image": _example(STYLE_PX)}
    return Graph(encoder.name, FeaturesModule(encoder, wanted), example, wanted, ("image",), wanted, about)


def _about(network: FastNetwork | Network) -> dict[str, Any]:
    return {"name": network.name, "licence": network.card.licence, "source": network.card.source}


def _example(side_px: int = EXAMPLE_PX) -> Tensor:
    return torch.rand(1, 3, side_px, side_px, generator=torch.Generator().manual_seed(0))
