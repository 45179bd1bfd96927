"""Painting one picture before the user's eyes: bar, Ctrl-C, snapshots, animation, files."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from impasto import api
from impasto.api import OutputOptions, Session, Step
from impasto.cli.bars import Bar, TimeLeft, as_losses, as_time, shortened
from impasto.cli.failures import described, unexpected
from impasto.cli.flags import flag
from impasto.cli.outputs import snapshot_path, unfinished_path
from impasto.cli.stopping import INTERRUPTED, on_interrupt
from impasto.core.errors import OptionError
from impasto.video import animation


def _saved_already() -> None:
    """Nothing is left to do."""


LONGEST_NAME = 28  # characters of a file's name on the bar, so that the time left has room


@dataclass(frozen=True)
class PaintingResult:
    """The result of painting. `state` is the file to resume from, if it was stopped.

    `complete` is false where a snapshot, the animation or the state could not be written. `save` writes the picture,
    where that is left to do.
    """

    session: Session
    output: Path
    step: Step
    seconds: float
    stopped: bool = False
    state: Path | None = None
    complete: bool = True
    save: Callable[[], object] = _saved_already

    @property
    def exit_code(self) -> int:
        """Of a command that paints this picture only."""
        return INTERRUPTED if self.stopped else 0 if self.complete else 1

    def row(self) -> dict[str, Any]:
        """The row of `--json`."""
        recipe = self.session.recipe
        return {
            "output": str(self.output),
            "content": self.session.job.content,
            "method": self.session.job.paint.method,
            "styles": {style.source: style.weight for style in self.session.job.styles},
            "seconds": round(self.seconds, 3),
            "steps": self.step.index,
            "steps_planned": self.step.total,
            "size": [self.session.inputs.content.shape[-1], self.session.inputs.content.shape[-2]],
            "losses": dict(self.step.losses),
            "weights": dict(recipe.weights) if recipe else {},
            "recipe_sha256": hashlib.sha256(recipe.to_json().encode()).hexdigest() if recipe else None,
            "resumed": self.session.resume is not None,
            "stopped": self.stopped,
        }

    def report(self, bar: Bar, *, as_json: bool) -> None:
        """Print the result: its path or JSON on stdout, the rest on stderr."""
        print(json.dumps(self.row()) if as_json else self.output, flush=True)
        w, h = self.row()["size"]
        step, unit = self.step, unit_of(self.session)
        if self.stopped:
            bar.note(f"stopped after {unit} {step.index} of {step.total}; {self.output} is the picture so far.")
            if self.state is not None:
                bar.note(f"The state is in {self.state}: the same command with --resume continues.")
        else:
            steps = f"{step.index} {unit}s, " if step.total > 1 else ""
            bar.note(f"{w}×{h} px, {steps}{self.seconds:.1f} s")


def unit_of(session: Session) -> str:
    """The unit of progress: a step of the whole picture, or a part of it."""
    return "step" if session.plan.method.gradual else "tile"


def check_gradual(gradual: bool, options: OutputOptions) -> None:
    """Raise where pictures of a growing painting are asked for, and the method is not gradual."""
    given = [flag(name) for name in ("animation", "snapshots") if getattr(options, name)]
    if given and not gradual:
        raise OptionError(
            f"{' and '.join(given)} would show a picture that comes at once. Add --method optimise, which paints step "
            f"by step, or leave {'them' if len(given) > 1 else 'it'} out."
        )


def painted(
    session: Session, output: Path, *, options: OutputOptions, bar: Bar, place: PlaceInRun | None = None
) -> PaintingResult:
    """Paint to the end, or to the first Ctrl-C; then the picture so far and the state are kept.

    A picture that came at once is left to be written by the result's `save`. `place` is the picture's among several.
    The picture is written first; a snapshot, an animation or a state that cannot be written is reported. Pictures of
    an unfinished painting have no recipe, since it would not give them again, and replace no finished picture.
    """
    started, shown, path, state = time.monotonic(), Shown(session, bar, name=output.name, place=place), output, None
    save: Callable[[], object] = _saved_already
    with on_interrupt(bar.note) as stop, _Extras.of(session, output, options=options, bar=bar) as extras:
        for step in session.steps():
            stop.worth_keeping = True
            shown(step)
            last = step.index == step.total or stop.asked
            extras.keep(step, last=last)
            if last:
                break
        result, stopped = session.painting(step), step.index < step.total
        if stopped:
            path = _place_of_unfinished(output, session.plan.files)
            dataclasses.replace(result, recipe=None).save(path, options)
            with extras.reported("the state"):
                state = session.pause(step, output)
        elif session.plan.method.gradual:
            result.save(output, options)
        else:
            save = partial(result.save, output, options)
    if session.resume is not None and not stopped:
        session.forget(output)
    seconds = time.monotonic() - started
    return PaintingResult(session, path, step, seconds, stopped, state, complete=not extras.failed, save=save)


def _place_of_unfinished(output: Path, inputs: Iterable[str]) -> Path:
    """The path of an unfinished picture: `output`, unless a finished picture has that name."""
    beside = unfinished_path(output, inputs)
    if not output.exists():
        return output
    unfinished = api.paused_path(output) is not None and not beside.exists() and not api.has_recipe(output)
    return output if unfinished else beside


class _Extras:
    """Snapshots and animation. If one fails, the error is reported, and painting continues."""

    def __init__(self, session: Session, output: Path, *, options: OutputOptions, bar: Bar) -> None:
        self._session, self._output, self._options, self._bar = session, output, options, bar
        self._animation = contextlib.ExitStack()
        self._add: Callable[[Tensor], None] | None = None
        self.failed = False
        if options.animation is not None:
            opened = animation.written(options.animation, session.inputs.size_hw)
            self._add = self._animation.enter_context(opened)

    @classmethod
    @contextlib.contextmanager
    def of(cls, session: Session, output: Path, *, options: OutputOptions, bar: Bar) -> Iterator[_Extras]:
        """The animation is closed when the block ends, and dropped when the block fails."""
        extras = cls(session, output, options=options, bar=bar)
        with extras._animation:
            yield extras
            with extras.reported(f"{options.animation}"):
                extras._animation.close()

    def keep(self, step: Step, *, last: bool) -> None:
        """Add a step to the animation and the snapshots; `last` is the one that painting ends with."""
        if self._add is not None and (step.index % animation.stride(step.total) == 0 or last):
            with self.reported(f"{self._options.animation}"):
                try:
                    self._add(step.picture())
                except Exception as error:
                    self._add = None
                    self._animation.__exit__(type(error), error, error.__traceback__)
                    raise
        if self._options.snapshots and step.index % self._options.snapshots == 0:
            path = snapshot_path(self._output, step.index)
            with self.reported(f"{path}"):
                dataclasses.replace(self._session.painting(step), recipe=None).save(path, self._options)

    @contextlib.contextmanager
    def reported(self, name: str) -> Iterator[None]:
        """A block that writes the file `name`, whose failure is reported."""
        try:
            yield
        except Exception as error:
            self.failed = True
            self._bar.tell_error(f"{name} is not written: {described(error) or unexpected(error)}")


@dataclass(frozen=True)
class PlaceInRun:
    """The place of a picture among the pictures of a command: number `number`, from 0, of `count`."""

    number: int
    count: int
    left: TimeLeft

    def __str__(self) -> str:
        return f"{self.number + 1} of {self.count}"


class Shown:
    """Draws the steps of one painting on a bar, or the pictures of many, where it has a place among them.

    A step's work is taken as its canvas's pixels.
    """

    def __init__(self, session: Session, bar: Bar, *, name: str, place: PlaceInRun | None = None) -> None:
        self._bar, self._name, self._unit = bar, shortened(name, LONGEST_NAME), unit_of(session)
        self._work = [h * w for (h, w), steps in session.work() for _ in range(steps)]
        self._place, self._left = place, TimeLeft(sum(self._work)) if place is None else place.left
        if place is None:
            bar.wait(f"painting {name}")
        else:
            self._draw(0.0, "")

    def __call__(self, step: Step) -> None:
        """Draw one step, and print its note."""
        if step.note:
            self._bar.note(f"{self._unit} {step.index}: {step.note}")
        if step.total == 1:
            return
        h, w = step.size_hw
        self._draw(
            sum(self._work[: step.index]), f"{self._unit} {step.index}/{step.total}  {w}×{h}", as_losses(step.losses)
        )

    def _draw(self, done: float, *texts: str) -> None:
        total, first = float(sum(self._work)), self._name
        if self._place is not None:
            done, total = self._place.number + done / total, self._place.count
            first = f"{self._place}  {self._name}"
        left = as_time(self._left.after(done))
        where, *measures = texts
        parts = [first, where, left and f"{left} left", *measures]
        self._bar.show(done, total, "  ".join(part for part in parts if part))


def done_already(session: Session, output: Path) -> bool:
    """Whether `output` is the result of this job already."""
    if not output.is_file() or session.recipe is None:
        return False
    try:
        written = api.recipe_of(output)
        return dataclasses.replace(written, made_with=written.painted_with).to_json() == session.recipe.to_json()
    except api.ImpastoError:
        return False
