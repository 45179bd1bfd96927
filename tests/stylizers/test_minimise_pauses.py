"""After a pause the canvas's optimisers go on exactly."""

from __future__ import annotations

import io

import pytest
import torch
from minimisers import Failing, Start, adam, every_minimiser, lbfgs
from states import assert_equal
from torch import Tensor

from impasto.core.errors import StateError
from impasto.objective.perceptual import Terms
from impasto.stylizers.minimise import Objective


def through_a_file(state: dict[str, object]) -> dict[str, object]:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    kept: dict[str, object] = torch.load(buffer, weights_only=True)
    return kept


@every_minimiser
@pytest.mark.parametrize("at", [0, 1, 4])
@pytest.mark.parametrize("fails", [False, True])
def test_a_pause_changes_nothing(start: Start, at: int, fails: bool, quadratic: Objective, target: Tensor) -> None:
    def bumpy(image: Tensor) -> Terms:
        terms = quadratic(image)
        return Terms(terms.total + (20 * image).sin().sum() * 0.05, terms.parts)

    begin = torch.full_like(target, 0.5)
    whole = start(begin, Failing(bumpy, lambda call: fails and call == 3))
    for _ in range(at):
        whole.step()
    state = through_a_file(whole.state())
    again = start(torch.zeros_like(target), bumpy)
    again.restore(state)
    whole._objective = bumpy  # type: ignore[attr-defined]
    for _ in range(6):
        assert whole.step() == again.step()
        assert torch.equal(whole.canvas, again.canvas)
        assert torch.equal(whole.best, again.best)


@every_minimiser
def test_a_state_does_not_change_with_the_steps_after_it(start: Start, quadratic: Objective, target: Tensor) -> None:
    minimiser = start(torch.full_like(target, 0.5), quadratic)
    for _ in range(3):
        minimiser.step()
    state = minimiser.state()
    before = through_a_file(state)
    for _ in range(3):
        minimiser.step()
    assert_equal(state, before)


@pytest.mark.parametrize(("one", "other"), [(lbfgs, adam), (adam, lbfgs)])
def test_a_state_of_another_optimiser(one: Start, other: Start, quadratic: Objective, target: Tensor) -> None:
    with pytest.raises(StateError, match="another optimiser"):
        one(target, quadratic).restore(other(target, quadratic).state())


@every_minimiser
def test_a_state_of_another_size(start: Start, quadratic: Objective, target: Tensor) -> None:
    with pytest.raises(StateError, match="a canvas of 6×5 px; the canvas is 1×1 px here"):
        start(torch.rand(1, 3, 1, 1), quadratic).restore(start(target, quadratic).state())
