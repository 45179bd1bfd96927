"""The worked examples of CONTRIBUTING.md: a new network is one file and one row."""

from __future__ import annotations

import importlib.machinery
import re
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest
import torch
from torch import Tensor

import impasto
from impasto.cli import main
from impasto.config.arbitrary import ArbitraryOptions
from impasto.config.job import PaintOptions
from impasto.core import options
from impasto.core.errors import OptionError
from impasto.core.options import Choice, annotated_fields, rules
from impasto.losses import distances, statistics
from impasto.losses.table import StyleLoss
from impasto.methods import table as methods
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
    save(path, randomised(examples["Sketch"](width=6, styles=2)).state_dict(), card=card)
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
    save(
        path := there / "linear.safetensors",
        net.state_dict(),
        card=Card(kind=table.KIND, name="linear", network=network),
    )
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


def example(sign: str) -> str:
    """The one Python example of the page that has `sign` in it."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (block,) = (block for block in blocks if sign in block)
    return str(block)


def test_a_new_style_loss(encoder: Any, photo: Tensor, painting_of: Tensor) -> None:
    names = dict(vars(statistics))
    exec(example("def strength"), names)
    distance = distances.joined(distances.relative(distances.l2))
    loss = StyleLoss(name="strength", statistic=names["strength"], distance=distance, about="…", paper="…")
    content, style = (encoder(picture, ["relu2_1"])["relu2_1"] for picture in (photo, painting_of))
    assert float(loss(style, loss.target(style))) == 0
    assert float(loss(content, loss.target(style))) > 0


@pytest.fixture
def painting_of(draw_painting: Callable[[int, int], Tensor]) -> Tensor:
    return draw_painting(64, 76)


def test_a_new_method(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names: dict[str, Any] = {"__name__": "palette"}
    monkeypatch.setitem(sys.modules, "palette", types.ModuleType("palette"))
    exec(example("class Palette"), names)
    monkeypatch.setitem(methods.METHODS, "palette", names["METHOD"])
    (choice,) = (rule for name, hint in annotated_fields(PaintOptions) if name.name == "method" for rule in rules(hint))
    assert isinstance(choice, Choice)
    monkeypatch.setitem(choice.__dict__, "names", (*choice.names, "palette"))
    content, style = there / "content.png", there / "style.png"
    done = impasto.stylize(content, style, size=0, method="palette")
    assert done.recipe is not None
    assert done.recipe.job.paint.method == "palette"
    wanted = impasto.read(style).pixels.mean((0, 2, 3))
    torch.testing.assert_close(done.pixels.mean((0, 2, 3)), wanted, atol=0.05, rtol=0)
    unchanged = impasto.stylize(content, style, size=0, method="palette", strength=0).pixels
    torch.testing.assert_close(unchanged, impasto.read(content).pixels)
    done.save(there / "out.png")
    again = impasto.redo(there / "out.png")
    *_, last = again.steps()
    assert torch.equal(again.painting(last).pixels, done.pixels)


def test_a_new_option() -> None:
    names: dict[str, Any] = {**vars(options), "Annotated": Annotated, "dataclass": dataclass, "__name__": __name__}
    exec(compile(example("class GrainOptions"), str(PAGE), "exec", dont_inherit=True), names)
    group = names["GrainOptions"]
    assert options.from_dict(group, {"grain": 1}).to_dict() == {"grain": 1.0}
    with pytest.raises(OptionError, match="`grain` is 2; it must be between 0 and 1"):
        group(grain=2.0)


def test_a_new_command(there: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    module = types.ModuleType("impasto.cli.average")
    module.__spec__ = importlib.machinery.ModuleSpec("impasto.cli.average", None)
    exec(example("def average"), vars(module))
    monkeypatch.setitem(sys.modules, "impasto.cli.average", module)
    monkeypatch.setitem(main.COMMANDS, "average", "Print the mean colour of a picture.")
    assert main.main(["average", str(there / "content.png")]) == 0
    shown = [float(word) for word in capsys.readouterr().out.split()]
    assert shown == pytest.approx(impasto.read(there / "content.png").pixels.mean((0, 2, 3)).tolist(), abs=1e-3)
