"""Optimisers of the canvas, one step at a time, with guards against losses that are not finite."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor

from impasto.core.errors import NotFinite, StateError
from impasto.image.tiling import resized_wrapped
from impasto.objective.perceptual import Terms
from impasto.stylizers.curvature import Curvature, InMemory, Keep
from impasto.stylizers.pyramid import Pyramid

Objective = Callable[[Tensor], Terms]
State = dict[str, Any]

RETRIES = 5  # failures in a row before painting is given up
GIVEN_UP = (
    f"the loss was not finite {RETRIES + 1} times in a row, even with shorter steps. "
    "Use `precision=float32`, or smaller weights."
)
FIRST_MOVE = 0.002
"""Root mean square of the first step without a memory, in pixel values. With 0.01 the loss after equal steps was 0.6 %
lower at 256 px and 3 % lower at 512 px; noise needs one step more."""
FALL = 1e-4  # c1 of the Armijo condition: the part of the slope's promise that a step has to keep
TRIALS = 15  # evaluations of one search; nearly all searches need one
SHORTEST_MOVE = 1e-9  # in pixel values, of the pixel that moves most: shorter steps are not tried
STALLED = 1e-7  # a relative fall of the loss below this, three steps in a row, is a stall


class Minimiser(Protocol):
    """Moves a canvas downhill. `canvas` `(1, 3, h, w)` is where it stands; `best` is the canvas to show."""

    canvas: Tensor

    @property
    def best(self) -> Tensor:
        """The picture so far."""

    def step(self) -> tuple[dict[str, float], str]:
        """One step: the loss parts before it, and a note where a guard acted."""

    def state(self) -> State:
        """All that `restore` needs to go on exactly."""

    def restore(self, state: State) -> None:
        """Go on from `state()`."""


@dataclass(frozen=True)
class Evaluation:
    """A canvas with its loss `()`, the loss's gradient and its named parts."""

    canvas: Tensor
    loss: Tensor
    gradient: Tensor
    parts: dict[str, float]

    @property
    def finite(self) -> bool:
        """Whether the search can go on from here."""
        return bool(torch.isfinite(self.loss)) and bool(torch.isfinite(self.gradient).all())


def evaluated(canvas: Tensor, objective: Objective) -> Evaluation:
    """The objective and its gradient at a canvas, which is a leaf that requires gradients."""
    canvas.grad = None
    terms = objective(canvas)
    terms.total.backward()
    gradient, canvas.grad = canvas.grad, None
    assert gradient is not None
    parts = {name: float(part.detach()) for name, part in terms.parts.items()}
    return Evaluation(canvas.detach().clone(), terms.total.detach(), gradient, parts)


class _BrokenSearch(Exception):
    """A line search met a loss that is not finite."""


