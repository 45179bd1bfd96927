"""What the canvas's optimisers notice and survive: losses that are not finite, and searches that stall."""

from __future__ import annotations

import math

import pytest
import torch
from minimisers import Failing, Start, adam, every_minimiser, lbfgs
from torch import Tensor

from impasto.core.errors import NotFinite
from impasto.objective.perceptual import Terms
from impasto.stylizers.minimise import RETRIES, Objective


@every_minimiser
@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_one_failure_is_survived_and_told(start: Start, where: str, quadratic: Objective, target: Tensor) -> None:
    failing = Failing(quadratic, lambda call: call == 4, where)
    minimiser = start(torch.full_like(target, 0.5), failing)
    notes = []
    for _ in range(25 if start is lbfgs else 200):
        _, note = minimiser.step()
        notes += [note] if "not finite" in note else []
        assert bool(torch.isfinite(minimiser.best).all())
    assert notes == ["the loss was not finite: went back, and continued with steps of " + notes[0].rsplit(" ", 1)[-1]]
    assert float((minimiser.best - target).abs().max()) < 0.05


@every_minimiser
def test_back_off_goes_to_a_canvas_whose_loss_was_finite(start: Start, target: Tensor) -> None:
    """A wall: beyond 0.6 the loss is not finite, and downhill leads there. Session where no step ends right at it."""

    def walled(image: Tensor) -> Terms:
        total = (image - 0.8).square().sum()
        return Terms(total * math.nan if bool((image > 0.6).any()) else total, {})

    minimiser, notes = start(torch.full_like(target, 0.3123), walled), []
    for _ in range(40):
        _, note = minimiser.step()
        notes.append(note)
        if note:
            assert float(minimiser.canvas.detach().max()) < 0.6001
    assert any(notes)
    assert 0.55 < float(minimiser.best.max()) < 0.65


@every_minimiser
def test_it_gives_up_after_five_retries(start: Start, quadratic: Objective, target: Tensor) -> None:
    broken: list[bool] = []
    minimiser = start(torch.full_like(target, 0.5), Failing(quadratic, lambda call: bool(broken)))
    for _ in range(3):
        minimiser.step()
    before = minimiser.best.clone()
    broken.append(True)
    for retry in range(RETRIES):
        _, note = minimiser.step()
        assert "not finite" in note, retry
        assert f"steps of {minimiser._rate:g}" in note  # type: ignore[attr-defined]
    with pytest.raises(NotFinite, match=r"not finite 6 times in a row.*`precision=float32`"):
        minimiser.step()
    assert bool(torch.isfinite(before).all())


@every_minimiser
def test_a_loss_that_was_never_finite(start: Start, quadratic: Objective, target: Tensor) -> None:
    failing = Failing(quadratic, lambda call: True)
    minimiser = start(torch.full_like(target, 0.5), failing)
    for _ in range(RETRIES):
        minimiser.step()
    with pytest.raises(NotFinite):
        minimiser.step()
    assert failing.calls == RETRIES + 1  # no search is made from such a point


@every_minimiser
def test_failures_are_counted_in_a_row(start: Start, quadratic: Objective, target: Tensor) -> None:
    failing = Failing(quadratic, lambda call: call % 4 == 0)
    minimiser = start(torch.full_like(target, 0.5), failing)
    for _ in range(4 * RETRIES):
        minimiser.step()


def test_adam_forgets_an_average_that_holds_what_failed(target: Tensor) -> None:
    """A slope of 1e30 is finite and its square is not; the canvas after it is NaN."""
    calls = []

    def steep(image: Tensor) -> Terms:
        calls.append(1)
        slope = 1e30 if len(calls) == 3 else 1.0
        total = (slope * (image - target)).sum() + (image - target).square().sum()
        return Terms(total, {})

    minimiser = adam(torch.full_like(target, 0.5), steep)
    notes = [minimiser.step()[1] for _ in range(10)]
    assert any(notes)
    assert bool(torch.isfinite(minimiser.best).all())


def test_lbfgs_starts_afresh_when_the_loss_stalls(target: Tensor) -> None:
    def flat(image: Tensor) -> Terms:  # as rounding does it: a slope, and no fall
        return Terms(image.sum() - image.detach().sum() + 1, {})

    minimiser = lbfgs(target, flat)
    notes = [minimiser.step()[1] for _ in range(7)]
    assert [i for i, note in enumerate(notes) if "stalled" in note] == [2, 5]


def test_lbfgs_does_not_call_progress_a_stall(quadratic: Objective, target: Tensor) -> None:
    minimiser = lbfgs(torch.full_like(target, 0.5), quadratic)
    assert [minimiser.step()[1] for _ in range(8)] == [""] * 8
