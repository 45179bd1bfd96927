"""Networks of several styles: one of them, and blends of their norm parameters."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from impasto.core.errors import OptionError, UnknownName, WeightsError
from impasto.nets import fast as fast_nets
from impasto.nets.fast import FastNetwork, blended
from impasto.nets.layers import is_style_param
from impasto.nets.residual import Residual
from impasto.weights.card import Card, Loaded, load, save

NAMES = ("wave", "scream", "muse")
Save = Callable[..., Path]


@pytest.fixture
def file(tmp_path: Path, save_learned: Save) -> Path:
    return save_learned(tmp_path / "many.safetensors", styles=NAMES)


@pytest.fixture
def many(file: Path) -> FastNetwork:
    return fast_nets.load_fast_network(file, precision="float32")


def single_file(file: Path, name: str, **changes: object) -> Path:
    """A file of one style with the convolutions of another file, like those of a style that was trained on its own."""
    whole = load(file)
    row = NAMES.index(name)
    tensors = {key: value[row] if is_style_param(key) else value for key, value in whole.tensors.items()}
    numbers = {k: v for k, v in whole.card.network.items() if k != "styles"}
    card = dataclasses.replace(whole.card, name=f"my-{name}", network=numbers | changes, styles=[])
    save(path := file.with_name(f"my-{name}.safetensors"), tensors, card=card)
    return path


@torch.no_grad()
def by_weights(network: FastNetwork, image: Tensor, *weights: float) -> Tensor:
    painted: Tensor = network.net(image, torch.tensor([weights]))
    return painted.clamp(0, 1)


def test_one_style_is_that_of_its_parameters(many: FastNetwork, photo: Tensor) -> None:
    pictures = []
    for i, name in enumerate(NAMES):
        one = many.of({name: 1.0})
        assert (one.styles, one.name, one.sha256) == ((name,), "many", many.sha256)
        pictures.append(one.painter.painted(photo))
        torch.testing.assert_close(
            pictures[-1], by_weights(many, photo, *(float(i == j) for j in range(3))), atol=1e-4, rtol=0
        )
    assert not torch.allclose(pictures[0], pictures[1], atol=0.01)


@pytest.mark.parametrize("weights", [(0.3, 0.7, 0.0), (0.2, 0.3, 0.5), (1.5, -0.5, 0.0)])
def test_a_blend_is_the_network_s_own(many: FastNetwork, photo: Tensor, weights: tuple[float, ...]) -> None:
    found = many.of(dict(zip(NAMES, weights, strict=True))).painter.painted(photo)
    torch.testing.assert_close(found, by_weights(many, photo, *weights), atol=1e-4, rtol=0)
    plain = sum(s * many.of({n: 1.0}).painter.painted(photo) for n, s in zip(NAMES, weights, strict=True))
    assert float((found - plain).abs().max()) > 1e-3  # and not the blend of pictures


def test_convolutions_are_shared_and_nothing_is_changed(many: FastNetwork, photo: Tensor) -> None:
    before = {key: value.clone() for key, value in many.net.state_dict().items()}
    one = many.of({"wave": 0.5, "muse": 0.5})
    one.painter.painted(photo)
    mine, its = many.net.state_dict(), one.net.state_dict()
    assert all((mine[key].data_ptr() == its[key].data_ptr()) != is_style_param(key) for key in its)
    assert all(torch.equal(mine[key], value) for key, value in before.items())
    assert not any(p.requires_grad for p in one.net.parameters())
    assert not one.net.training


def test_styles_of_several_files_blend(many: FastNetwork, file: Path, photo: Tensor) -> None:
    mine = fast_nets.load_fast_network(single_file(file, "wave"), precision="float32")
    assert mine.styles == ("my-wave",)
    assert mine.base == many.base == many.of({"muse": 1.0}).base
    found = blended([(mine, 0.25), (many.of({"scream": 1.0}), 0.75)])
    torch.testing.assert_close(
        found.painter.painted(photo), many.of({"wave": 0.25, "scream": 0.75}).painter.painted(photo)
    )
    assert blended([(mine, 0.5), (mine, 0.5)]).styles == ("my-wave",)


def test_what_has_another_base(many: FastNetwork, file: Path, tmp_path: Path, save_learned: Save) -> None:
    other = fast_nets.load_fast_network(save_learned(tmp_path / "other.safetensors", seed=2), precision="float32")
    ranges = fast_nets.load_fast_network(single_file(file, "wave", output="rgb-255"), precision="float32")
    eps = fast_nets.load_fast_network(single_file(file, "wave", eps=1e-3), precision="float32")
    spelt_out = fast_nets.load_fast_network(single_file(file, "wave", eps=1e-5, tanh=None), precision="float32")
    rough = dataclasses.replace(many, dtype=torch.bfloat16)
    assert spelt_out.base == many.base
    assert len({network.base for network in (many, other, ranges, eps, rough)}) == 5
    with pytest.raises(OptionError, match="other and many have other convolutions"):
        blended([(many.of({"wave": 1.0}), 0.5), (other, 0.5)])


def test_a_style_must_be_chosen(many: FastNetwork, photo: Tensor) -> None:
    message = "many has 3 styles: wave, scream, muse. Name one of them, as many#wave"
    for wrong in (lambda: many.painter.painted(photo), lambda: blended([(many, 1.0)])):
        with pytest.raises(OptionError, match=message):
            wrong()
    with pytest.raises(UnknownName, match=r"unknown style of many 'wav'\. Did you mean 'wave'"):
        many.of({"wav": 1.0})


def test_cards_must_name_all(file: Path) -> None:
    whole = load(file)
    for styles in ([], whole.card.styles[:2]):
        card = dataclasses.replace(whole.card, styles=styles)
        with pytest.raises(WeightsError, match=rf"names {len(styles)} styles, and its network is of 3"):
            fast_nets.fast_network_from(Loaded(card=card, tensors=whole.tensors, sha256=""))


def test_half_precision_is_near_and_channels_last(file: Path, many: FastNetwork, photo: Tensor) -> None:
    rough = fast_nets.load_fast_network(file, precision="bfloat16").of({"wave": 0.5, "muse": 0.5})
    weights = [value for key, value in rough.net.state_dict().items() if value.ndim == 4]
    assert weights
    assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in weights)
    away = rough.painter.painted(photo) - many.of({"wave": 0.5, "muse": 0.5}).painter.painted(photo)
    assert 0 < float(away.abs().mean()) < 0.04


def test_colours_and_skips_are_blended_alike(photo: Tensor) -> None:
    numbers = {"widths": [4, 4], "blocks": 1, "styles": 2, "skips": True, "recolours": True}
    net = Residual(**numbers)  # type: ignore[arg-type]
    draw = torch.Generator().manual_seed(2)
    for value in net.state_dict().values():
        value.add_(0.2 * torch.rand(value.shape, generator=draw))
    card = Card(
        kind=fast_nets.KIND,
        name="n",
        network={"architecture": "residual", **numbers},
        styles=[{"name": "a"}, {"name": "b"}],
    )
    network = fast_nets.fast_network_from(Loaded(card=card, tensors=net.state_dict(), sha256=""), precision="float32")
    found = network.of({"a": 0.25, "b": 0.75})
    torch.testing.assert_close(found.painter.painted(photo), by_weights(network, photo, 0.25, 0.75), atol=1e-4, rtol=0)
    both = blended([(network.of({name: 1.0}), share) for name, share in (("a", 0.25), ("b", 0.75))])
    torch.testing.assert_close(both.painter.painted(photo), found.painter.painted(photo))