class Lbfgs:
    """L-BFGS (Nocedal & Wright 2006, algorithm 7.4) with Armijo backtracking, one step a call.

    After a loss that is not finite the canvas returns to the lowest point of the search and the next search begins with
    a shorter step. The memory is cleared at the second failure in a row, and when the loss no longer falls, as rounding
    in bfloat16 can cause.

    Why not `torch.optim.LBFGS`: on a 192-px canvas it reaches an equal loss after as many evaluations (29 to 31), with
    or without its strong Wolfe search, but its first step imports `torch._dynamo`, 1.2 s of processor time and 7 % of a
    painting of 512 px.
    """

    def __init__(
        self,
        canvas: Tensor,
        objective: Objective,
        *,
        history: int,
        pyramid: Pyramid | None = None,
        keep: Keep = InMemory,
    ) -> None:
        """`keep`: where the last `history` moves and gradients are kept, see `curvature`."""
        self.canvas = leaf(canvas)
        self._objective, self._pyramid = objective, pyramid or _pixels(canvas)
        self._forgotten = partial(Curvature, history, keep=keep, pyramid=self._pyramid)
        self._last: Evaluation | None = None
        self._lowest: Evaluation | None = None  # of this search
        self._good = self.canvas.detach().clone()
        self._stalls = self._failures = 0
        self._rate = 1.0
        self._memory = self._forgotten()

    @property
    def best(self) -> Tensor:
        """The last canvas whose loss was finite."""
        return self._good

    def _here(self) -> Evaluation:
        # A search ends at a point that it evaluated, and the next step begins there: keep it.
        if self._last is None:
            self._last = evaluated(self.canvas, self._objective)
        return self._last

    def _gone(self, canvas: Tensor) -> None:
        with torch.no_grad():
            self.canvas.copy_(canvas)

    def step(self) -> tuple[dict[str, float], str]:
        """One step of the search; see the class for what its guards do."""
        begin, self._lowest = self._here(), None
        try:
            end = self._searched(begin)
        except _BrokenSearch:
            return begin.parts, self._back_off(begin)
        self._failures = 0
        self._last, self._good = end, end.canvas
        self._gone(end.canvas)
        if end is not begin:  # its tensors are not needed any more: very large ones are not held twice
            self._memory.add(begin.canvas.neg_().add_(end.canvas), begin.gradient.neg_().add_(end.gradient))
        self._rate = min(1.0, 2 * self._rate)
        fell = float(begin.loss - end.loss)
        self._stalls = self._stalls + 1 if fell <= STALLED * abs(float(begin.loss)) else 0
        if self._stalls < 3:
            return begin.parts, ""
        self._stalls = 0
        self._memory = self._forgotten()
        return begin.parts, "the search stalled: started it afresh"

    def _searched(self, begin: Evaluation) -> Evaluation:
        """The first trial along the direction that falls enough; `begin` where none does."""
        if not begin.finite:
            raise _BrokenSearch
        direction, step = self._memory.direction(begin.gradient), self._rate
        if not self._memory.pairs:
            step *= FIRST_MOVE / max(float(direction.square().mean().sqrt()), torch.finfo(direction.dtype).tiny)
        slope, largest = _dot(direction, begin.gradient), float(direction.abs().max())
        if not slope < 0:
            return begin
        for _ in range(TRIALS):
            self._gone(begin.canvas)
            with torch.no_grad():
                self.canvas.add_(direction, alpha=step)
            point = evaluated(self.canvas, self._objective)
            if not point.finite:
                raise _BrokenSearch
            if self._lowest is None or bool(point.loss < self._lowest.loss):
                self._lowest = point
            rise = float(point.loss - begin.loss)
            if rise <= FALL * step * slope:
                return point
            valley = -slope * step**2 / (2 * (rise - slope * step))  # of the parabola through both losses and the slope
            step = min(max(valley, 0.1 * step), 0.5 * step)
            if step * largest < SHORTEST_MOVE:
                break
        return begin

    def _back_off(self, begin: Evaluation) -> str:
        if self._lowest is not None and bool(self._lowest.loss < begin.loss):
            self._good, self._failures = self._lowest.canvas, 0
        else:
            self._failures += 1
        if self._failures > RETRIES:
            raise NotFinite(GIVEN_UP)
        self._rate *= 0.5
        self._gone(self._good)
        self._last = None
        if self._failures > 1:
            self._memory = self._forgotten()
        return f"the loss was not finite: went back, and continued with steps of {self._rate:g}"

    def state(self) -> State:
        """Canvas, memory of the search, and guards."""
        return {
            "canvas": self.canvas.detach().clone(),
            "good": self._good.clone(),
            "pairs": self._memory.state(),
            "stalls": self._stalls,
            "failures": self._failures,
            "rate": self._rate,
        }

    def restore(self, state: State) -> None:
        """Go on from `state()`."""
        check_state(state, self)
        self._gone(state["canvas"])
        self._good, self._last = state["good"].clone(), None
        self._rate = state["rate"]
        self._memory = self._forgotten()
        self._memory.restore(state["pairs"])
        self._stalls, self._failures = state["stalls"], state["failures"]


