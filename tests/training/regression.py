"""A task of a few numbers for the training loop."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from impasto.config.training import FitOptions
from impasto.training.fit import Progress, fit

QUICK = FitOptions(
    steps=12,
    batch_size=8,
    learning_rate=0.05,
    warmup_steps=2,
    precision="float32",
    checkpoint_every=5,
    log_every=1,
    average_decay=0.9,
)
every_optimizer = pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])


@dataclass(frozen=True)
class Regression:
    """A line through points, behind a batch norm and a dropout; `spoil(step, parts)` may break the loss."""

    dropout: float = 0.3
    width: int = 4
    spoil: Callable[[int, Tensor], Tensor] = lambda step, loss: loss

    def build(self) -> nn.Module:
        layers = [nn.Linear(3, self.width), nn.BatchNorm1d(self.width), nn.Dropout(self.dropout)]
        return nn.Sequential(*layers, nn.Linear(self.width, 1))

    def loss(self, module: nn.Module, batch: tuple[int, Tensor]) -> dict[str, Tensor]:
        step, x = batch
        error = (module(x)[:, 0].float() - x.sum(1)).square().mean()
        small = 1e-3 * sum(p.square().sum() for p in module.parameters())
        return {"error": self.spoil(step, error), "small": torch.as_tensor(small)}


def batches(step: int) -> tuple[int, Tensor]:
    return step, torch.randn(8, 3, generator=torch.Generator().manual_seed(step))


def run(
    task: Any, folder: Path, options: FitOptions = QUICK, *, stop_after: int | None = None, killed: bool = False
) -> list[Progress]:
    """The steps of a run; one that is `killed` leaves the files of its last step as they are."""
    rows, running = [], fit(task, batches, options=options, folder=folder)
    checkpoint = folder / "checkpoint.pt"
    for progress in running:
        rows.append(progress)
        if progress.step == stop_after:
            before = checkpoint.read_bytes() if checkpoint.exists() else None
            running.close()  # type: ignore[attr-defined]
            if killed:
                checkpoint.unlink()
                if before is not None:
                    checkpoint.write_bytes(before)
            break
    return rows


def kept(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = torch.load(folder / "checkpoint.pt", weights_only=True)
    return found


def spoiled_at(*steps: int, by: float = math.nan) -> Callable[[int, Tensor], Tensor]:
    return lambda step, loss: loss * by if step in steps else loss


@dataclass(frozen=True)
class Drawing(Regression):
    """Draws random numbers, goes through the network in whatever mode it is in, and spoils what it was given."""

    seen: list[Tensor] = field(default_factory=list)

    def sample(self, module: nn.Module) -> Tensor:
        assert not module.training
        assert not torch.is_grad_enabled()
        self.seen.append(module(torch.rand(4, 3)))
        with torch.no_grad():
            for value in module.state_dict().values():
                value.zero_()
        module.train()
        return torch.rand(3, 3, 6, 8)


WATCHED = replace(QUICK, sample_every=4)
