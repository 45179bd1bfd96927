"""Painting with trained styles: blended in one pass where their networks allow it, and else as pictures."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from impasto.core.errors import ImageTooSmall, OptionError, UnknownName, WeightsError, WeightsMismatch
from impasto.image.tiling import Wraps
from impasto.nets import fast as nets
from impasto.nets import painting
from impasto.nets.fast import FastNetwork
from impasto.nets.painting import Painter
from impasto.stylizers.arbitrary import Arbitrary
from impasto.stylizers.fast import Fast
from impasto.stylizers.protocol import Mix, Style
from impasto.weights.card import Card, Loaded, load, save

Networks = dict[str, FastNetwork]


@pytest.fixture
def networks(tmp_path: Path, save_learned: Callable[..., Path]) -> Networks:
    paths = [save_learned(tmp_path / f"{name}.safetensors", seed=seed) for seed, name in enumerate(("a", "b"))]
    return {path.stem: nets.load_fast_network(path, precision="float32") for path in paths}


def painted(networks: Networks, content: Tensor, *styles: Style, strength: float = 1.0) -> Tensor:
    stylizer = Fast(networks)
    (step,) = stylizer.paint(content, stylizer.prepare(Mix(styles)), strength=strength)
    assert (step.index, step.total, step.size_hw) == (1, 1, content.shape[-2:])
    return step.image


def test_one_style_is_the_network_s_picture(networks: Networks, photo: Tensor) -> None:
    found = painted(networks, photo, Style(trained="a", weight=0.3))
    assert torch.equal(found, networks["a"].painter.painted(photo))
    assert found.shape == photo.shape
    assert not torch.allclose(found, networks["b"].painter.painted(photo), atol=0.05)
    assert 0 <= float(found.min()) < float(found.max()) <= 1


def test_the_content_is_not_touched(networks: Networks, photo: Tensor) -> None:
    before = photo.clone()
    painted(networks, photo, Style(trained="a"), Style(trained="b"), strength=0.5)
    assert torch.equal(photo, before)


def test_strength(networks: Networks, photo: Tensor) -> None:
    style = Style(trained="a")
    one = painted(networks, photo, style)
    assert torch.equal(painted(networks, photo, style, strength=0.0), photo)
    torch.testing.assert_close(painted(networks, photo, style, strength=0.25), photo + 0.25 * (one - photo))
    more = (photo + 1.5 * (one - photo)).clamp(0, 1)
    torch.testing.assert_close(painted(networks, photo, style, strength=1.5), more)
    for wrong in (-1.0, float("nan")):
        with pytest.raises(OptionError, match="the strength is"):
            painted(networks, photo, style, strength=wrong)


@pytest.mark.parametrize(("one", "other"), [(3.0, 1.0), (1.5, -0.5)])
def test_a_mix_is_the_weighted_picture(networks: Networks, photo: Tensor, one: float, other: float) -> None:
    a, b = (networks[name].painter.painted(photo) for name in "ab")
    found = painted(networks, photo, Style(trained="a", weight=one), Style(trained="b", weight=other))
    expected = ((one * a + other * b) / (one + other)).clamp(0, 1)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_no_share_is_not_painted(networks: Networks, photo: Tensor) -> None:
    code = Fast(networks).prepare(Mix((Style(trained="a"), Style(trained="b", weight=0.0))))
    assert [brush.network.name for brush in code] == ["a"]


def test_masks(networks: Networks, photo: Tensor) -> None:
    """Left in one style, right in the other, in between the content; where both are, by weight."""
    masks = torch.zeros(2, 1, 1, 72, 80)
    masks[0, ..., :30], masks[1, ..., 20:30], masks[1, ..., 50:] = 1, 1, 1
    styles = [Style(trained=n, weight=w, mask=m) for n, w, m in zip("ab", (1.0, 3.0), masks, strict=True)]
    found = painted(networks, photo, *styles)
    a, b = (networks[name].painter.painted(photo) for name in "ab")
    torch.testing.assert_close(found[..., :20], a[..., :20])
    torch.testing.assert_close(found[..., 50:], b[..., 50:])
    torch.testing.assert_close(found[..., 20:30], (a + 3 * b)[..., 20:30] / 4)
    assert torch.equal(found[..., 30:50], photo[..., 30:50])
    with pytest.raises(OptionError, match="painting with masks needs 0 or more"):
        painted(networks, photo, styles[0], dataclasses.replace(styles[1], weight=-0.5))


def test_half_precision_is_kept(networks: Networks, photo: Tensor) -> None:
    found = painted(networks, photo.half(), Style(trained="a"), Style(trained="b"), strength=0.5)
    wide = painted(networks, photo.half().float(), Style(trained="a"), Style(trained="b"), strength=0.5)
    assert found.dtype == torch.float16
    torch.testing.assert_close(found.float(), wide, atol=2e-3, rtol=0)


def test_bfloat16_is_near(networks: Networks, photo: Tensor) -> None:
    rough = {"a": dataclasses.replace(networks["a"], dtype=torch.bfloat16)}
    found, wide = (painted(which, photo, Style(trained="a")) for which in (rough, networks))
    assert found.dtype == torch.float32
    assert 0 < float((found - wide).abs().mean()) < 0.02


def test_sizes_that_cannot_be_painted(networks: Networks, photo: Tensor) -> None:
    for height, width in ((5, 5), (5, 30), (31, 6), (7, 9)):
        assert painted(networks, photo[..., :height, :width], Style(trained="a")).shape[-2:] == (height, width)
    with pytest.raises(ImageTooSmall, match="30×4 px here; a needs 5 px a side"):
        painted(networks, photo[..., :4, :30], Style(trained="a"))


def test_other_styles_are_refused(networks: Networks, photo: Tensor, make_network: Callable[..., object]) -> None:
    with pytest.raises(OptionError, match="'p' is not a trained style"):
        Fast(networks).prepare(Mix((Style(photo, name="p"),)))
    with pytest.raises(OptionError, match="`method=arbitrary` needs the style's picture; 'a' is a trained style"):
        Arbitrary(make_network("adain")).prepare(Mix((Style(trained="a", name="a"),)))  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="both a picture and a network"):
        Style(photo, trained="a")


def test_cards_that_say_something_else(tmp_path: Path, save_learned: Callable[..., Path]) -> None:
    whole = load(save_learned(tmp_path / "a.safetensors"))

    def built(tensors: dict[str, Tensor] | None = None, **changes: object) -> FastNetwork:
        network = changes.pop("network", whole.card.network)
        card = Card(**(vars(whole.card) | {"network": network} | changes))
        return nets.fast_network_from(Loaded(card=card, tensors=tensors or whole.tensors, sha256=""))

    numbers = whole.card.network
    with pytest.raises(WeightsError, match="is of kind encoder; a trained style"):
        built(kind="encoder")
    with pytest.raises(UnknownName, match="architecture"):
        built(network=numbers | {"architecture": "residul"})
    with pytest.raises(WeightsError, match="newer impasto: upgrade"):
        built(network=numbers | {"depth": 3})
    with pytest.raises(UnknownName, match="padding"):
        built(network=numbers | {"padding": "mirror"})
    with pytest.raises(WeightsError, match="unknown preprocess 'hsv'"):
        built(network=numbers | {"output": "hsv"})
    with pytest.raises(WeightsMismatch, match=r"missing: down\.0\.conv\.bias"):
        built({k: v for k, v in whole.tensors.items() if k != "down.0.conv.bias"})
    save(tmp_path / "again.safetensors", whole.tensors, card=whole.card)
    assert nets.load_fast_network(tmp_path / "again.safetensors").sha256 == whole.sha256


# Networks with the same convolutions


@pytest.fixture
def styles_of_one(tmp_path: Path, save_learned: Callable[..., Path], networks: Networks) -> Networks:
    """`x`, `y`, `z` of one network, `b` of another."""
    many = nets.load_fast_network(
        save_learned(tmp_path / "many.safetensors", seed=7, styles=("x", "y", "z")), precision="float32"
    )
    return {name: many.of({name: 1.0}) for name in many.styles} | {"b": networks["b"], "many": many}


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the networks that painted."""
    seen: list[str] = []
    whole = Painter.painted

    def counted(self: Painter, image: Tensor, **options: Any) -> Tensor:
        seen.append(self.name)
        return whole(self, image, **options)

    monkeypatch.setattr(Painter, "painted", counted)
    return seen


