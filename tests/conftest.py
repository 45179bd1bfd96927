"""What every test starts from: one thread, fixed seeds, drawn pictures and a tiny encoder."""

from __future__ import annotations

import dataclasses
import math
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
import torch
from torch import Tensor

from impasto.config.arbitrary import ArbitraryOptions
from impasto.config.job import Job, StyleSource
from impasto.config.optimise import LossOptions, OptimiseOptions
from impasto.config.pictures import SizeOptions
from impasto.encoders import table as encoders
from impasto.encoders.table import Encoder, build_encoder
from impasto.image import files
from impasto.nets import fast as fast_nets
from impasto.nets import layers, residual
from impasto.nets import table as networks
from impasto.nets.codes import code_from
from impasto.nets.layers import Conv
from impasto.nets.moments import moments
from impasto.nets.predicted import EqualizedLinear, Predicted
from impasto.weights.card import Card, save

hypothesis.settings.register_profile("quick", deadline=None, max_examples=50, database=None, derandomize=True)
hypothesis.settings.load_profile("quick")

NARROW = ((4, 2), (6, 2), (8, 3), (8, 2), (8, 1))
"""The stages of the bundled encoder, with few channels."""


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)  # results are then the same bit for bit, and a busy machine stays usable


@pytest.fixture(scope="session", autouse=True)
def heard_signals() -> None:
    """The tests of stopping send signals that `nohup` and background jobs ignore."""
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


@pytest.fixture(autouse=True)
def fixed_seeds() -> None:
    torch.manual_seed(0)
    np.random.seed(0)


def axes(h: int, w: int) -> tuple[Tensor, Tensor]:
    """Rows and columns from 0 to 1, `(h, 1)` and `(1, w)`."""
    return torch.linspace(0, 1, h)[:, None], torch.linspace(0, 1, w)[None]


@pytest.fixture
def draw_photo() -> Callable[[int, int], Tensor]:
    """A picture like a photograph, `(1, 3, h, w)`: sky, sun, hill, and grain on the ground."""

    def drawn(h: int, w: int) -> Tensor:
        y, x = axes(h, w)
        sky = torch.stack([0.35 + 0.3 * y + 0 * x, 0.5 + 0.3 * y + 0 * x, 0.9 - 0.2 * y + 0 * x])
        sun = (0.015 / ((y - 0.25) ** 2 + (x - 0.7) ** 2 + 0.015)) * torch.tensor([0.6, 0.4, -0.3])[:, None, None]
        grain = torch.randn(h, w, generator=torch.Generator().manual_seed(5)) * 0.05
        ground = torch.stack([0.25 + 0.2 * x + 0 * y, 0.4 - 0.1 * y + 0 * x, 0.15 + 0 * x + 0 * y]) + grain
        hill = torch.sigmoid(40 * (y - 0.65 - 0.12 * torch.sin(7 * x)))
        return torch.lerp(sky + sun, ground, hill)[None].clamp(0, 1)

    return drawn


@pytest.fixture
def draw_painting() -> Callable[[int, int], Tensor]:
    """A picture like a painting, `(1, 3, h, w)`: waves of strong colours, with hatching."""

    def drawn(h: int, w: int) -> Tensor:
        y, x = axes(h, w)
        wave = torch.sin(20 * x + 6 * torch.sin(5 * y))
        hatch = torch.sign(torch.sin(60 * (x + y)))
        rows = [0.5 + 0.4 * wave, 0.4 + 0.25 * wave * hatch, 0.5 - 0.4 * wave + 0.1 * hatch]
        return torch.stack(rows)[None].clamp(0, 1)

    return drawn


@pytest.fixture
def photo(draw_photo: Callable[[int, int], Tensor]) -> Tensor:
    """`(1, 3, 72, 80)`."""
    return draw_photo(72, 80)


@pytest.fixture
def painting(draw_painting: Callable[[int, int], Tensor]) -> Tensor:
    """`(1, 3, 64, 76)`."""
    return draw_painting(64, 76)


@pytest.fixture
def gradient() -> Tensor:
    """A smooth slope of colours, `(1, 3, 64, 64)`."""
    y, x = axes(64, 64)
    return torch.stack([y + 0 * x, x + 0 * y, (x + y) / 2])[None]


