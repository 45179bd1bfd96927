"""The canvas's optimisers as tests start them, and an objective that fails."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from torch import Tensor

from impasto.objective.perceptual import Terms
from impasto.stylizers.minimise import Adam, Lbfgs, Minimiser, Objective

Start = Callable[[Tensor, Objective], Minimiser]


def lbfgs(canvas: Tensor, objective: Objective) -> Lbfgs:
    return Lbfgs(canvas, objective, history=5)


def adam(canvas: Tensor, objective: Objective) -> Adam:
    return Adam(canvas, objective, learning_rate=0.05, average_decay=0.5)


def adam_alone(canvas: Tensor, objective: Objective) -> Adam:
    return Adam(canvas, objective, learning_rate=0.05, average_decay=0)


every_minimiser = pytest.mark.parametrize("start", [lbfgs, adam, adam_alone])


class Failing:
    """`inner`, with a value (`where`) that is not finite at the calls whose numbers `fails` accepts."""

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