@pytest.mark.parametrize("weights", [(1.0, 3.0, 0.0), (1.0, 1.0, 2.0), (3.0, -1.0, 0.0)])
def test_styles_of_one_network_are_blended_in_one_pass(
    styles_of_one: Networks, photo: Tensor, passes: list[str], weights: tuple[float, ...]
) -> None:
    found = painted(styles_of_one, photo, *(Style(trained=n, weight=w) for n, w in zip("xyz", weights, strict=True)))
    assert passes == ["many"]
    style_weights = {name: weight / sum(weights) for name, weight in zip("xyz", weights, strict=True)}
    torch.testing.assert_close(found, styles_of_one["many"].of(style_weights).painter.painted(photo), atol=1e-5, rtol=0)


def test_unlike_networks_are_blended_as_pictures(styles_of_one: Networks, photo: Tensor, passes: list[str]) -> None:
    styles = [Style(trained=n, weight=w) for n, w in (("x", 1.0), ("b", 2.0), ("y", 3.0))]
    found = painted(styles_of_one, photo, *styles)
    assert sorted(passes) == ["b", "many"]
    group = styles_of_one["many"].of({"x": 0.25, "y": 0.75}).painter.painted(photo)
    expected = (4 * group + 2 * styles_of_one["b"].painter.painted(photo)) / 6
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("away", [-1.0, -0.999])
def test_weights_that_cancel_out_among_others(styles_of_one: Networks, photo: Tensor, away: float) -> None:
    """Towards one style and as far away from its neighbour: nothing is divided by the rest."""
    styles = [Style(trained=n, weight=w) for n, w in (("x", 1.0), ("b", 1.0), ("y", away))]
    x, b, y = (styles_of_one[name].painter.painted(photo) for name in "xby")
    expected = ((x + b + away * y) / (2 + away)).clamp(0, 1)
    torch.testing.assert_close(painted(styles_of_one, photo, *styles), expected, atol=1e-5, rtol=0)