def narrow_weights(stages: tuple[tuple[int, int], ...] = NARROW, *, seed: int = 1) -> dict[str, Tensor]:
    """Random convolutions that keep the strength of the features (He et al. 2015)."""
    generator = torch.Generator().manual_seed(seed)
    tensors, width = {}, 3
    for s, (wide, count) in enumerate(stages, start=1):
        for i in range(1, count + 1):
            scale = math.sqrt(2 / (9 * width))
            tensors[f"conv{s}_{i}.weight"] = scale * torch.randn(wide, width, 3, 3, generator=generator)
            tensors[f"conv{s}_{i}.bias"] = 0.1 * torch.rand(wide, generator=generator)
            width = wide
    return tensors


@pytest.fixture
def make_encoder() -> Callable[..., Encoder]:
    """`make_encoder(stages=…, pooling=…, precision=…, seed=…, **network)`: a small random VGG."""

    def made(
        *,
        stages: tuple[tuple[int, int], ...] = NARROW,
        pooling: str = "native",
        precision: str = "float32",
        seed: int = 1,
        **network: object,
    ) -> Encoder:
        card = Card(
            kind="encoder",
            name="narrow",
            network={"architecture": "vgg", "stages": stages, "padding": "reflect", "pooling": "average"} | network,
            preprocess="imagenet-rgb",
        )
        return build_encoder(card, narrow_weights(stages, seed=seed), pooling=pooling, precision=precision)

    return made


@pytest.fixture
def encoder(make_encoder: Callable[..., Encoder]) -> Encoder:
    """The small random VGG in float32."""
    return make_encoder()


@pytest.fixture
def there(tmp_path: Path, photo: Tensor, painting: Tensor, encoder: Encoder) -> Path:
    """The folder `in` with `content.png`, `style.png` and `tiny.safetensors`."""
    folder = tmp_path / "in"
    folder.mkdir()
    files.write(folder / "content.png", photo)
    files.write(folder / "style.png", painting)
    save(folder / "tiny.safetensors", encoder.net.convs_folded(), card=encoder.card)  # type: ignore[operator]
    return folder


@pytest.fixture
def small_job(there: Path) -> Callable[..., Job]:
    """`small_job(size=…)`: painted at 48 px by optimisation in three steps."""

    def made(**options: Any) -> Job:
        given: dict[str, Any] = {
            "content": str(there / "content.png"),
            "styles": (StyleSource(source=str(there / "style.png")),),
            "size": SizeOptions(size=48),
            "losses": LossOptions(
                encoder=str(there / "tiny.safetensors"),
                content_layers=("relu2_1",),
                style_layers=("relu1_1", "relu2_1"),
            ),
            "optimise": OptimiseOptions(init="content", steps=(3,), scales=1),
        }
        return _painted_by("optimise", Job(**(given | options)))

    return made


def _painted_by(method: str, job: Job) -> Job:
    return dataclasses.replace(job, paint=dataclasses.replace(job.paint, method=method, precision="float32"))


@pytest.fixture
def save_network() -> Callable[..., Path]:
    """`save_network(path, encoder=…)`: a file with an untrained one-pass network on an encoder, by its name or file.

    `variant` is a row of `nets.table.VARIANTS`.
    """

    def saved(path: Path, *, encoder: Path | str, variant: str = "adain", seed: int = 1) -> Path:
        eye = encoders.load_encoder(encoder, precision="float32")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            net = networks.untrained(eye, networks.VARIANTS[variant])
            for weight in net.parameters():  # as they come, what is painted hardly differs between styles
                _pass_on(weight.data)
        numbers = {**networks.VARIANTS[variant], "encoder": {"name": str(encoder), "sha256": eye.sha256}}
        save(path, net.state_dict(), card=Card(kind=networks.KIND, name=path.stem, network=numbers, licence="MIT"))
        return path

    return saved


def _pass_on(weight: Tensor) -> None:
    """Let a layer hand on what it is given, with some noise: random layers of few channels soon hand on nothing."""
    noise = 0.3 * torch.randn_like(weight) * (2 / weight[0].numel()) ** 0.5
    if weight.ndim == 4:
        torch.nn.init.dirac_(weight)
    weight.copy_(weight + noise if weight.ndim == 4 else torch.full_like(weight, 0.1) if weight.ndim == 1 else noise)


