"""Steps that fit into a time budget."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from impasto.config.optimise import LossOptions, OptimiseOptions
from impasto.encoders.table import Encoder
from impasto.objective.perceptual import Terms
from impasto.stylizers import budget
from impasto.stylizers.budget import LARGEST_FACTOR, TARGETS, seconds_a_step, steps_within
from impasto.stylizers.optimised import Optimised
from impasto.stylizers.protocol import Mix, Style

STEP_S, STEPS = (0.1, 0.4), (40, 10)


def seconds_of(steps: tuple[int, ...]) -> float:
    return sum((count + TARGETS) * each for count, each in zip(steps, STEP_S, strict=True))


@pytest.mark.parametrize("seconds", [3.0, 6.0, 9.0, 20.0])
def test_planned_steps_fill_the_budget_and_no_more(seconds: float) -> None:
    steps = steps_within(seconds, STEP_S, steps=STEPS)
    assert seconds - sum(STEP_S) < seconds_of(steps) <= seconds


def test_all_scales_share_one_factor() -> None:
    assert steps_within(seconds_of((20, 5)) + 1e-6, STEP_S, steps=STEPS) == (20, 5)


@pytest.mark.parametrize("seconds", [0.1, -5.0])
def test_one_step_a_scale_is_the_least(seconds: float) -> None:
    assert steps_within(seconds, STEP_S, steps=STEPS) == (1, 1)


def test_a_large_budget_is_not_used_up() -> None:
    assert steps_within(1e6, STEP_S, steps=STEPS) == tuple(int(LARGEST_FACTOR * count) for count in STEPS)


def test_the_time_of_a_step_is_measured_small_and_grows_with_the_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that an evaluation moves by 0.1 s and 1 ms for each 100 pixels."""
    now, probed = [0.0], list[tuple[int, int]]()
    monkeypatch.setattr(budget.time, "perf_counter", lambda: now[0])

    def objective_at(content: Tensor) -> object:
        def objective(image: Tensor) -> Terms:
            probed.append((image.shape[-2], image.shape[-1]))
            now[0] += 0.1 + 1e-5 * image[0, 0].numel()
            return Terms(image.square().sum(), {})

        return objective

    sizes = [(200, 400), (400, 800)]
    found = seconds_a_step(torch.rand(1, 3, 400, 800), objective_at, sizes=sizes, smallest_px=32)  # type: ignore[arg-type]
    assert found == pytest.approx([0.1 + 0.8, 0.1 + 3.2])
    assert max(probed) == (128, 256)


def test_noise_cannot_make_large_steps_as_quick_as_small_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(range(100))  # every evaluation takes one second
    monkeypatch.setattr(budget.time, "perf_counter", lambda: next(ticks))
    sizes = [(256, 256), (512, 512)]
    small, large = seconds_a_step(
        torch.rand(1, 3, 512, 512), lambda content: lambda image: Terms(image.sum(), {}), sizes=sizes, smallest_px=32
    )
    assert small == pytest.approx(1)
    assert large == pytest.approx(0.5 + 0.5 * 4)


def test_a_tiny_content_is_timed_at_its_own_size(encoder: Encoder, painting: Tensor) -> None:
    work = Optimised(encoder, LossOptions(), OptimiseOptions(init="content", seconds=60))
    assert work.within_seconds(torch.rand(1, 3, 32, 40), Mix((Style(painting),))) == (160,)


def test_painting_keeps_to_its_plan(encoder: Encoder, photo: Tensor, painting: Tensor) -> None:
    work = Optimised(encoder, LossOptions(), OptimiseOptions(init="content", smallest_px=32, seconds=1e-6))
    steps = list(work.paint(photo, work.prepare(Mix((Style(painting),)))))
    assert [step.size_hw for step in steps] == [(36, 40), (72, 80)]
    alone = replace(work, options=replace(work.options, seconds=0.0, steps=(1, 1)))
    assert torch.equal(steps[-1].image, list(alone.paint(photo, Mix((Style(painting),))))[-1].image)