def test_one_style_twice_is_painted_once(styles_of_one: Networks, photo: Tensor, passes: list[str]) -> None:
    found = painted(styles_of_one, photo, Style(trained="x"), Style(trained="x", weight=2.0))
    assert passes == ["many"]
    torch.testing.assert_close(found, styles_of_one["x"].painter.painted(photo), atol=1e-5, rtol=0)


def test_regions_keep_their_styles(styles_of_one: Networks, photo: Tensor, passes: list[str]) -> None:
    masks = torch.zeros(3, 1, 1, 72, 80)
    masks[0, ..., :30], masks[1, ..., 30:50], masks[2, ..., 50:] = 1, 1, 1
    styles = [Style(trained=n, mask=mask) for n, mask in zip("xyx", masks, strict=True)]
    found = painted(styles_of_one, photo, *styles)
    assert passes == ["many", "many"]  # x once for both of its regions
    x, y = (styles_of_one[name].painter.painted(photo) for name in "xy")
    torch.testing.assert_close(found, torch.cat([x[..., :30], y[..., 30:50], x[..., 50:]], dim=3))


def test_one_of_several_must_be_named(styles_of_one: Networks) -> None:
    with pytest.raises(OptionError, match=r"many has 3 styles: x, y, z\. Name one of them, as many#x"):
        Fast(styles_of_one).prepare(Mix((Style(trained="many"),)))


def test_the_memory_is_handed_on(networks: Networks, photo: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(painting, "WHOLE_PX", 0)

    def by_strips(_: Painter, image: Tensor, *, room_bytes: int, noise: None, wraps: Wraps) -> Tensor:
        asked.append(room_bytes)
        return image

    monkeypatch.setattr(Painter, "_by_strips", by_strips)
    stylizer = Fast(networks, memory_bytes=1_000_000)
    mask = torch.ones(1, 1, *photo.shape[-2:])
    for styles in ([Style(trained="a")], [Style(trained="a"), Style(trained="b")], [Style(trained="a", mask=mask)]):
        list(stylizer.paint(photo, stylizer.prepare(Mix(tuple(styles)))))
    alone = 1_000_000 - 2 * photo.nbytes
    assert asked == [alone, *([alone - photo.nbytes] * 2), alone - photo.nbytes - mask.nbytes]
