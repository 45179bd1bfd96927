"""A program that several processes run at once: `python together.py FOLDER`, with the environment that torchrun sets.

Each does the same trainings in `FOLDER` and leaves what it saw in `FOLDER/rank0.json` and so on.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from regression import QUICK, batches
from torch import Tensor, nn

from impasto.config.training import FitOptions
from impasto.core.errors import ImpastoError
from impasto.training.fit import Progress, fit

OPTIONS = replace(QUICK, steps=6, checkpoint_every=2, device="cpu")
Points = tuple[int, Tensor]
"""A step, and its points `(b, 3)`."""


@dataclass(frozen=True)
class Line:
    """A line through points, with weights that take no part; `drawn` keeps a random number of each loss."""

    batch_norm: bool = False
    idle: bool = True
    drawn: list[float] = field(default_factory=list)

    def build(self) -> nn.Module:
        first = nn.BatchNorm1d(3) if self.batch_norm else nn.Identity()
        parts = {"used": nn.Sequential(first, nn.Linear(3, 4), nn.Linear(4, 1)), "idle": nn.Linear(2, 2)}
        return nn.ModuleDict(parts if self.idle else {"used": parts["used"]})

    def loss(self, module: nn.Module, batch: Points) -> dict[str, Tensor]:
        assert isinstance(module, nn.ModuleDict)
        self.drawn.append(float(torch.rand(())))
        heights = module["used"](batch[1])[:, 0]  # not by the module's own forward
        return {"error": (heights - batch[1].sum(1)).square().mean(), "size": 1e-2 * heights.square().mean()}

    def sample(self, module: nn.Module) -> Tensor:
        return torch.rand(2, 3, 5, 5) * next(module.parameters()).abs().max()


def odd(step: int) -> Points:
    return step, batches(step)[1][:7]


def broken(step: int) -> Points:
    """Step 3 is not finite in the last row, which the first process does not see."""
    _, x = batches(step)
    if step == 3:
        x[-1] = math.nan
    return step, x


Row = dict[str, Any]


def run(
    folder: Path,
    options: FitOptions = OPTIONS,
    *,
    task: Line | None = None,
    give: Callable[[int], Points] = batches,
    stop_after: int | None = None,
) -> list[Row]:
    """Losses, steps and skipped steps of a training, or the error that ended it."""
    rows: list[Row] = []
    try:
        for progress in fit(task or Line(), give, options=options, folder=folder):
            rows.append(row(progress))
            if progress.step == stop_after:
                break
    except ImpastoError as error:
        rows.append({"error": type(error).__name__, "message": str(error)})
    return rows


def row(progress: Progress) -> Row:
    return {
        "step": progress.step,
        "losses": progress.losses,
        "skipped": progress.skipped,
        "device": progress.device,
        "sample": progress.sample and progress.sample.name,
    }


def together(then: Callable[[], list[Row]]) -> list[Row]:
    """What `then` gives once all processes are here: the first has written its files."""
    torch.distributed.barrier()
    return then()


def everything(folder: Path, rank: int) -> dict[str, Any]:
    noisy, watched = Line(), replace(OPTIONS, sample_every=4, tensorboard=True)
    found: dict[str, Any] = {
        "plain": run(folder / "plain"),
        "accumulated": run(folder / "accumulated", replace(OPTIONS, accumulate=2)),
        "begun": run(folder / "parts", stop_after=3),
        "resumed": together(lambda: run(folder / "parts")),
        "all": run(folder / "all", task=Line(idle=False)),
        "odd": run(folder / "odd", give=odd),
        "broken": run(folder / "broken", give=broken),
        "noisy": run(folder / "noisy", task=noisy),
        "normed": run(folder / "normed", replace(OPTIONS, steps=1, average_decay=0), task=Line(batch_norm=True)),
        "watched": run(folder / "watched", watched),
        "apart": run(folder / ("plain" if rank == 0 else "nothing")),
    }
    return found | {"drawn": noisy.drawn}


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder, rank = Path(sys.argv[1]), int(os.environ["RANK"])
    (folder / f"rank{rank}.json").write_text(json.dumps(everything(folder, rank)), encoding="utf-8")
    if torch.distributed.is_initialized():  # its threads must not outlive the interpreter, which aborts otherwise
        torch.distributed.destroy_process_group()
