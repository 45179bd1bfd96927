"""A new encoder is one network and one row: nothing else has to know it to paint, to tile or to train with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import impasto
from impasto.config.optimise import LossOptions, OptimiseOptions
from impasto.core.errors import OptionError, UnknownName
from impasto.encoders import table
from impasto.encoders.protocol import DefaultLayers, unknown_layer
from impasto.nets.adain_decoder import AdaINDecoder
from impasto.nets.table import Network, untrained
from impasto.stylizers.codes import code_of
from impasto.training.backbone import layer_pairs
from impasto.weights.card import Card, fill, save

DEFAULTS = DefaultLayers(content=("blobs",), style=("edges", "blobs"))


class Toy(nn.Module):
    """Two padded convolutions with a pooling between them; its layer names are not a VGG's."""

    layers = ("edges", "blobs")
    defaults = DEFAULTS
    stages = None
    score_layer = None

    def __init__(self) -> None:
        super().__init__()
        self.edges, self.blobs = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 8, 3)

    def width(self, layer: str) -> int:
        return {"edges": 6, "blobs": 8}[self._known(layer)]

    def stride(self, layer: str) -> int:
        return {"edges": 1, "blobs": 2}[self._known(layer)]

    def smallest_px(self, layers: Iterable[str]) -> int:
        return 2 * max(self.stride(name) for name in layers)

    def reach_px(self, layers: Iterable[str]) -> int:
        return 4 if "blobs" in layers else 1

    def align_borders(self) -> None:
        """Its convolutions are padded."""

    def forward(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        feats = {"edges": F.relu(self.edges(F.pad(image, (1,) * 4, mode="reflect")))}
        halved = F.pad(F.avg_pool2d(feats["edges"], 2), (1,) * 4, mode="reflect")
        feats["blobs"] = F.relu(self.blobs(halved))
        return {self._known(name): feats[name] for name in layers}

    def _known(self, layer: str) -> str:
        if layer not in self.layers:
            raise unknown_layer(layer, self.layers, defaults=self.defaults)
        return layer


def build_toy(card: Card, tensors: Mapping[str, Tensor], *, pooling: str) -> Toy:
    net = Toy()
    fill(net, tensors, where=card.name)
    return net


@pytest.fixture
def toy_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(table.ARCHITECTURES, "toy", build_toy)
    card = Card(kind="encoder", name="toy", network={"architecture": "toy"})
    save(path := tmp_path / "toy.safetensors", Toy().state_dict(), card=card)
    return path


def test_it_paints_by_optimisation(toy_file: Path, photo: Tensor, painting: Tensor) -> None:
    encoder = impasto.load_encoder(toy_file, precision="float32")
    losses = LossOptions(
        encoder=str(toy_file), content_layers=encoder.defaults.content, style_layers=encoder.defaults.style
    )
    result = impasto.stylize(
        photo, painting, method="optimise", size=48, losses=losses, optimise=OptimiseOptions(steps=(6,), scales=1)
    )
    pixels = result.pixels
    assert max(pixels.shape[-2:]) == 48
    assert float((pixels - F.interpolate(photo, pixels.shape[-2:], mode="area")).abs().mean()) > 0.01


def test_a_network_for_any_style_takes_it_by_tiles_or_whole(toy_file: Path, draw_painting: object) -> None:
    encoder = table.load_encoder(toy_file, precision="float32")
    net = untrained(
        encoder, {"architecture": "predicted", "code_layers": encoder.layers, "widths": [4, 6, 8], "blocks": 1}
    )
    card = Card(kind="arbitrary", name="any", network={})
    network = Network(net, card, "", encoder)
    picture = draw_painting(60, 76)  # type: ignore[operator]
    whole, tiled = (code_of(picture, network, window_px=px) for px in (1 << 20, 2000))
    assert whole.keys() == tiled.keys()
    for layer, code in whole.items():
        torch.testing.assert_close(tiled[layer], code, atol=1e-4, rtol=1e-4)


def test_it_cannot_be_mirrored(toy_file: Path) -> None:
    with pytest.raises(OptionError, match="toy is not a purely sequential network"):
        AdaINDecoder(table.load_encoder(toy_file))


def test_it_teaches_by_layers_of_the_same_stride(toy_file: Path, encoder: table.Encoder) -> None:
    assert layer_pairs(encoder.net, table.load_encoder(toy_file).net) == {"relu2_2": "blobs"}


@pytest.mark.parametrize("name", ["toy", "vgg", "squeezenet"])
def test_an_unknown_layer_names_the_options_and_good_layers(
    name: str, toy_file: Path, encoder: table.Encoder, squeezenet_encoder: table.Encoder
) -> None:
    chosen = {"toy": table.load_encoder(toy_file), "vgg": encoder, "squeezenet": squeezenet_encoder}[name]
    with pytest.raises(UnknownName) as caught:
        chosen.width("layer9")
    for kind, layers in (("content", chosen.defaults.content), ("style", chosen.defaults.style)):
        assert all(f"`{kind}_layers={layer}`" in str(caught.value) for layer in layers)
        assert set(layers) <= set(chosen.layers)


@pytest.fixture
def squeezenet_encoder() -> table.Encoder:
    from impasto.encoders.squeezenet import SqueezeNet

    card = Card(kind="encoder", name="s", network={"architecture": "squeezenet-1.0"}, preprocess="squeezenet-bgr")
    tensors = SqueezeNet(matrix=[[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0]], offset=[0.0, 0, 0]).state_dict()
    return table.build_encoder(card, tensors, precision="float32")


def test_the_reach_of_a_vgg_is_how_far_its_features_look(encoder: table.Encoder) -> None:
    """A changed pixel outside the reach leaves the feature as it is; at some pixel within it does not."""
    layers = ["relu3_1"]
    reach = encoder.reach_px(layers)
    assert reach is not None
    image = torch.rand(1, 3, 96, 96).requires_grad_()
    stride = encoder.stride("relu3_1")
    at = 48 // stride
    encoder(image, layers)["relu3_1"][..., at, at].sum().backward()
    assert image.grad is not None
    rows = image.grad.abs().sum((0, 1, 3)).nonzero().flatten()
    below, above = 48 - int(rows.min()), int(rows.max()) - (48 + stride - 1)
    assert 0 < max(below, above) <= reach < max(below, above) + 2 * stride
