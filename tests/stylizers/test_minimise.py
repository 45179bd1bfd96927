"""Laws of the canvas's optimisers: they go downhill, notice what goes wrong, and go on exactly after a pause."""

from __future__ import annotations

import io
import math
import sys
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from impasto.core.errors import NotFinite, StateError
from impasto.objective.perceptual import Terms
from impasto.stylizers.minimise import FIRST_MOVE, RETRIES, Adam, Curvature, Lbfgs, Minimiser, Objective, Point

Start = Callable[[Tensor, Objective], Minimiser]


def lbfgs(canvas: Tensor, objective: Objective) -> Lbfgs:
    return Lbfgs(canvas, objective, history=5)


def adam(canvas: Tensor, objective: Objective) -> Adam:
    return Adam(canvas, objective, learning_rate=0.05, average_decay=0.5)


def adam_alone(canvas: Tensor, objective: Objective) -> Adam:
    return Adam(canvas, objective, learning_rate=0.05, average_decay=0)


every_minimiser = pytest.mark.parametrize("start", [lbfgs, adam, adam_alone])


@pytest.fixture
def target() -> Tensor:
    return torch.rand(1, 3, 5, 6)


@pytest.fixture
def quadratic(target: Tensor) -> Objective:
    curvature = torch.linspace(0.5, 4, target.numel()).view_as(target)

    def objective(image: Tensor) -> Terms:
        near = (curvature * (image - target).square()).sum()
        small = 0.001 * image.square().sum()
        return Terms(near + small, {"near": near, "small": small})

    return objective


class Failing:
    """`inner`, but not finite at the calls whose number `fails` says; `where` tells what is not finite."""

    def __init__(self, inner: Objective, fails: Callable[[int], bool], where: str = "loss") -> None:
        self.inner, self.fails, self.where, self.calls = inner, fails, where, 0

    def __call__(self, image: Tensor) -> Terms:
        terms = self.inner(image)
        self.calls += 1
        if not self.fails(self.calls):
            return terms
        if self.where == "loss":
            return Terms(terms.total * math.nan, terms.parts)
        broken = (image - image.detach()).abs().sqrt().sum()  # 0, with an infinite slope
        return Terms(terms.total + broken, terms.parts)


@every_minimiser
def test_it_finds_the_lowest_point(start: Start, quadratic: Objective, target: Tensor) -> None:
    minimiser = start(torch.full_like(target, 0.5), quadratic)
    losses = [sum(minimiser.step()[0].values()) for _ in range(25 if start is lbfgs else 150)]
    assert losses[-1] < 0.01 * losses[0] + 0.02
    assert float((minimiser.best - target).abs().max()) < 0.02


def test_lbfgs_never_climbs(quadratic: Objective, target: Tensor) -> None:
    minimiser = lbfgs(torch.full_like(target, 0.5), quadratic)
    losses = [sum(minimiser.step()[0].values()) for _ in range(12)]
    assert losses == sorted(losses, reverse=True)


@every_minimiser
def test_the_parts_are_those_before_the_step(start: Start, quadratic: Objective, target: Tensor) -> None:
    minimiser = start(torch.full_like(target, 0.5), quadratic)
    for _ in range(6):
        wanted = {name: part.item() for name, part in quadratic(minimiser.canvas.detach()).parts.items()}
        parts, note = minimiser.step()
        assert (parts, note) == (wanted, "")


def test_lbfgs_evaluates_no_point_twice(quadratic: Objective, target: Tensor) -> None:
    seen: list[Tensor] = []

    def watched(image: Tensor) -> Terms:
        assert not any(torch.equal(image, before) for before in seen[-1:])
        seen.append(image.detach().clone())
        return quadratic(image)

    minimiser = lbfgs(torch.full_like(target, 0.5), watched)
    for _ in range(8):
        minimiser.step()
    assert len(seen) < 8 * 3


def test_the_first_step_of_lbfgs_has_a_known_length(target: Tensor) -> None:
    """Whatever the size of the loss, which depends on weights and losses."""
    for scale in (1e-4, 1.0, 1e6):
        seen: list[Tensor] = []

        def bowl(image: Tensor, scale: float = scale, seen: list[Tensor] = seen) -> Terms:
            seen.append(image.detach().clone())
            return Terms(scale * (image - 0.5).square().sum(), {})

        lbfgs(target, bowl).step()
        assert float((seen[1] - seen[0]).square().mean().sqrt()) == pytest.approx(FIRST_MOVE, rel=1e-3)


def test_lbfgs_needs_one_evaluation_for_most_steps(quadratic: Objective, target: Tensor) -> None:
    counted = Failing(quadratic, lambda call: False)
    minimiser = lbfgs(torch.full_like(target, 0.5), counted)
    for _ in range(3):
        minimiser.step()
    before = counted.calls
    for _ in range(8):
        minimiser.step()
    assert counted.calls - before <= 10


