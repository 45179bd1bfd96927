"""Metrics of a training run: `log.jsonl`, and TensorBoard (extra "train")."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from impasto.core.extras import optional
from impasto.core.paths import written_whole
from impasto.image import files


class Log:
    """JSON lines of losses by step; a number that is not finite is null. Lines after `step` are dropped."""

    def __init__(self, path: Path, *, step: int) -> None:
        self._path = path
        if path.exists():
            lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
            with written_whole(path) as temporary:
                temporary.write_text("".join(line for line in lines if _step_of(line) <= step), encoding="utf-8")

    def write(self, step: int, losses: Mapping[str, float], *, rate: float, norm: float, skipped: int) -> None:
        """Append a line."""
        row = {"step": step, "learning_rate": rate, "skipped": skipped}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        finite = {name: round(value, 6) if math.isfinite(value) else None for name, value in losses.items()}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row | finite) + "\n")


class TensorBoard:
    """Event files. They are append-only: steps that are repeated after a resume are marked as purged."""

    def __init__(self, folder: Path, *, step: int) -> None:
        package = optional("tensorboardX", "train", purpose="`tensorboard`")
        suffix = f".{step:09d}"  # file names have a resolution of one second: a quick resume would reuse the name
        self._writer: Any = package.SummaryWriter(str(folder), purge_step=step + 1, filename_suffix=suffix)

    def write(self, step: int, losses: Mapping[str, float], *, rate: float, norm: float, skipped: int) -> None:
        """Write `loss/<part>`, `total`, `learning_rate` and `gradient_norm` where they are finite."""
        parts = {f"loss/{name}": value for name, value in losses.items()}
        others = {"total": sum(losses.values()), "learning_rate": rate, "gradient_norm": norm}
        for name, value in (parts | others).items():
            if math.isfinite(value):
                self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def show(self, step: int, sample: Path) -> None:
        """Write the picture as `samples`."""
        self._writer.add_image("samples", files.read(sample).pixels[0].numpy(), step)
        self._writer.flush()

    def close(self) -> None:
        """Close the file."""
        self._writer.close()


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf  # a line cut short by a kill