@pytest.fixture
def network_file(there: Path, save_network: Callable[..., Path]) -> Path:
    """The file `net.safetensors`: an untrained one-pass network on the encoder in `tiny.safetensors`."""
    return save_network(there / "net.safetensors", encoder=there / "tiny.safetensors")


@pytest.fixture
def quick_job(there: Path, network_file: Path) -> Callable[..., Job]:
    """`quick_job(size=…)`: painted at 48 px in one pass."""

    def made(**options: Any) -> Job:
        given: dict[str, Any] = {
            "content": str(there / "content.png"),
            "styles": (StyleSource(source=str(there / "style.png")),),
            "size": SizeOptions(size=48),
            "arbitrary": ArbitraryOptions(network=str(network_file)),
        }
        return _painted_by("arbitrary", Job(**(given | options)))

    return made


@pytest.fixture
def save_learned() -> Callable[..., Path]:
    """`save_learned(path, seed=…, styles=…)`: a file with a narrow, untrained network of one trained style, or of many.

    Those of one seed have the same convolutions.
    """

    def saved(path: Path, *, seed: int = 1, styles: Sequence[str] = ()) -> Path:
        numbers = {"widths": (4, 4, 4), "blocks": 1}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            net = residual.Residual(**numbers, styles=max(1, len(styles)))  # type: ignore[arg-type]
            net.last.conv.bias.data.fill_(0.5)
            for key, value in net.named_parameters():
                if styles and layers.is_style_param(key):
                    value.data.add_(0.3 * torch.randn_like(value))
        card = {"architecture": "residual", **numbers, "output": "rgb"} | ({"styles": len(styles)} if styles else {})
        rows = [{"name": name, "about": f"a picture of {name}"} for name in styles]
        made = Card(kind=fast_nets.KIND, name=path.stem, network=card, preprocess="rgb", styles=rows)
        save(path, net.state_dict(), card=made)
        return path

    return saved


@pytest.fixture
def learned_file(there: Path, save_learned: Callable[..., Path]) -> Path:
    """The file `learned.safetensors`: a trained style that nobody has trained."""
    return save_learned(there / "learned.safetensors")


@pytest.fixture
def learned_job(there: Path, learned_file: Path) -> Callable[..., Job]:
    """`learned_job(size=…)`: painted at 48 px in a trained style."""

    def made(**options: Any) -> Job:
        given: dict[str, Any] = {
            "content": str(there / "content.png"),
            "styles": (StyleSource(source=str(learned_file)),),
            "size": SizeOptions(size=48),
        }
        return _painted_by("fast", Job(**(given | options)))

    return made


@torch.no_grad()
def _give_contrast(net: Any, encoder: Encoder) -> None:
    """Let the last convolution give a mean of 0.5 and a deviation of 0.2: little is then clamped."""
    image = torch.rand(1, 3, 64, 64)
    code = code_from(encoder(image, net.code_layers), image, net=net)
    if isinstance(net, Predicted):  # it adds to the content
        torch.nn.init.normal_(net.painter.last.conv.weight, 0, 0.02)  # type: ignore[union-attr, arg-type]
        for part in net.modules():
            if isinstance(part, EqualizedLinear):
                torch.nn.init.normal_(part.weight)
        return
    last = [m for m in net.modules() if isinstance(m, Conv) and len(m.weight) == 3][-1]
    mean, std = (value.flatten() for value in moments(net(image, code))[0])
    last.weight.mul_((0.2 / std)[:, None, None, None])
    last.bias.copy_((last.bias - mean) * 0.2 / std + 0.5)


@pytest.fixture
def make_network(encoder: Encoder) -> Callable[..., networks.Network]:
    """`make_network(variant, dtype=…)`: an untrained network on the small random VGG, whose output depends on both."""

    def made(variant: str, *, dtype: torch.dtype = torch.float32) -> networks.Network:
        row = networks.VARIANTS[variant]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            net = networks.untrained(encoder, row).eval().requires_grad_(False)
            for weight in net.parameters():
                _pass_on(weight.data)
            _give_contrast(net, encoder)
        eye = dataclasses.replace(encoder, dtype=dtype)
        return networks.Network(net, Card(kind=networks.KIND, name=variant, network=row), "", eye, dtype)

    return made