def test_lbfgs_has_no_need_of_the_compiler(
    quadratic: Objective, target: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`torch.optim` imports it at the first step, which takes a second or more."""
    monkeypatch.setitem(sys.modules, "torch._dynamo", None)  # to import it is an error now
    assert lbfgs(target, quadratic).step()[1] == ""


def test_lbfgs_stays_at_the_lowest_point(target: Tensor) -> None:
    minimiser = lbfgs(target, lambda image: Terms((image - target).square().sum(), {}))
    notes = [minimiser.step()[1] for _ in range(3)]
    assert torch.equal(minimiser.best, target)
    assert notes == ["", "", "the search stalled: started it afresh"]


def point(canvas: Tensor, gradient: Tensor) -> Point:
    return Point(canvas, torch.zeros(()), gradient, {})


def test_the_memory_knows_the_last_move() -> None:
    """The secant equation: the change of the gradient over the last move asks for that move back."""
    memory, moves = Curvature(4), torch.randn(6, 1, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    curvature = torch.linspace(1, 9, 12).view(1, 3, 2, 2)
    for move in moves:
        memory.add(point(torch.ones_like(move), curvature), point(1 + move, curvature * (1 + move)))
        torch.testing.assert_close(memory.direction(curvature * move), -move, atol=1e-5, rtol=1e-4)
    assert len(memory.pairs) == 4


def test_without_memory_it_goes_down_the_gradient() -> None:
    gradient = torch.randn(1, 3, 2, 2)
    assert torch.equal(Curvature(3).direction(gradient), -gradient)


def test_a_move_along_which_the_loss_does_not_curve_upwards_is_not_remembered() -> None:
    memory, here = Curvature(3), torch.zeros(1, 3, 2, 2)
    for slope in (0.0, -1.0):
        memory.add(point(here, here), point(here + 1, here + slope))
    memory.add(point(here, here), point(here, here + 1))
    assert memory.pairs == []


@every_minimiser
def test_the_canvas_given_is_left_alone(start: Start, quadratic: Objective, target: Tensor) -> None:
    given = torch.full_like(target, 0.5)
    minimiser = start(given, quadratic)
    minimiser.step()
    assert bool((given == 0.5).all())
    assert not given.requires_grad


@every_minimiser
def test_any_memory_format_will_do(start: Start, quadratic: Objective, target: Tensor) -> None:
    plain = torch.rand(1, 3, 5, 6)
    runs = [start(canvas, quadratic) for canvas in (plain, plain.contiguous(memory_format=torch.channels_last))]
    for _ in range(4):
        for run in runs:
            run.step()
    assert torch.equal(runs[0].best, runs[1].best)


# Guards


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
    assert notes == ["the loss was not finite: went back and go on with steps of " + notes[0].rsplit(" ", 1)[-1]]
    assert float((minimiser.best - target).abs().max()) < 0.05


@every_minimiser
def test_back_off_goes_to_a_canvas_whose_loss_was_finite(start: Start, target: Tensor) -> None:
    """A wall: beyond 0.6 the loss is not finite, and downhill leads there. Begun where no step ends right at it."""

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
    with pytest.raises(NotFinite, match=r"not finite 6 times in a row.*--precision float32"):
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


# Pausing


def through_a_file(state: dict[str, object]) -> dict[str, object]:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    kept: dict[str, object] = torch.load(buffer, weights_only=True)
    return kept


def assert_equal(one: object, other: object) -> None:
    if isinstance(one, Tensor):
        assert isinstance(other, Tensor)
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert isinstance(other, dict)
        assert one.keys() == other.keys()
        for key in one:
            assert_equal(one[key], other[key])
    elif isinstance(one, list):
        assert isinstance(other, list)
        for a, b in zip(one, other, strict=True):
            assert_equal(a, b)
    else:
        assert one == other


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


# Adam alone


def test_adam_shows_the_average_of_its_canvases(quadratic: Objective, target: Tensor) -> None:
    minimiser, decay = adam(torch.full_like(target, 0.5), quadratic), 0.5
    canvases, weights = [], []
    for _ in range(4):
        minimiser.step()
        canvases.append(minimiser.canvas.detach().clone())
        weights = [w * decay for w in weights] + [1 - decay]
    wanted = sum(w * c for w, c in zip(weights, canvases, strict=True)) / sum(weights)
    torch.testing.assert_close(minimiser.best, wanted)


def test_adam_carries_its_moments(quadratic: Objective, target: Tensor) -> None:
    coarse = adam_alone(torch.full_like(target, 0.5), quadratic)
    for _ in range(5):
        coarse.step()
    same = adam_alone(coarse.canvas, quadratic)
    same.carry(coarse)
    coarse.step()
    same.step()
    torch.testing.assert_close(same.canvas, coarse.canvas)


def test_carried_moments_fit_a_finer_canvas(target: Tensor) -> None:
    def mean(image: Tensor) -> Terms:
        return Terms(image.square().mean(), {})

    coarse = adam_alone(torch.full((1, 3, 4, 4), 0.5), mean)
    for _ in range(3):
        coarse.step()
    fine = adam_alone(torch.full((1, 3, 8, 8), 0.5), mean)
    fine.carry(coarse)
    # Each pixel of the finer canvas has a quarter of the slope, and moves by as much.
    before = fine.canvas.detach().clone()
    fine.step()
    moved = (fine.canvas.detach() - before).abs()
    assert float(moved.min()) > 0.5 * 0.05
    assert float(moved.max()) < 1.5 * 0.05