class Adam:
    """Adam on pixels (Kingma & Ba 2015) with averaged canvases; its moments can be carried to the next scale."""

    def __init__(
        self,
        canvas: Tensor,
        objective: Objective,
        *,
        learning_rate: float,
        average_decay: float,
        pyramid: Pyramid | None = None,
    ) -> None:
        self.canvas = leaf(canvas)
        self._objective, self._rate, self._decay = objective, learning_rate, average_decay
        self._pyramid = pyramid or _pixels(canvas)
        self._good = self.canvas.detach().clone()
        self._mean, self._square = (
            self._pyramid.spread(torch.zeros_like(self._good)),
            self._pyramid.spread(torch.zeros_like(self._good)),
        )
        self._count = 0
        self._average, self._mass = torch.zeros_like(self._good), 0.0
        self._failures = 0

    @property
    def best(self) -> Tensor:
        """The average of the last canvases; with no averaging, the last good one."""
        return self._average / self._mass if self._mass else self._good

    def step(self) -> tuple[dict[str, float], str]:
        """One step; a loss or gradient that is not finite halves the step size and goes back."""
        here = evaluated(self.canvas, self._objective)
        if not here.finite:
            return here.parts, self._back_off()
        self._failures = 0
        self._good = here.canvas
        with torch.no_grad():
            self._move(here.gradient)
        return here.parts, ""

    def _move(self, gradient: Tensor) -> None:
        first, second, self._count = 0.9, 0.99, self._count + 1
        rate = self._rate / self._pyramid.levels  # levels add up: no pixel moves farther than without them
        steps = []
        for mean, square, part in zip(self._mean, self._square, self._pyramid.spread(gradient), strict=True):
            mean.lerp_(part, 1 - first)
            square.lerp_(part.square(), 1 - second)
            unbiased, spread = mean / (1 - first**self._count), square / (1 - second**self._count)
            steps.append(rate * unbiased / (spread.sqrt() + 1e-8))
        self.canvas -= self._pyramid.joined(steps)
        if self._decay:
            self._average.lerp_(self.canvas, 1 - self._decay)
            self._mass = 1 - self._decay * (1 - self._mass)

    def _back_off(self) -> str:
        self._failures += 1
        if self._failures > RETRIES:
            raise NotFinite(GIVEN_UP)
        self._rate *= 0.5
        with torch.no_grad():
            self.canvas.copy_(self._good)
        for moment in (*self._mean, *self._square):
            moment.zero_()
        self._average.zero_()  # it holds the canvas that failed
        self._count, self._mass = 0, 0.0
        return f"the loss was not finite: went back, and continued with steps of {self._rate:g}"

    def carry(self, coarse: Adam) -> None:
        """Take the moments of a coarser canvas, resized (as crowsonkb's style-transfer-pytorch does).

        Levels of a pyramid begin anew: they do not correspond to those of another size.
        """
        if self._pyramid.levels > 1:
            return
        size = (self.canvas.shape[-2], self.canvas.shape[-1])
        sized = partial(resized_wrapped, size_hw=size, wraps=self._pyramid.wraps, mode="bilinear", clamp=False)
        ratio = coarse.canvas.shape[-1] / size[-1]  # a gradient of a mean spreads over more pixels
        self._mean, self._square = [sized(coarse._mean[0]) * ratio**2], [sized(coarse._square[0]) * ratio**4]
        self._count = coarse._count

    def state(self) -> State:
        """Canvas, moments, average and guards."""
        tensors = {"canvas": self.canvas.detach(), "good": self._good, "average": self._average}
        moments = {"mean": self._mean, "square": self._square}
        numbers = {"mass": self._mass, "count": self._count, "rate": self._rate, "failures": self._failures}
        state: State = _cloned(tensors | moments)
        return state | numbers

    def restore(self, state: State) -> None:
        """Go on from `state()`."""
        check_state(state, self)
        kept = _cloned(state)
        with torch.no_grad():
            self.canvas.copy_(kept["canvas"])
        self._good, self._average = kept["good"], kept["average"]
        self._mean, self._square = kept["mean"], kept["square"]
        self._mass, self._count = kept["mass"], kept["count"]
        self._rate, self._failures = kept["rate"], kept["failures"]


def _pixels(canvas: Tensor) -> Pyramid:
    return Pyramid((canvas.shape[-2], canvas.shape[-1]), 1)


def leaf(canvas: Tensor) -> Tensor:
    """A copy to be optimised; contiguous, so that results do not depend on how the given one lies in memory."""
    return canvas.detach().clone(memory_format=torch.contiguous_format).requires_grad_(True)


def check_state(state: State, minimiser: Minimiser) -> None:
    """Raise `StateError` when `state` is not of a minimiser of this kind on a canvas of this size."""
    if set(state) != set(minimiser.state()):
        raise StateError("the saved state is of another optimiser. Give the same options, or begin again.")
    for name, fresh in minimiser.state().items():
        if isinstance(fresh, int | float) and not isinstance(state[name], int | float):
            raise StateError(f"the saved state is damaged ({name} is not a number). Delete it and begin again.")
    shape, needed = tuple(state["canvas"].shape), tuple(minimiser.canvas.shape)
    if shape != needed:
        sizes = f"{shape[-1]}×{shape[-2]} px; the canvas is {needed[-1]}×{needed[-2]} px here"
        raise StateError(f"the saved state is of a canvas of {sizes}. Give the same content and options.")


def _cloned(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        return {k: _cloned(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_cloned(v) for v in value]
    return value


def _dot(one: Tensor, other: Tensor) -> float:
    return float(torch.dot(one.flatten(), other.flatten()))
