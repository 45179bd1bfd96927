"""A narrow encoder, small pictures, and the command run in this process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from in_process import Result, Run
from PIL import Image

from impasto.cli.main import main
from impasto.weights.card import Card, save

STAGES = [[4, 1], [6, 1]]


@pytest.fixture(scope="session")
def encoder_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    generator, tensors, channels = torch.Generator().manual_seed(0), {}, 3
    for stage, (width, _) in enumerate(STAGES, start=1):
        tensors[f"conv{stage}_1.weight"] = torch.randn(width, channels, 3, 3, generator=generator) / 4
        tensors[f"conv{stage}_1.bias"] = torch.zeros(width)
        channels = width
    network = {"architecture": "vgg", "stages": STAGES, "padding": "reflect", "pooling": "average"}
    save(
        path, tensors, card=Card(kind="encoder", name="tiny", network=network, licence="MIT", source="drawn at random")
    )
    return path


@pytest.fixture
def tiny(encoder_file: Path) -> list[str]:
    """Options with which painting by optimisation takes no time."""
    layers = ["--style-layers", "relu1_1,relu2_1", "--content-layers", "relu2_1"]
    return [
        "--method",
        "optimise",
        "--encoder",
        str(encoder_file),
        "--size",
        "48",
        "--steps",
        "2",
        "--smallest-px",
        "32",
        *layers,
    ]


@pytest.fixture
def quick(network_file: Path) -> list[str]:
    """Options with which painting in one pass takes no time."""
    return ["--network", str(network_file), "--size", "48", "--precision", "float32"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder of each test, with `content.png` and `style.png` in it, and a cache of its own."""
    folder = tmp_path / "here"
    folder.mkdir()
    draw = np.random.default_rng(0)
    for name, (h, w) in {"content": (36, 48), "style": (40, 40)}.items():
        coarse = Image.fromarray(draw.integers(0, 256, (6, 8, 3), dtype=np.uint8))
        coarse.resize((w, h), Image.Resampling.BICUBIC).save(folder / f"{name}.png")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("IMPASTO_OFFLINE", "1")
    monkeypatch.setenv("COLUMNS", "120")
    threads = torch.get_num_threads()
    yield folder
    torch.set_num_threads(threads)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """`run("stylize", …)` as the shell would."""

    def run(*words: str | Path) -> Result:
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return run
