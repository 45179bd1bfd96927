"""Every row of the table of one-pass networks, by law; and what a weight file may and may not hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from impasto.core.errors import OptionError, UnknownName, WeightsError, WeightsMismatch
from impasto.encoders.squeezenet import SqueezeNet
from impasto.encoders.table import Encoder
from impasto.nets import table
from impasto.nets.adain_decoder import ResidualBlock
from impasto.nets.codes import code_from
from impasto.nets.colours import COLOURS, colour_map, recoloured
from impasto.nets.layers import Conv, doubled_nearest
from impasto.nets.moments import moments
from impasto.nets.protocol import Code
from impasto.nets.table import VARIANTS
from impasto.weights.card import Card, Loaded, load, save

TILED = [name for name, row in VARIANTS.items() if row["architecture"] == "mirrored"]
every_variant = pytest.mark.parametrize("variant", VARIANTS)
every_tiled = pytest.mark.parametrize("variant", TILED)
Make = Callable[..., Encoder]


def code_in(encoder: Encoder, net: Any, picture: Tensor) -> Code:
    return code_from(encoder(picture, net.code_layers), picture, net=net)


@pytest.fixture
def pair(photo: Tensor, painting: Tensor) -> tuple[Tensor, Tensor]:
    """A content and a style of `(1, 3, 48, 56)` and `(1, 3, 64, 64)`."""
    return photo[..., :48, :56], painting[..., :64, :64]


# Parts


def test_convolutions_divide_the_size_and_reflect() -> None:
    image = torch.ones(1, 3, 16, 24)
    assert Conv(3, 4, side=3, padding="reflect")(image).shape == (1, 4, 16, 24)
    assert Conv(3, 4, side=3, stride=2, padding="reflect")(image).shape == (1, 4, 8, 12)
    assert (
        Conv(3, 4, side=3, padding="reflect")(image).std((2, 3)).max() < 1e-6
    )  # a constant stays one up to the border


def test_a_residual_without_weights_changes_nothing() -> None:
    block, feats = ResidualBlock(3), torch.rand(1, 3, 8, 8)
    for parameter in block.parameters():
        nn.init.zeros_(parameter)
    assert torch.equal(block(feats), feats)


def test_doubling_repeats_pixels() -> None:
    feats = torch.rand(1, 2, 3, 4)
    assert doubled_nearest(feats).shape == (1, 2, 6, 8)
    assert torch.equal(doubled_nearest(feats)[..., 1::2, ::2], feats)


# Every network


@every_variant
def test_a_picture_comes_out_at_its_size(variant: str, encoder: Encoder, pair: tuple[Tensor, Tensor]) -> None:
    net = table.untrained(encoder, VARIANTS[variant])
    content, style = pair
    output = net(content, code_in(encoder, net, style))
    assert output.shape == content.shape
    assert output.dtype == torch.float32
    assert bool(torch.isfinite(output).all())


def colours_to(code: Code, content: Tensor) -> Tensor:
    return colour_map(moments(content, covariances=True), code[COLOURS])


@every_tiled
def test_painting_whole_is_features_then_render(variant: str, encoder: Encoder, pair: tuple[Tensor, Tensor]) -> None:
    net = table.untrained(encoder, VARIANTS[variant])
    content, style = pair
    code = code_in(encoder, net, style)
    seen = recoloured(content, colours_to(code, content)) if net.recolours else content
    feats = net.features(seen)
    stats = {name: net.statistic.of(value) for name, value in feats.items()}
    assert torch.equal(net.render(feats, stats, code=code), net(content, code))


@every_variant
@pytest.mark.parametrize("half", [False, True])
def test_pictures_are_float32_in_bfloat16_too(
    variant: str, half: bool, encoder: Encoder, pair: tuple[Tensor, Tensor]
) -> None:
    net = table.untrained(encoder, VARIANTS[variant])
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        assert net(pair[0], code_in(encoder, net, pair[1])).dtype == torch.float32


@every_tiled
def test_no_pixel_matters_farther_away_than_the_reach(
    variant: str, encoder: Encoder, draw_photo: Callable[[int, int], Tensor]
) -> None:
    net = table.untrained(encoder, VARIANTS[variant]).eval().requires_grad_(False)
    side = 2 * net.reach_px + 4 * net.stride
    content = draw_photo(side, side)
    feats = net.features(content)
    stats = {name: net.statistic.of(value) for name, value in feats.items()}
    code, far = code_in(encoder, net, content[..., :64, :64]), 0
    for place in range(side // 2, side // 2 + net.stride):
        marked = content.clone()
        marked[0, 0, place, place] = torch.nan  # NaN is in all that looks at it, were it times nothing
        seen = net.render(net.features(marked), stats, code=code)[0].isnan().any(0)
        rows = seen.any(1).nonzero().flatten()
        far = max(far, place - int(rows[0]), int(rows[-1]) - place)
    assert net.reach_px - net.stride < far <= net.reach_px
    assert net.reach_px % net.stride == 0


# Tables and files


def written(path: Path, net: nn.Module, network: dict[str, Any], encoder: Encoder) -> Loaded:
    its = {"name": encoder.name, "sha256": encoder.sha256}
    save(path, net.state_dict(), card=Card(kind=table.KIND, name="small", network={**network, "encoder": its}))
    return load(path)


@every_variant
def test_a_saved_network_paints_the_same(
    variant: str, encoder: Encoder, pair: tuple[Tensor, Tensor], tmp_path: Path
) -> None:
    net = table.untrained(encoder, VARIANTS[variant])
    again = table.network_from(written(tmp_path / "a.safetensors", net, VARIANTS[variant], encoder), encoder)
    assert again.name == "small"
    assert not any(parameter.requires_grad for parameter in again.net.parameters())  # type: ignore[attr-defined]
    code = code_in(encoder, net, pair[1])
    with torch.no_grad():
        found: Tensor = again.net(pair[0], code)  # type: ignore[operator]
        torch.testing.assert_close(found, net.eval()(pair[0], code), rtol=0, atol=1e-3)  # another memory format


def test_every_wrong_key_is_reported(encoder: Encoder) -> None:
    net = table.untrained(encoder, VARIANTS["adain"])
    tensors = dict(net.state_dict())
    del tensors["first.weight"]
    tensors |= {"first.bias": torch.zeros(1), "extra": torch.zeros(2)}
    card = Card(kind=table.KIND, name="small", network=VARIANTS["adain"])
    with pytest.raises(WeightsMismatch, match=r"missing: first\.weight.*unexpected: extra.*shape: first\.bias"):
        table.network_from(Loaded(card=card, tensors=tensors, sha256=""), encoder)


@pytest.mark.parametrize("network", [{"architecture": "mirored"}, {}])
def test_an_unknown_architecture(network: dict[str, Any], encoder: Encoder) -> None:
    with pytest.raises(UnknownName, match="unknown architecture"):
        table.untrained(encoder, network)


@pytest.mark.parametrize("network", [{"architecture": "mirrored", "heads": 4}, {"architecture": "predicted"}])
def test_numbers_of_another_version(network: dict[str, Any], encoder: Encoder) -> None:
    with pytest.raises(WeightsError, match="upgrade"):
        table.untrained(encoder, network)


def test_a_decoder_mirrors_a_vgg_only(encoder: Encoder) -> None:
    other = Encoder(SqueezeNet(matrix=torch.eye(3).tolist(), offset=(0, 0, 0)), encoder.card, "")
    with pytest.raises(OptionError, match="is not a purely sequential network"):
        table.untrained(other, VARIANTS["adain"])


def test_a_network_finds_its_encoder_and_refuses_another(there: Path, tmp_path: Path) -> None:
    tiny = there / "tiny.safetensors"
    sha256 = load(tiny).sha256

    def card(**its: object) -> Card:
        return Card(kind=table.KIND, name="small", network={"architecture": "mirrored", "encoder": its})

    assert table.encoder_for(card(name=str(tiny), sha256=sha256)).sha256 == sha256
    with pytest.raises(WeightsError, match="was trained with another"):
        table.encoder_for(card(name=str(tiny), sha256="0" * 64))
    with pytest.raises(WeightsError, match="does not say which encoder"):
        table.encoder_for(card(name=str(tiny)))
    with pytest.raises(WeightsError, match="is of kind encoder"):
        table.encoder_for(load(tiny).card)


def test_a_network_is_loaded_by_its_path(there: Path, tmp_path: Path) -> None:
    tiny = there / "tiny.safetensors"
    encoder = table.encoders.load_encoder(tiny, precision="float32")
    its = {"name": str(tiny), "sha256": encoder.sha256}
    net = table.untrained(encoder, VARIANTS["adain"])
    path = tmp_path / "small.safetensors"
    save(
        path, net.state_dict(), card=Card(kind=table.KIND, name="small", network={**VARIANTS["adain"], "encoder": its})
    )
    found = table.load_network(path, precision="bfloat16")
    assert (found.dtype, found.encoder.dtype) == (torch.bfloat16, torch.bfloat16)
    assert found.sha256 == load(path).sha256
    assert found.device.type == "cpu"
