"""Laws of the training loop, on a task of a few numbers."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from regression import QUICK, Regression, batches, every_optimizer, kept, run, spoiled_at
from states import assert_equal
from torch import Tensor

from impasto.core.errors import NotFinite
from impasto.training.checkpoints import averaged
from impasto.training.fit import Progress, Trained, begin, fit, learning_rate


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


# What is not finite


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
