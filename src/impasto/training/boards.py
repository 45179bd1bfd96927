"""What a training run tells of itself while it goes: `log.jsonl`, and scalars for TensorBoard (extra "train")."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from impasto.core.extras import optional
from impasto.core.paths import written_whole


class Board(Protocol):
    """A place where numbers are written down, step by step."""

    def write(self, step: int, losses: Mapping[str, float], *, rate: float, norm: float, skipped: int) -> None:
        """Losses by part, learning rate, norm of the gradient, and steps skipped so far."""
        ...

    def close(self) -> None:
        """Nothing more will be written."""
        ...


def opened(folder: Path, *, step: int, tensorboard: bool) -> list[Board]:
    """The boards of a run that goes on after `step`; what they hold of later steps is dropped, to be written again.

    Raises `MissingExtra` for TensorBoard without its package.
    """
    boards: list[Board] = [Log(folder / "log.jsonl", step=step)]
    if tensorboard:
        boards.append(Scalars(folder / "tensorboard", step=step))
    return boards


class Log:
    """JSON lines; a number that is not finite is null."""

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
        told = {name: round(value, 6) if math.isfinite(value) else None for name, value in losses.items()}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row | told) + "\n")

    def close(self) -> None:
        """Every line is in the file already."""


class Scalars:
    """Event files for TensorBoard. They only grow: later steps are marked as void, and TensorBoard hides them."""

    def __init__(self, folder: Path, *, step: int) -> None:
        package = optional("tensorboardX", "train", "--tensorboard")
        suffix = f".{step:09d}"  # names have the second only, and a run resumed within it would take the same file
        self._writer: Any = package.SummaryWriter(str(folder), purge_step=step + 1, filename_suffix=suffix)

    def write(self, step: int, losses: Mapping[str, float], *, rate: float, norm: float, skipped: int) -> None:
        """Write `loss/<part>`, `total`, `learning_rate` and `gradient_norm`, but what is not finite."""
        parts = {f"loss/{name}": value for name, value in losses.items()}
        others = {"total": sum(losses.values()), "learning_rate": rate, "gradient_norm": norm}
        for name, value in (parts | others).items():
            if math.isfinite(value):
                self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self) -> None:
        """Finish the file."""
        self._writer.close()


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf  # half a line, of a run that was killed
