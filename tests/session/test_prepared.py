"""Prepared styles paint as the command does."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from impasto.core.errors import ImageError, OptionError, UnknownName
from impasto.image import files
from impasto.nets import fast as fast_nets
from impasto.nets import layers, residual
from impasto.nets import table as networks
from impasto.session.prepared import PreparedStylizer, prepare_style
from impasto.stylizers.arbitrary import Arbitrary
from impasto.stylizers.protocol import Mix, Style
from impasto.weights.card import Card, save


@pytest.fixture
def found(network_file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., PreparedStylizer]:
    """`found(source, strength=…)`."""
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "cache"))
    given: dict[str, Any] = {"network": str(network_file), "style_px": 64, "strength": 1.0, "precision": "float32"}
    return lambda source, **options: prepare_style(str(source), **(given | options), device=torch.device("cpu"))


@pytest.fixture
def images() -> Tensor:
    return torch.rand(3, 3, 32, 40, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def several(tmp_path: Path) -> Path:
    """A network of the styles `wave` and `scream`."""
    numbers: dict[str, Any] = {"widths": (4, 4), "blocks": 1, "styles": 2}
    net = residual.Residual(**numbers)
    for key, value in net.state_dict().items():
        if layers.is_style_param(key):
            value += 0.5 * torch.randn_like(value)
    card = Card(
        kind=fast_nets.KIND,
        name="two",
        network={"architecture": "residual", **numbers},
        styles=[{"name": "wave"}, {"name": "scream"}],
    )
    save(path := tmp_path / "two.safetensors", net.state_dict(), card=card)
    return path


def test_a_learned_style(found: Callable[..., PreparedStylizer], learned_file: Path, images: Tensor) -> None:
    painter, network = found(learned_file), fast_nets.load_fast_network(learned_file, precision="float32")
    assert painter.name == "learned"
    expected = torch.cat([network.painter.painted(image) for image in torch.split(images, 1)])
    assert torch.equal(painter(images), expected)


def test_a_picture(found: Callable[..., PreparedStylizer], network_file: Path, there: Path, images: Tensor) -> None:
    painter, network = found(there / "style.png"), networks.load_network(network_file, precision="float32")
    stylizer = Arbitrary(network)
    pixels = files.read(there / "style.png").pixels
    code = stylizer.prepare(Mix((Style(torch.nn.functional.interpolate(pixels, (54, 64), mode="bilinear")),)))
    expected = torch.cat([list(stylizer.paint(image, code))[-1].image for image in torch.split(images, 1)])
    assert painter.name == "style"
    assert float((painter(images) - expected).abs().mean()) < 0.02  # but for how the style is resampled


def test_styles_of_one_network(found: Callable[..., PreparedStylizer], several: Path, images: Tensor) -> None:
    wave, scream = (found(f"{several}#{name}") for name in ("wave", "scream"))
    assert (wave.name, scream.name) == ("wave", "scream")
    assert wave.sha256 != scream.sha256
    assert not torch.allclose(wave(images), scream(images))
    with pytest.raises(OptionError, match="has 2 styles: wave, scream"):
        found(several)


def test_the_digest_is_of_all_that_decides(
    found: Callable[..., PreparedStylizer], there: Path, save_network: Callable[..., Path], tmp_path: Path
) -> None:
    picture = there / "style.png"
    other = save_network(tmp_path / "other.safetensors", encoder=there / "tiny.safetensors", seed=2)
    plain = found(picture)
    assert found(picture).sha256 == plain.sha256
    (there / "copy.png").write_bytes(picture.read_bytes())
    assert found(there / "copy.png").sha256 == plain.sha256
    for changed in ({"strength": 0.5}, {"style_px": 72}, {"network": str(other)}, {"precision": "bfloat16"}):
        assert found(picture, **changed).sha256 != plain.sha256
    assert found(there / "content.png").sha256 != plain.sha256


def test_strength_nothing_gives_the_content_back(
    found: Callable[..., PreparedStylizer], learned_file: Path, images: Tensor
) -> None:
    assert torch.equal(found(learned_file, strength=0.0)(images), images)
    with pytest.raises(OptionError, match="strength"):
        dataclasses.replace(found(learned_file), strength=-1.0)


def test_what_is_no_style(found: Callable[..., PreparedStylizer], tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="there is no file nowhere"):
        found("nowhere")
    with pytest.raises(ImageError):
        found(tmp_path / "nowhere.png")
