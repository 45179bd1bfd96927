"""Every command and every Python example in README and docs runs as it stands, on small pictures."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from impasto.cli.main import main
from impasto.config.training import BackboneOptions, FitOptions
from impasto.video.animation import written
from impasto.weights.card import Card, save

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)

SMALL = {
    "stylize": {"--size": "64"},
    "texture": {"--size": "64"},
    "batch": {"--size": "64"},
    "video": {"--size": "64"},
    "reconstruct": {"--size": "64", "--steps": "2"},
    "layers": {"--size": "64", "--steps": "1"},
    "gram": {"--size": "64"},
    "features": {"--size": "64"},
    "sweep": {"--size": "64"},
    "demo": {"--size": "64"},
    "backbone": {"--steps": "1", "--batch-size": "4", "--crop-px": "64", "--short-side-px": "64"},
    "arbitrary": {
        "--steps": "1",
        "--batch-size": "2",
        "--crop-px": "32",
        "--short-side-px": "40",
        "--precision": "float32",
    },
    "fast": {
        "--steps": "1",
        "--batch-size": "2",
        "--crop-px": "32",
        "--short-side-px": "40",
        "--widths": "4,6",
        "--precision": "float32",
    },
    "train style": {"--steps": "1", "--batch-size": "1", "--crop-px": "32", "--precision": "float32"},
    "distil": {
        "--steps": "1",
        "--batch-size": "2",
        "--crop-px": "32",
        "--short-side-px": "40",
        "--widths": "4,6",
        "--precision": "float32",
    },
}
"""Flags that a command is given so that it takes no time."""

OPTIMISE = {"--steps": "1", "--smallest-px": "48"}
"""More of them for what is painted by optimisation."""

PICTURES = ("photo.jpg", "photo2.jpg", "painting.jpg", "other.jpg", "cutout.png", "deep.tif")


def commands(page: Path) -> Iterator[str]:
    """The `impasto …` lines of a page's shell examples."""
    for language, text in FENCE.findall(page.read_text(encoding="utf-8")):
        if language == "sh":
            lines = text.replace("\\\n", " ").splitlines()
            yield from (line.split("  #")[0].strip() for line in lines if line.startswith("impasto "))


def examples(page: Path) -> Iterator[str]:
    """The Python examples of a page that import impasto."""
    yield from (text for language, text in FENCE.findall(page.read_text(encoding="utf-8"))
                if language == "python" and "import impasto" in text)  # fmt: skip


def shrunk(words: list[str]) -> list[str]:
    """`words` with small sizes and few steps."""
    flags = next((flags for name, flags in SMALL.items() if name in (*words[:2], " ".join(words[:2]))), {})
    grown = "texture" in words[:2] and "--method" not in words
    if grown or "optimise" in words or "--preset" in words:
        flags = flags | OPTIMISE
    for flag, value in flags.items():
        if flag in words:
            words[words.index(flag) + 1] = value
        else:
            words += [flag, value]
    return words


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the examples name."""
    draw = np.random.default_rng(0)
    monkeypatch.chdir(tmp_path)
    for name in PICTURES:
        coarse = Image.fromarray(draw.integers(0, 256, (6, 8, 4 if name == "cutout.png" else 3), dtype=np.uint8))
        coarse.resize((96, 72), Image.Resampling.BICUBIC).save(tmp_path / name)
    for name, half in (("left.png", 0), ("right.png", 1)):
        mask = np.zeros((72, 96), dtype=np.uint8)
        mask[:, 48 * half : 48 * (half + 1)] = 255
        Image.fromarray(mask).save(tmp_path / name)
    for folder in ("pictures", "labelled/cats", "labelled/dogs", "holiday", "photos", "paintings"):
        (tmp_path / folder).mkdir(parents=True)
        for index in range(2):
            coarse = Image.fromarray(draw.integers(0, 256, (8, 8, 3), dtype=np.uint8))
            coarse.resize((80, 80), Image.Resampling.BICUBIC).save(tmp_path / folder / f"{index}.jpg")
    _teacher(tmp_path / "teacher.safetensors")
    with written(tmp_path / "film.mp4", (72, 96)) as add:
        for shade in (0.4, 0.5, 0.6):
            add(torch.full((1, 3, 72, 96), shade))
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("IMPASTO_OFFLINE", "1")
    monkeypatch.setattr("impasto.training.arbitrary_run.MEASURED", 2)
    return tmp_path


def _teacher(path: Path) -> None:
    stages, tensors, before = [[4, 2], [4, 2], [4, 3], [4, 2], [4, 1]], {}, 3
    for stage, (width, count) in enumerate(stages, start=1):
        for index in range(1, count + 1):
            tensors[f"conv{stage}_{index}.weight"] = torch.randn(width, before, 3, 3) / 3
            tensors[f"conv{stage}_{index}.bias"] = torch.zeros(width)
            before = width
    network = {"architecture": "vgg", "stages": stages, "padding": "zeros", "pooling": "max"}
    save(path, tensors, card=Card(kind="encoder", name="teacher", network=network))


def test_the_pages_show_commands() -> None:
    assert sum(1 for page in PAGES for _ in commands(page)) > 15


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_run(page: Path, desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    threads = torch.get_num_threads()
    for line in commands(page):
        code = main(shrunk(shlex.split(line)[1:]))
        assert code == 0, f"{line}\n{capsys.readouterr().err}"
    torch.set_num_threads(threads)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_examples_run(page: Path, desk: Path) -> None:
    for text in examples(page):
        exec(compile(text.replace("size=512", "size=64"), str(page), "exec"), {})


def test_training_flags_exist() -> None:
    names = {*BackboneOptions.__dataclass_fields__, *FitOptions.__dataclass_fields__}
    assert {flag[2:].replace("-", "_") for flag in SMALL["backbone"]} <= names


def test_a_wrong_command_is_noticed(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(shlex.split("stylize photo.jpg --style painting.jpg --no-such-flag -o out.png")) == 2
