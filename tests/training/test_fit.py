"""Laws of the training loop, on a task of a few numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from states import assert_equal
from torch import Tensor, nn

from impasto.config.training import FitOptions
from impasto.core.errors import NotFinite, StateError
from impasto.training.fit import Progress, Trained, averaged, begin, fit, learning_rate, resolved, restore, save

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


@every_optimizer
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_loss_falls(optimizer: str, precision: str, tmp_path: Path) -> None:
    options = replace(QUICK, steps=150, optimizer=optimizer, precision=precision, checkpoint_every=1000)

    def large(step: int) -> tuple[int, Tensor]:  # so that the batch norm sees nearly the same each time
        return step, torch.randn(128, 3, generator=torch.Generator().manual_seed(step))

    rows = list(fit(Regression(dropout=0), large, options=options, folder=tmp_path))
    start, end = (sum(r.losses["error"] for r in part) for part in (rows[:10], rows[-10:]))
    assert end < 0.2 * start


def test_progress(tmp_path: Path) -> None:
    rows = run(Regression(), tmp_path)
    assert [r.step for r in rows] == list(range(1, 13))
    assert all(r.steps == 12 and r.losses.keys() == {"error", "small"} and r.skipped == 0 for r in rows)
    assert [r.learning_rate for r in rows] == [learning_rate(step, QUICK) for step in range(12)]


# Learning rate


def test_the_learning_rate_climbs_and_falls() -> None:
    options = replace(QUICK, steps=110, warmup_steps=10, learning_rate=1.0)
    rates = [learning_rate(step, options) for step in range(110)]
    assert rates[:10] == pytest.approx([0.1 * k for k in range(1, 11)])
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert rates[60] == pytest.approx(0.5)
    assert 0 < rates[-1] < 0.001


def test_the_constant_learning_rate_stays() -> None:
    options = replace(QUICK, schedule="constant", warmup_steps=0, learning_rate=0.7)
    assert {learning_rate(step, options) for step in range(12)} == {0.7}


# Resuming


@every_optimizer
@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize("stop", [2, 5, 7, 12])
def test_stopped_and_resumed_is_the_same_bit_for_bit(stop: int, killed: bool, optimizer: str, tmp_path: Path) -> None:
    options = replace(QUICK, optimizer=optimizer)
    whole = run(Regression(), tmp_path / "whole", options)
    run(Regression(), tmp_path / "parts", options, stop_after=stop, killed=killed)
    torch.manual_seed(99)  # what the second process happens to begin with
    rest = run(Regression(), tmp_path / "parts", options)
    assert rest == whole[12 - len(rest) :]
    assert rest == [] if stop == 12 else rest[0].step == 1 + (stop // 5 * 5 if killed else stop)
    assert_equal(kept(tmp_path / "whole"), kept(tmp_path / "parts"))
    assert (tmp_path / "whole/log.jsonl").read_text() == (tmp_path / "parts/log.jsonl").read_text()


def test_resumed_twice(tmp_path: Path) -> None:
    run(Regression(), tmp_path / "whole")
    for stop in (6, 11, None):
        run(Regression(), tmp_path / "parts", stop_after=stop)
    assert_equal(kept(tmp_path / "whole"), kept(tmp_path / "parts"))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"learning_rate": 0.1}, "another learning_rate"),
        ({"steps": 11}, "trained for 12 steps; `steps` is 11"),
        ({"seed": 1, "optimizer": "sgd"}, "another optimizer, seed"),
    ],
)
def test_other_options_are_refused(other: dict[str, Any], message: str, tmp_path: Path) -> None:
    run(Regression(), tmp_path)
    with pytest.raises(StateError, match=message):
        run(Regression(), tmp_path, replace(QUICK, **other))


def test_how_often_is_written_may_change(tmp_path: Path) -> None:
    run(Regression(), tmp_path, stop_after=6)
    assert run(Regression(), tmp_path, replace(QUICK, log_every=3, checkpoint_every=1))[0].step == 7


def test_more_steps_go_on_where_fewer_ended(tmp_path: Path) -> None:
    constant = replace(QUICK, schedule="constant")
    whole = run(Regression(), tmp_path / "whole", replace(constant, steps=20))
    run(Regression(), tmp_path / "parts", constant)
    rest = run(Regression(), tmp_path / "parts", replace(constant, steps=20))
    assert rest == whole[12:]
    one, other = kept(tmp_path / "whole"), kept(tmp_path / "parts")
    assert_equal(one, other)


@pytest.mark.parametrize("native", [True, False])
def test_precision_follows_the_hardware(native: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("impasto.training.fit.has_bfloat16", lambda device: native)
    chosen, other = ("bfloat16", "float32") if native else ("float32", "bfloat16")
    auto = replace(QUICK, precision="auto")
    assert resolved(auto).precision == chosen
    found = run(Regression(), tmp_path / "auto", auto)
    assert found == run(Regression(), tmp_path / "named", replace(QUICK, precision=chosen))
    assert found != run(Regression(), tmp_path / "other", replace(QUICK, precision=other))
    run(Regression(), tmp_path / "auto", replace(QUICK, precision=chosen))  # the same training
    with pytest.raises(StateError, match="another precision"):
        run(Regression(), tmp_path / "auto", replace(QUICK, precision=other))


def test_another_network_is_refused(tmp_path: Path) -> None:
    run(Regression(), tmp_path)
    with pytest.raises(StateError, match="of another network"):
        run(Regression(width=5), tmp_path)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", None])
def test_a_damaged_checkpoint_is_refused(content: bytes | None, tmp_path: Path) -> None:
    run(Regression(), tmp_path)
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:500] if content is None else content)
    with pytest.raises(StateError, match=r"cannot be read; delete it to start again"):
        run(Regression(), tmp_path)


def test_a_changed_byte_is_refused(tmp_path: Path) -> None:
    run(Regression(), tmp_path)
    path = tmp_path / "checkpoint.pt"
    data, random = path.read_bytes(), np.random.default_rng(0)
    for place in random.integers(0, len(data), 300):
        damaged = bytearray(data)
        damaged[place] ^= int(random.integers(1, 256))
        path.write_bytes(damaged)
        with pytest.raises(StateError, match="delete it to start again"):
            averaged(path)
    path.write_bytes(data)
    assert_equal(averaged(path), kept(tmp_path)["average"])


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    torch.save({"module": {}}, tmp_path / "checkpoint.pt")
    for use in (lambda: run(Regression(), tmp_path), lambda: averaged(tmp_path / "checkpoint.pt")):
        with pytest.raises(StateError, match="is not a checkpoint"):
            use()


@pytest.mark.parametrize(
    ("entry", "value", "message"),
    [
        ("step", "3", "is not a checkpoint"),
        ("step", -1, "is not a checkpoint"),
        ("skipped", True, "is not a checkpoint"),
        ("options", None, "is not a checkpoint"),
        ("module", [1.0], "is not a checkpoint"),
        ("average", {}, "is of another network"),
        ("optimizer", {"state": None, "param_groups": []}, "is of another network"),
    ],
)
def test_entries_of_another_type_are_refused(entry: str, value: object, message: str, tmp_path: Path) -> None:
    run(Regression(), tmp_path)
    torch.save({**kept(tmp_path), entry: value}, tmp_path / "checkpoint.pt")
    with pytest.raises(StateError, match=message):
        run(Regression(), tmp_path)


def test_save_and_restore(tmp_path: Path) -> None:
    one, other = (begin(Regression(), replace(QUICK, seed=s)) for s in (0, 1))
    one.step, one.skipped = 7, 2
    save(one, tmp_path / "c.pt", options=QUICK)
    restore(other, tmp_path / "c.pt", options=QUICK)
    assert (other.step, other.skipped) == (7, 2)
    assert_equal(other.module.state_dict(), one.module.state_dict())
    assert_equal(other.average, one.average)
    assert list(tmp_path.iterdir()) == [tmp_path / "c.pt"]


# What is not finite


def spoiled_at(*steps: int, by: float = math.nan) -> Callable[[int, Tensor], Tensor]:
    return lambda step, loss: loss * by if step in steps else loss


@pytest.mark.parametrize("by", [math.nan, math.inf])
def test_a_step_that_is_not_finite_changes_nothing(by: float, tmp_path: Path) -> None:
    options = replace(QUICK, steps=4, warmup_steps=0, checkpoint_every=1)
    rows, weights = [], []
    for progress in fit(Regression(spoil=spoiled_at(2, by=by)), batches, options=options, folder=tmp_path):
        rows.append(progress)
        weights.append(kept(tmp_path))
    assert [r.skipped for r in rows] == [0, 0, 1, 1]
    assert not math.isfinite(rows[2].losses["error"])
    for part in ("module", "average", "optimizer"):
        assert_equal(weights[1][part], {**weights[2][part]} if part != "optimizer" else _same_rate(weights, 2, 1))
    with pytest.raises(AssertionError):
        assert_equal(weights[2]["module"], weights[3]["module"])


def _same_rate(weights: list[dict[str, Any]], of: int, as_in: int) -> dict[str, Any]:
    """The optimiser's state with the learning rate of another step, which a schedule sets in any case."""
    state: dict[str, Any] = weights[of]["optimizer"]
    groups = zip(state["param_groups"], weights[as_in]["optimizer"]["param_groups"], strict=True)
    return state | {"param_groups": [group | {"lr": other["lr"]} for group, other in groups]}


