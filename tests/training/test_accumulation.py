"""Laws of gradient accumulation, and of the parts of a batch."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from regression import QUICK, Regression, kept, run
from states import assert_equal
from torch import Tensor, nn

from impasto.core.errors import OptionError
from impasto.training.fit import fit
from impasto.training.microbatch import part_of

# Accumulation


@dataclass(frozen=True)
class Smooth(Regression):
    """A regression whose loss on a batch is the mean over its parts: no batch norm, no dropout."""

    def build(self) -> nn.Module:
        return nn.Sequential(nn.Linear(3, self.width), nn.Tanh(), nn.Linear(self.width, 1))


@pytest.mark.parametrize("accumulate", [2, 4, 8])
def test_parts_of_a_batch_give_what_the_whole_gives(accumulate: int, tmp_path: Path) -> None:
    whole = run(Smooth(), tmp_path / "whole")
    parts = run(Smooth(), tmp_path / "parts", replace(QUICK, accumulate=accumulate))
    for one, other in zip(whole, parts, strict=True):
        assert other.losses == pytest.approx(one.losses, rel=1e-4)
    for name, value in kept(tmp_path / "whole")["module"].items():
        torch.testing.assert_close(kept(tmp_path / "parts")["module"][name], value, atol=1e-4, rtol=1e-4)


@dataclass(frozen=True)
class DropoutAlone(Regression):
    """Keeps the loss of each part."""

    seen: list[float] = field(default_factory=list)

    def build(self) -> nn.Module:
        return nn.Sequential(nn.Linear(3, 16), nn.Dropout(0.5), nn.Linear(16, 1))

    def loss(self, module: nn.Module, batch: tuple[int, Tensor]) -> dict[str, Tensor]:
        found = super().loss(module, batch)
        self.seen.append(float(found["error"].detach()))
        return found


def test_parts_draw_noise_of_their_own(tmp_path: Path) -> None:
    def same(step: int) -> tuple[int, Tensor]:
        return step, torch.ones(8, 3)

    task = DropoutAlone()
    (row,) = fit(task, same, options=replace(QUICK, steps=1, accumulate=2), folder=tmp_path)
    one, other = task.seen
    assert one != pytest.approx(other, rel=1e-3)
    assert row.losses["error"] == pytest.approx((one + other) / 2)


def test_stopped_and_resumed_with_parts(tmp_path: Path) -> None:
    options = replace(QUICK, accumulate=2)
    run(Regression(), tmp_path / "whole", options)
    run(Regression(), tmp_path / "parts", options, stop_after=7)
    run(Regression(), tmp_path / "parts", options)
    assert_equal(kept(tmp_path / "whole"), kept(tmp_path / "parts"))


def test_a_part_that_is_not_finite_spoils_the_step(tmp_path: Path) -> None:
    turns: list[int] = []

    def spoil(step: int, loss: Tensor) -> Tensor:  # the first part of step 2
        turns.append(step)
        return loss * math.nan if step == 2 and turns.count(2) == 1 else loss

    rows = run(Regression(spoil=spoil), tmp_path, replace(QUICK, accumulate=2))
    assert [row.skipped for row in rows[:4]] == [0, 0, 1, 1]


# Parts of a batch


class Pair(NamedTuple):
    x: Tensor
    name: str


@dataclass(frozen=True)
class Nested:
    x: Tensor
    more: dict[str, Any]
    none: None = None
    derived: int = field(init=False, default=3)


def test_the_parts_are_the_whole() -> None:
    x = torch.arange(12.0).reshape(6, 2)
    batch = Nested(x, {"pair": Pair(x[:, 0], "n"), "list": [x, 5], "array": np.arange(6), "scalar": torch.tensor(1.0)})
    parts = [part_of(batch, i, count=3) for i in range(3)]
    assert torch.equal(torch.cat([part.x for part in parts]), x)
    assert torch.equal(torch.cat([part.more["pair"].x for part in parts]), x[:, 0])
    assert np.concatenate([part.more["array"] for part in parts]).tolist() == list(range(6))
    for part in parts:
        assert isinstance(part.more["pair"], Pair)
        assert (part.none, part.derived, part.more["pair"].name, part.more["list"][1]) == (None, 3, "n", 5)
        assert part.more["scalar"] == 1
    assert part_of(batch, 0, count=1) is batch


@pytest.mark.parametrize(("size", "count"), [(7, 2), (2, 4), (0, 2)])
def test_what_does_not_divide_is_refused(size: int, count: int) -> None:
    message = rf"a batch of {size} does not divide into {count} equal parts.*`batch_size` that is a multiple of {count}"
    with pytest.raises(OptionError, match=message):
        part_of((0, torch.zeros(size, 3)), 0, count=count)


def test_accumulation_that_does_not_divide_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="a batch of 8 does not divide into 3"):
        run(Regression(), tmp_path, replace(QUICK, accumulate=3))
