"""Optimisers of the canvas, one step at a time, that notice when a step went wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.core.errors import NotFinite
from impasto.objective.perceptual import Terms

Objective = Callable[[Tensor], Terms]
State = dict[str, Any]

RETRIES = 5  # times in a row that a step may back off before painting is given up
STALLED = 1e-7  # a relative fall of the loss below this, three steps in a row, is a stall


class Minimiser(Protocol):
    """Moves a canvas downhill. `canvas` `(1, 3, h, w)` is where it stands; `best` is the canvas to show."""

    canvas: Tensor

    @property
    def best(self) -> Tensor:
        """The picture so far."""
        ...

    def step(self) -> tuple[dict[str, float], str]:
        """One step: the loss parts before it, and a note where a guard acted."""
        ...

    def state(self) -> State:
        """All that `restore` needs to go on exactly."""
        ...

    def restore(self, state: State) -> None:
        """Go on from `state()`."""
        ...


class Lbfgs:
    """L-BFGS with a strong Wolfe line search (Nocedal & Wright 2006, algorithms 7.4 and 3.5), one step a call.

    Where the loss is not finite the canvas goes back to the last good one and the memory is dropped; where it no
    longer falls, which rounding in bf16 causes, the memory is dropped too.
    """

    def __init__(self, canvas: Tensor, objective: Objective, *, history: int) -> None:
        self.canvas = canvas.detach().clone().requires_grad_(True)
        self._objective, self._history = objective, history
        self._parts: dict[str, float] = {}
        self._last: tuple[Tensor, Tensor, Tensor, dict[str, float]] | None = None  # canvas, loss, gradient, parts
        self._good = canvas.detach().clone()
        self._previous_loss = float("inf")
        self._stalls = self._failures = 0
        self._rate = 1.0
        self._optimizer = self._fresh()

    @property
    def best(self) -> Tensor:
        """The last canvas whose loss was finite."""
        return self._good

    def _fresh(self) -> torch.optim.LBFGS:
        return torch.optim.LBFGS(
            [self.canvas],
            lr=self._rate,
            max_iter=1,
            max_eval=8,
            history_size=self._history,
            tolerance_grad=0,
            tolerance_change=0,
            line_search_fn="strong_wolfe",
        )

    def _closure(self) -> Tensor:
        # The search ends at a point it has evaluated, and the next step begins by evaluating it again: keep it.
        if self._last is not None and torch.equal(self._last[0], self.canvas):
            self.canvas.grad, self._parts = self._last[2].clone(), self._last[3]
            return self._last[1]
        self.canvas.grad = None
        terms = self._objective(self.canvas)
        terms.total.backward()  # type: ignore[no-untyped-call]
        gradient = self.canvas.grad
        assert gradient is not None
        self._parts = {name: float(part.detach()) for name, part in terms.parts.items()}
        loss = terms.total.detach()
        if not bool(torch.isfinite(gradient).all()):
            loss = torch.full_like(loss, float("nan"))
        self._last = (self.canvas.detach().clone(), loss, gradient.clone(), self._parts)
        return loss

    def step(self) -> tuple[dict[str, float], str]:
        """One step of the search; see the class for what its guards do."""
        loss = float(self._optimizer.step(self._closure))  # type: ignore[arg-type]
        finite = loss == loss and abs(loss) != float("inf") and bool(torch.isfinite(self.canvas).all())
        if not finite:
            return self._parts, self._back_off()
        self._failures = 0
        self._good = self.canvas.detach().clone()
        fell = self._previous_loss - loss
        self._stalls = self._stalls + 1 if fell <= STALLED * abs(loss) else 0
        self._previous_loss = loss
        if self._stalls >= 3:
            self._stalls = 0
            self._optimizer = self._fresh()
            return self._parts, "the search stalled: started it afresh"
        return self._parts, ""

    def _back_off(self) -> str:
        self._failures += 1
        if self._failures > RETRIES:
            raise NotFinite(
                f"the loss was not finite {RETRIES} times in a row, also with shorter steps. "
                "Use --precision float32, or smaller weights."
            )
        self._rate *= 0.5
        with torch.no_grad():
            self.canvas.copy_(self._good)
        self._last = None
        self._optimizer = self._fresh()
        return f"the loss was not finite: went back and go on with steps of {self._rate:g}"

    def state(self) -> State:
        """Canvas, memory of the search, and guards."""
        return {
            "canvas": self.canvas.detach().clone(),
            "good": self._good.clone(),
            "optimizer": _cloned(self._optimizer.state_dict()),
            "previous_loss": self._previous_loss,
            "stalls": self._stalls,
            "failures": self._failures,
            "rate": self._rate,
        }

    def restore(self, state: State) -> None:
        """Go on from `state()`."""
        with torch.no_grad():
            self.canvas.copy_(state["canvas"])
        self._good = state["good"].clone()
        self._rate = state["rate"]
        self._optimizer = self._fresh()
        self._optimizer.load_state_dict(_cloned(state["optimizer"]))
        self._previous_loss, self._stalls, self._failures = state["previous_loss"], state["stalls"], state["failures"]


class Adam:
    """Adam on pixels (Kingma & Ba 2015) with averaged canvases; its moments can be carried to the next scale."""

    def __init__(self, canvas: Tensor, objective: Objective, *, learning_rate: float, average_decay: float) -> None:
        self.canvas = canvas.detach().clone().requires_grad_(True)
        self._objective, self._rate, self._decay = objective, learning_rate, average_decay
        self._mean, self._square = torch.zeros_like(canvas), torch.zeros_like(canvas)
        self._count = 0
        self._average, self._mass = torch.zeros_like(canvas), 0.0
        self._good = canvas.detach().clone()
        self._failures = 0

    @property
    def best(self) -> Tensor:
        """The average of the last canvases; with no averaging, the last good one."""
        return self._average / self._mass if self._mass else self._good

    def step(self) -> tuple[dict[str, float], str]:
        """One step; a loss or gradient that is not finite halves the step size and goes back."""
        self.canvas.grad = None
        terms = self._objective(self.canvas)
        terms.total.backward()  # type: ignore[no-untyped-call]
        gradient = self.canvas.grad
        assert gradient is not None
        parts = {name: float(part.detach()) for name, part in terms.parts.items()}
        if not (bool(torch.isfinite(gradient).all()) and bool(torch.isfinite(terms.total))):
            return parts, self._back_off()
        self._failures = 0
        self._good = self.canvas.detach().clone()
        with torch.no_grad():
            self._move(gradient)
        return parts, ""

    def _move(self, gradient: Tensor) -> None:
        first, second, self._count = 0.9, 0.99, self._count + 1
        self._mean.lerp_(gradient, 1 - first)
        self._square.lerp_(gradient.square(), 1 - second)
        mean, square = self._mean / (1 - first**self._count), self._square / (1 - second**self._count)
        self.canvas -= self._rate * mean / (square.sqrt() + 1e-8)
        if self._decay:
            self._average.lerp_(self.canvas, 1 - self._decay)
            self._mass = 1 - self._decay * (1 - self._mass)

    def _back_off(self) -> str:
        self._failures += 1
        if self._failures > RETRIES:
            raise NotFinite(
                f"the loss was not finite {RETRIES} times in a row, also with shorter steps. "
                "Use --precision float32, or smaller weights."
            )
        self._rate *= 0.5
        with torch.no_grad():
            self.canvas.copy_(self._good)
        self._mean.zero_(), self._square.zero_()
        self._count = 0
        return f"the loss was not finite: went back and go on with steps of {self._rate:g}"

    def carry(self, coarse: Adam) -> None:
        """Take the moments of a coarser canvas, resized (as crowsonkb's style-transfer-pytorch does)."""
        size = self.canvas.shape[-2:]
        ratio = coarse.canvas.shape[-1] / size[-1]  # a gradient of a mean spreads over more pixels
        self._mean = F.interpolate(coarse._mean, size, mode="bilinear", align_corners=False) * ratio**2
        self._square = F.interpolate(coarse._square, size, mode="bilinear", align_corners=False) * ratio**4
        self._count = coarse._count

    def state(self) -> State:
        """Canvas, moments, average and guards."""
        tensors = {"canvas": self.canvas.detach(), "good": self._good, "average": self._average}
        moments = {"mean": self._mean, "square": self._square}
        numbers = {"mass": self._mass, "count": self._count, "rate": self._rate, "failures": self._failures}
        return _cloned(tensors | moments) | numbers

    def restore(self, state: State) -> None:
        """Go on from `state()`."""
        kept = _cloned(state)
        with torch.no_grad():
            self.canvas.copy_(kept["canvas"])
        self._good, self._average = kept["good"], kept["average"]
        self._mean, self._square = kept["mean"], kept["square"]
        self._mass, self._count = kept["mass"], kept["count"]
        self._rate, self._failures = kept["rate"], kept["failures"]


def _cloned(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        return {k: _cloned(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_cloned(v) for v in value]
    return value
