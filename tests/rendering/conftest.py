"""A folder with two pictures and an encoder file, and the job that joins them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from impasto.config.job import Job, StyleSource
from impasto.config.optimise import LossOptions, OptimiseOptions
from impasto.config.pictures import SizeOptions
from impasto.encoders.table import Encoder
from impasto.image import files
from impasto.weights.card import save


@pytest.fixture
def there(tmp_path: Path, photo: Tensor, painting: Tensor, encoder: Encoder) -> Path:
    """The folder `in` with `content.png`, `style.png` and `tiny.safetensors`."""
    folder = tmp_path / "in"
    folder.mkdir()
    files.write(folder / "content.png", photo)
    files.write(folder / "style.png", painting)
    save(folder / "tiny.safetensors", encoder.net.convs_folded(), encoder.card)  # type: ignore[operator]
    return folder


@pytest.fixture
def small_job(there: Path) -> Callable[..., Job]:
    """`small_job(size=…)`: painted at 48 px in three steps."""

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
            "optimise": OptimiseOptions(steps=(3,), scales=1, precision="float32"),
        }
        return Job(**(given | options))

    return made