def test_statistics_of_batch_norms_do_not_keep_what_was_not_finite(tmp_path: Path) -> None:
    def broken(step: int) -> tuple[int, Tensor]:
        x = batches(step)[1]
        return step, x * math.nan if step == 3 else x

    for _ in fit(Regression(), broken, options=QUICK, folder=tmp_path):
        pass
    assert kept(tmp_path)["skipped"] == 1
    for tensors in (kept(tmp_path)["module"], kept(tmp_path)["average"]):
        assert all(bool(torch.isfinite(t).all()) for t in tensors.values())


def test_it_gives_up_after_twenty_in_a_row(tmp_path: Path) -> None:
    rows: list[Progress] = []
    going = fit(
        Regression(spoil=spoiled_at(*range(7, 90))), batches, options=replace(QUICK, steps=100), folder=tmp_path
    )
    with pytest.raises(NotFinite, match=r"20 consecutive steps, at step 26.*smaller `learning_rate`"):
        rows.extend(going)
    assert rows[-1].step == 26
    assert rows[-1].skipped == 19


def test_a_run_that_has_learned_nothing_fails(tmp_path: Path) -> None:
    spoiled = Regression(spoil=spoiled_at(*range(90)))
    for _ in range(2):  # also when it is repeated
        with pytest.raises(NotFinite, match="in any of 6 steps"):
            run(spoiled, tmp_path, replace(QUICK, steps=6))


