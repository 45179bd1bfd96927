"""The worked examples of CONTRIBUTING.md: a new network is one file and one row."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import impasto
from impasto.config.arbitrary import ArbitraryOptions
from impasto.nets import fast, painting, table
from impasto.weights.card import Card, load, save

PAGE = Path(__file__).parents[2] / "CONTRIBUTING.md"


@pytest.fixture
def examples(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The names that the files of both networks define, with their rows in the tables."""
    text = PAGE.read_text(encoding="utf-8")
    blocks = [block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "nn.Module" in block]
    assert len(blocks) == 2
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    assert '"sketch": Sketch}' in text
    assert '"linear": Linear}' in text
    monkeypatch.setitem(fast.ARCHITECTURES, "sketch", names["Sketch"])
    monkeypatch.setitem(table.ARCHITECTURES, "linear", names["Linear"])
    return names


def randomised(net: torch.nn.Module) -> torch.nn.Module:
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return net


def painted(content: Tensor, style: Any, **options: Any) -> Tensor:
    return impasto.stylize(content, style, size=0, **options).pixels


def test_a_new_fast_network(examples: dict[str, Any], photo: Tensor, tmp_path: Path, monkeypatch: Any) -> None:
    network = {"architecture": "sketch", "width": 6, "styles": 2}
    card = Card(kind=fast.KIND, name="sketches", network=network, styles=[{"name": "pen"}, {"name": "chalk"}])
    path = tmp_path / "sketches.safetensors"
    save(path, randomised(examples["Sketch"](width=6, styles=2)).state_dict(), card)
    pen, chalk = (painted(photo, f"{path}#{name}") for name in ("pen", "chalk"))
    assert pen.shape == photo.shape
    assert not torch.allclose(pen, chalk, atol=1e-2)
    between = painted(photo, [(f"{path}#pen", 1.0), (f"{path}#chalk", 1.0)])
    assert not torch.allclose(between, (pen + chalk) / 2, atol=1e-3)
    monkeypatch.setattr(painting, "WHOLE_PX", 0)
    torch.testing.assert_close(painted(photo, f"{path}#pen"), pen, atol=1e-3, rtol=0)


def test_a_new_arbitrary_network(
    examples: dict[str, Any], there: Path, photo: Tensor, painting_: Tensor, monkeypatch: Any
) -> None:
    encoder_file = there / "tiny.safetensors"
    encoder = impasto.load_encoder(encoder_file, precision="float32")
    net = randomised(examples["Linear"](encoder, layer="relu2_1"))
    its = {"name": str(encoder_file), "sha256": load(encoder_file).sha256}
    network = {"architecture": "linear", "layer": "relu2_1", "encoder": its}
    save(path := there / "linear.safetensors", net.state_dict(), Card(kind=table.KIND, name="linear", network=network))
    options: dict[str, Any] = {"method": "arbitrary", "arbitrary": ArbitraryOptions(network=str(path))}
    one = painted(photo, painting_, **options)
    assert one.shape == photo.shape
    assert not torch.allclose(one, painted(photo, painting_.flip(1), **options), atol=1e-3)
    assert torch.equal(painted(photo, painting_, strength=0, **options), photo)
    monkeypatch.setattr(painting, "WHOLE_PX", 0)
    torch.testing.assert_close(painted(photo, painting_, **options), one, atol=1e-3, rtol=0)


@pytest.fixture
def painting_(draw_painting: Callable[[int, int], Tensor]) -> Tensor:
    return draw_painting(96, 96)
