"""Pictures that a network under training makes, to look at."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from impasto.core.errors import OptionError
from impasto.image import files
from impasto.training.checkpoints import Trained
from impasto.training.determinism import seeded

GAP_PX = 4


@runtime_checkable
class Sampled(Protocol):
    """A task whose network makes pictures."""

    def sample(self, module: nn.Module) -> Tensor:
        """Pictures `(n, 3, h, w)` or `(rows, columns, 3, h, w)` in `[0, 1]` to look at, the same inputs each time."""
        ...


def check(task: object, every: int) -> None:
    """Raise `OptionError` where samples are asked of a task that has none."""
    if every and not isinstance(task, Sampled):
        raise OptionError(f"--sample-every is {every}, but this network makes no pictures. Leave it at 0.")


def written(task: Sampled, state: Trained, folder: Path, *, seed: int) -> Path:
    """The averaged network's pictures in one file in `folder`, named by the step.

    A copy of the network makes them, in evaluation mode, from random numbers of its own: training goes on as if there
    had been no sample. Costs the memory of the weights once more while it lasts.
    """
    module = copy.deepcopy(state.module)
    if state.average is not None:
        module.load_state_dict(state.average)
    module.requires_grad_(False).eval()
    with torch.no_grad(), seeded(seed, next(module.parameters()).device):
        cells = task.sample(module)
    path = folder / f"step-{state.step:06d}.png"
    files.write(path, sheet(cells.detach().float().cpu()))
    return path


def sheet(cells: Tensor) -> Tensor:
    """Pictures side by side on white, as `(1, 3, H, W)`.

    `(rows, columns, 3, h, w)` are laid out so, `(n, 3, h, w)` in nearly as many rows as columns. What is not a number
    becomes black, so that a sample never ends the training.
    """
    h, w = cells.shape[-2:]
    columns = cells.shape[1] if cells.ndim == 5 else math.ceil(math.sqrt(len(cells)))
    flat = cells.flatten(0, -4)
    rows = math.ceil(len(flat) / columns)
    laid = torch.ones(1, 3, rows * (h + GAP_PX) - GAP_PX, columns * (w + GAP_PX) - GAP_PX)
    for i, cell in enumerate(torch.nan_to_num(flat)):
        top, left = i // columns * (h + GAP_PX), i % columns * (w + GAP_PX)
        laid[0, :, top : top + h, left : left + w] = cell
    return laid