@pytest.mark.parametrize("clip_norm", [5.0, 0.0])
@every_optimizer
def test_huge_weights_train(optimizer: str, clip_norm: float, tmp_path: Path) -> None:
    """Adam's steps do not depend on the scale of the loss."""
    options = replace(QUICK, optimizer=optimizer, clip_norm=clip_norm, learning_rate=1e-3, weight_decay=0.0)
    huge = Regression(dropout=0.0, spoil=lambda step, loss: loss * 1e22)
    if optimizer == "sgd" and not clip_norm:
        return  # whose steps are as long as the gradient
    rows = run(huge, tmp_path / "huge", options)
    assert rows[-1].skipped == 0
    assert all(math.isfinite(sum(row.losses.values())) for row in rows)
    start = begin(huge, options).module.state_dict()["0.weight"]
    assert not torch.equal(kept(tmp_path / "huge")["module"]["0.weight"], start)


def test_not_in_a_row_it_goes_on(tmp_path: Path) -> None:
    options = replace(QUICK, steps=60)
    spoil = spoiled_at(*(step for step in range(60) if step % 15))
    assert run(Regression(spoil=spoil), tmp_path, options)[-1].skipped == 56


# Averaged weights


def test_the_average_of_weights_that_stand_still(tmp_path: Path) -> None:
    run(Regression(), tmp_path, replace(QUICK, learning_rate=0))
    found = averaged(tmp_path / "checkpoint.pt")
    for name, value in kept(tmp_path)["module"].items():
        if "running" not in name:
            torch.testing.assert_close(found[name], value)


