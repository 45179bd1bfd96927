"""What training needs to go on exactly, as a file."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from impasto.config.training import FitOptions
from impasto.core.errors import StateError
from impasto.core.paths import written_whole

FREE = ("log_every", "checkpoint_every", "sample_every", "tensorboard", "device")
"""Options that may differ when a checkpoint is resumed: they change what is told and where, not what is trained."""


@dataclass
class Trained:
    """A module with all that is needed to go on exactly."""

    module: nn.Module
    optimizer: torch.optim.Optimizer
    average: dict[str, Tensor] | None
    step: int = 0
    skipped: int = 0


def save(state: Trained, path: Path, options: FitOptions) -> None:
    """Write all that `restore` needs, whole or not at all."""
    kept = {
        "module": state.module.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "average": state.average,
        "step": state.step,
        "skipped": state.skipped,
        "options": options.to_dict(),
    }
    with written_whole(path) as temporary:
        torch.save(kept, temporary)


def restore(state: Trained, path: Path, options: FitOptions) -> None:
    """Put a checkpoint into `state`. Raises `StateError` when it is damaged, or of other options or another module.

    An option that did not exist when the checkpoint was written had what is now its default.
    """
    kept = _opened(path)
    before = type(options)().to_dict() | kept["options"]
    differing = [name for name, value in options.to_dict().items() if before[name] != value and name not in FREE]
    if differing:
        raise StateError(f"{path} was trained with another {', '.join(differing)}. "
                         "Give the same options, or another output folder.")  # fmt: skip
    try:
        state.module.load_state_dict(kept["module"])
        state.optimizer.load_state_dict(kept["optimizer"])
    except (RuntimeError, ValueError) as error:
        raise StateError(f"{path} is of another network. Give another output folder. ({_first_line(error)})") from error
    if state.average is not None:
        for name, value in state.average.items():
            value.copy_(kept["average"][name])
    state.step, state.skipped = kept["step"], kept["skipped"]


def averaged(path: Path) -> dict[str, Tensor]:
    """The averaged weights of a checkpoint, or its plain ones where none were kept; on the CPU."""
    kept = _opened(path)
    found: dict[str, Tensor] = kept["average"] or kept["module"]
    return found


def _opened(path: Path) -> dict[str, Any]:
    try:
        kept: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, OSError, EOFError, pickle.UnpicklingError) as error:
        raise StateError(f"{path} cannot be read; delete it to begin again. ({_first_line(error)})") from error
    needed = {"module", "optimizer", "average", "step", "skipped", "options"}
    if not isinstance(kept, dict) or not needed <= kept.keys():
        raise StateError(f"{path} is no checkpoint of this program; delete it, or give another output folder.")
    return kept


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
