"""Drawn folders of contents and styles, and a training of a one-pass network that takes no time."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from teaching import Painters

from impasto.config.arbitrary_training import ArbitraryFitOptions, ArbitraryTrainOptions
from impasto.config.distil import DistilOptions
from impasto.config.fast_training import FastFitOptions, FastTrainOptions
from impasto.training import arbitrary_run, distil_run, image_dataset

BRIEF = ArbitraryFitOptions(
    steps=4,
    batch_size=2,
    learning_rate=1e-3,
    warmup_steps=0,
    precision="float32",
    checkpoint_every=2,
    average_decay=0.5,
    device="cpu",
)


def draw(folder: Path, count: int, *, seed: int) -> Path:
    """Pictures of several sizes: `0.png`, `1.png` … in `folder`."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    for i in range(count):
        coarse = Image.fromarray(random.integers(0, 256, (5, 7, 3), dtype=np.uint8))
        coarse.resize((56 + 8 * i, 48), Image.Resampling.BICUBIC).save(folder / f"{i}.png")
    return folder


def small_options(there: Path, contents: Path) -> dict[str, Any]:
    """Options: crops of 32 px, and the small random encoder."""
    encoder = str(there / "tiny.safetensors")
    return {"contents": (contents,), "encoder": encoder, "crop_px": 32, "short_side_px": 40}


def narrow_options(there: Path, contents: Path) -> dict[str, Any]:
    """`small_options` with a narrow network."""
    return small_options(there, contents) | {"style_px": 64, "widths": (4, 6), "blocks": 1}


@pytest.fixture
def contents(tmp_path: Path) -> Path:
    """Five pictures."""
    return draw(tmp_path / "contents", 5, seed=1)


@pytest.fixture
def styles(tmp_path: Path) -> Path:
    """Four pictures."""
    return draw(tmp_path / "styles", 4, seed=2)


@pytest.fixture
def adain_options(
    there: Path, contents: Path, styles: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., ArbitraryTrainOptions]:
    """`adain_options(variant=…)`: crops of 32 px seen by the small random encoder."""
    monkeypatch.setattr(arbitrary_run, "MEASURED", 8)

    def made(**options: Any) -> ArbitraryTrainOptions:
        pairs = {"styles": (styles,), "variant": "adain"}
        return ArbitraryTrainOptions(**(small_options(there, contents) | pairs | options))

    return made


@pytest.fixture
def brief() -> ArbitraryFitOptions:
    """Four steps of two pairs."""
    return BRIEF


@pytest.fixture
def learned_options(there: Path, contents: Path, styles: Path) -> Callable[..., FastTrainOptions]:
    """`learned_options(multi_style=…)`: two styles, crops of 32 px, the small random encoder, a narrow network."""

    def made(**options: Any) -> FastTrainOptions:
        pictures = {"styles": (there / "style.png", there / "content.png")}
        return FastTrainOptions(**(narrow_options(there, contents) | pictures | options))

    return made


@pytest.fixture
def short() -> FastFitOptions:
    """Four steps of two contents."""
    return FastFitOptions(**{field.name: getattr(BRIEF, field.name) for field in dataclasses.fields(BRIEF)})


@pytest.fixture
def distil_options(there: Path, contents: Path) -> Callable[..., DistilOptions]:
    """`distil_options(teachers=…)`: crops of 32 px seen by the small random encoder, a narrow network."""

    def made(**options: Any) -> DistilOptions:
        return DistilOptions(**(narrow_options(there, contents) | options))

    return made


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """No picture may be read."""

    def small(path: Path, short_side_px: int) -> None:
        pytest.fail(f"{path} was read")

    monkeypatch.setattr(image_dataset, "small", small)


@pytest.fixture
def painters(monkeypatch: pytest.MonkeyPatch) -> Painters:
    """The painters of distillation, which counts what they paint."""
    made = Painters()
    monkeypatch.setattr(distil_run, "prepare_style", made)
    return made