def test_the_average_follows_the_weights(tmp_path: Path) -> None:
    options = replace(QUICK, checkpoint_every=1, average_decay=0.4)
    average: Tensor = begin(Regression(), options).module.state_dict()["0.weight"].clone()
    for progress in fit(Regression(), batches, options=options, folder=tmp_path):
        decay = min(0.4, progress.step / (9 + progress.step))
        average = average * decay + kept(tmp_path)["module"]["0.weight"] * (1 - decay)
        torch.testing.assert_close(averaged(tmp_path / "checkpoint.pt")["0.weight"], average)


def test_counts_are_not_averaged(tmp_path: Path) -> None:
    run(Regression(), tmp_path)
    assert int(averaged(tmp_path / "checkpoint.pt")["1.num_batches_tracked"]) == 12


def test_without_average_the_weights_themselves(tmp_path: Path) -> None:
    run(Regression(), tmp_path, replace(QUICK, average_decay=0))
    assert kept(tmp_path)["average"] is None
    assert_equal(averaged(tmp_path / "checkpoint.pt"), kept(tmp_path)["module"])


# The beginning


def test_weights_follow_from_the_seed() -> None:
    one, same, other = (begin(Regression(), replace(QUICK, seed=seed)).module.state_dict() for seed in (1, 1, 2))
    assert_equal(one, same)
    assert not torch.equal(one["0.weight"], other["0.weight"])


def test_the_callers_random_numbers_stay_theirs(tmp_path: Path) -> None:
    before = torch.random.get_rng_state()
    run(Regression(), tmp_path)
    assert torch.equal(before, torch.random.get_rng_state())


def test_dropout_differs_from_step_to_step(tmp_path: Path) -> None:
    def same(step: int) -> tuple[int, Tensor]:
        return batches(0)

    options = replace(QUICK, learning_rate=0, steps=3)
    losses = [p.losses["error"] for p in fit(Regression(), same, options=options, folder=tmp_path)]
    assert len(set(losses)) == 3


def test_no_decay_of_biases_and_norms() -> None:
    state: Trained = begin(Regression(), replace(QUICK, weight_decay=0.5))
    decayed, plain = state.optimizer.param_groups
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.5, 0.0)
    assert [p.ndim for p in decayed["params"]] == [2, 2]
    assert [p.ndim for p in plain["params"]] == [1, 1, 1, 1]


def test_gradients_are_clipped(tmp_path: Path) -> None:
    def moved(clip_norm: float, folder: Path) -> float:
        options = replace(QUICK, steps=1, warmup_steps=0, optimizer="sgd", clip_norm=clip_norm, learning_rate=1.0)
        options = replace(options, schedule="constant", weight_decay=0.0)
        before = dict(begin(Regression(), options).module.named_parameters())
        run(Regression(), folder, options)
        after = kept(folder)["module"]
        return math.sqrt(sum(float((after[k] - p.detach()).square().sum()) for k, p in before.items()))

    assert moved(0.01, tmp_path / "a") == pytest.approx(0.01, rel=1e-3)
    assert moved(0.0, tmp_path / "b") > 0.1


# The log


def test_the_log_is_json_lines(tmp_path: Path) -> None:
    run(Regression(spoil=spoiled_at(3)), tmp_path, replace(QUICK, log_every=2))
    rows = [json.loads(line, parse_constant=pytest.fail) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [2, 4, 6, 8, 10, 12]
    assert rows[1]["error"] is None
    assert rows[1]["skipped"] == 1


def test_half_a_line_of_a_killed_run_is_dropped(tmp_path: Path) -> None:
    run(Regression(), tmp_path, stop_after=7)
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 8, "lea')
    run(Regression(), tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, 13))
