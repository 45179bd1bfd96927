"""Laws of the canvas's optimisers: they go downhill, and each does so in its own way."""

from __future__ import annotations

import sys

import pytest
import torch
from minimisers import Failing, Start, adam, adam_alone, every_minimiser, lbfgs
from torch import Tensor

from impasto.objective.perceptual import Terms
from impasto.stylizers import curvature
from impasto.stylizers.curvature import KEEPS, Curvature
from impasto.stylizers.minimise import FIRST_MOVE, Lbfgs, Objective


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


@pytest.mark.parametrize("keep", KEEPS)
def test_the_memory_knows_the_last_move(keep: str) -> None:
    """The secant equation: the change of the gradient over the last move asks for that move back."""
    memory, moves = (
        Curvature(4, keep=KEEPS[keep]),
        torch.randn(6, 1, 3, 2, 2, generator=torch.Generator().manual_seed(0)),
    )
    curvature = torch.linspace(1, 9, 12).view(1, 3, 2, 2)
    for move in moves:
        rounding = 1e-5 if keep == "float32" else 0.03
        memory.add(move.clone(), curvature * move)
        torch.testing.assert_close(memory.direction(curvature * move), -move, atol=rounding, rtol=10 * rounding)
    assert len(memory.pairs) == 4


def test_without_memory_it_goes_down_the_gradient() -> None:
    gradient = torch.randn(1, 3, 2, 2)
    assert torch.equal(Curvature(3).direction(gradient), -gradient)


def test_a_move_along_which_the_loss_does_not_curve_upwards_is_not_remembered() -> None:
    memory, move = Curvature(3), torch.ones(1, 3, 2, 2)
    for slope in (0.0, -1.0):
        memory.add(move, slope * move)
    memory.add(0 * move, move)
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


@pytest.mark.parametrize("keep", [name for name in KEEPS if name != "float32"])
def test_a_rounded_memory_comes_as_far(keep: str, quadratic: Objective, target: Tensor) -> None:
    ends = {}
    for name in ("float32", keep):
        minimiser = Lbfgs(torch.zeros_like(target), quadratic, history=5, keep=KEEPS[name])
        for _ in range(12):
            minimiser.step()
        ends[name] = float((minimiser.best - target).square().mean().sqrt())
    assert ends[keep] < 0.02
    assert ends["float32"] < 0.02


@pytest.mark.parametrize("keep", KEEPS)
def test_it_goes_on_from_its_state_wherever_it_is_kept(keep: str, quadratic: Objective, target: Tensor) -> None:
    first = Lbfgs(torch.zeros_like(target), quadratic, history=5, keep=KEEPS[keep])
    for _ in range(4):
        first.step()
    second = Lbfgs(torch.zeros_like(target), quadratic, history=5, keep=KEEPS[keep])
    second.restore(first.state())
    first.step(), second.step()
    assert torch.equal(first.best, second.best)


@pytest.mark.parametrize("keep", KEEPS)
def test_vectors_of_many_chunks(keep: str, monkeypatch: pytest.MonkeyPatch) -> None:
    vector = torch.randn(1, 3, 7, 5).to(torch.bfloat16).float()
    whole = KEEPS[keep](vector.clone()).tensor.float()
    monkeypatch.setattr(curvature, "CHUNK", 16)
    kept = KEEPS[keep](vector.clone())
    assert torch.equal(kept.tensor.float(), vector)
    assert torch.equal(torch.cat(list(kept.chunks())), vector.flatten())
    assert torch.equal(whole, vector)
