"""The line search against functions of one number."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from impasto.stylizers.search import EVALUATIONS, FALL, FLATTENING, Trial, strong_wolfe

Line = Callable[[float], tuple[float, float]]

LINES: dict[str, Line] = {
    "bowl": lambda x: ((x - 1) ** 2, 2 * (x - 1)),
    "far": lambda x: ((x / 300 - 1) ** 2, 2 * (x / 300 - 1) / 300),
    "near": lambda x: ((x * 300 - 1) ** 2, 2 * (x * 300 - 1) * 300),
    "waves": lambda x: (0.1 * x - math.sin(3 * x), 0.1 - 3 * math.cos(3 * x)),
    "plateau": lambda x: (-x / (x**2 + 2), (x**2 - 2) / (x**2 + 2) ** 2),  # Moré & Thuente 1994, section 5
    "steep": lambda x: ((x - 2) ** 4 - 3 * x, 4 * (x - 2) ** 3 - 3),
}


class Watched:
    """`line` as `strong_wolfe` wants it, counting calls."""

    def __init__(self, line: Line) -> None:
        self.line, self.steps = line, list[float]()

    def __call__(self, step: float) -> Trial[str]:
        self.steps.append(step)
        return Trial(step, *self.line(step), f"at {step}")

    @property
    def start(self) -> Trial[str]:
        return Trial(0.0, *self.line(0.0), "start")


@pytest.mark.parametrize("name", LINES)
@pytest.mark.parametrize("first", [1e-4, 0.03, 1.0, 20.0, 1e4])
def test_what_it_finds_falls_and_is_flat(name: str, first: float) -> None:
    at = Watched(LINES[name])
    found, start = strong_wolfe(at.start, at, first=first), at.start
    assert found.loss <= start.loss + FALL * found.step * start.slope
    assert abs(found.slope) <= FLATTENING * abs(start.slope)
    assert found.step in at.steps
    assert found.point == f"at {found.step}"
    assert at.steps[0] == first
    assert len(at.steps) <= EVALUATIONS


def test_a_good_first_step_is_taken_at_once() -> None:
    at = Watched(LINES["bowl"])
    assert strong_wolfe(at.start, at, first=0.9).step == 0.9
    assert at.steps == [0.9]


def test_it_gives_up_where_nothing_falls() -> None:
    at = Watched(lambda x: (1.0, -1.0))  # a slope, and no fall
    assert strong_wolfe(at.start, at, first=1.0).point == "start"
    assert len(at.steps) == EVALUATIONS


def test_it_gives_up_in_a_bracket_that_is_too_narrow() -> None:
    at = Watched(lambda x: (1.0, -1.0))
    assert strong_wolfe(at.start, at, first=1.0, shortest=0.01).point == "start"
    assert min(at.steps) > 0.001
    assert len(at.steps) < EVALUATIONS


def test_a_line_that_falls_for_ever_ends_at_its_lowest_step() -> None:
    at = Watched(lambda x: (-x, -1.0))
    found = strong_wolfe(at.start, at, first=1.0)
    assert found.step == max(at.steps)
    assert len(at.steps) == EVALUATIONS


def test_rounding_of_the_loss_does_no_harm() -> None:
    at = Watched(lambda x: (round((x - 1) ** 2, 1), 2 * (x - 1)))
    found = strong_wolfe(at.start, at, first=40.0)
    assert found.loss < at.start.loss
