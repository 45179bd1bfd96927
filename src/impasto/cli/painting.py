"""Painting one picture before the user's eyes: bar, Ctrl-C, snapshots, animation, files."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from impasto import api
from impasto.api import OutputOptions, Session, Step
from impasto.cli.bars import Bar, TimeLeft, as_losses, as_time
from impasto.cli.flags import flag
from impasto.cli.outputs import snapshot_path
from impasto.cli.stopping import on_interrupt
from impasto.core.errors import OptionError
from impasto.video import animation


@dataclass(frozen=True)
class Painted:
    """What came of a painting. `state` is where it can be gone on from, when it was stopped."""

    session: Session
    output: Path
    step: Step
    seconds: float
    stopped: bool = False
    state: Path | None = None

    def row(self) -> dict[str, Any]:
        """What `--json` prints."""
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
                bar.note(f"The state is in {self.state}: the same command with --resume goes on from there.")
        else:
            steps = f"{step.index} {unit}s, " if step.total > 1 else ""
            bar.note(f"{w}×{h} px, {steps}{self.seconds:.1f} s")


def unit_of(session: Session) -> str:
    """What a step is: one of the whole picture, or the painting of a part of it."""
    return "step" if session.plan.method.gradual else "tile"


def check_gradual(gradual: bool, options: OutputOptions) -> None:
    """Raise where pictures of a growing painting are asked for, and the method is not gradual."""
    given = [flag(name) for name in ("animation", "snapshots") if getattr(options, name)]
    if given and not gradual:
        raise OptionError(
            f"{' and '.join(given)} would show a picture that comes at once. Add --method optimise, which paints step "
            f"by step, or leave {'them' if len(given) > 1 else 'it'} out."
        )


def painted_file(session: Session, output: Path, *, options: OutputOptions, bar: Bar) -> Painted:
    """Paint to the end, or to the first Ctrl-C, and write the picture; then the picture so far and the state are kept.

    Pictures of an unfinished painting carry no recipe: nobody could make them again from it.
    """
    started = time.monotonic()
    with on_interrupt(bar.note) as stop:
        with _Watcher.of(session, output, options=options, bar=bar) as watch:
            for step in session.steps():
                stop.worth_keeping = True
                watch.progress(step)
                last = step.index == step.total or stop.asked
                watch.keep(step, last=last)
                if last:
                    break
        result = session.painting(step)
        if step.index < step.total:
            state = session.pause(step, output)
            dataclasses.replace(result, recipe=None).save(output, options)
            return Painted(session, output, step, time.monotonic() - started, stopped=True, state=state)
        result.save(output, options)
    if session.resume is not None:
        session.forget(output)
    return Painted(session, output, step, time.monotonic() - started)


@dataclass(frozen=True)
class _Watcher:
    """What happens after each step: the bar is drawn, and the animation and the snapshots grow."""

    session: Session
    output: Path
    options: OutputOptions
    progress: Shown
    add: Callable[[Tensor], None] | None

    @classmethod
    @contextlib.contextmanager
    def of(cls, session: Session, output: Path, *, options: OutputOptions, bar: Bar) -> Iterator[_Watcher]:
        """The animation is closed at the block's end."""
        with contextlib.ExitStack() as stack:
            add = None
            if options.animation is not None:
                add = stack.enter_context(animation.written(options.animation, session.inputs.size_hw))
            yield cls(session, output, options, Shown(session, bar, output.name), add)

    def keep(self, step: Step, *, last: bool) -> None:
        """Add a step to the animation and the snapshots; `last` is the one that painting ends with."""
        if self.add and (step.index % animation.stride(step.total) == 0 or last):
            self.add(step.picture())
        if self.options.snapshots and step.index % self.options.snapshots == 0:
            _keep_snapshot(self.session, step, self.output, self.options)


def _keep_snapshot(session: Session, step: Step, output: Path, options: OutputOptions) -> None:
    """`painting-0020.png` beside `painting.png`."""
    path = snapshot_path(output, step.index)
    dataclasses.replace(session.painting(step), recipe=None).save(path, options)


class Shown:
    """Draws the steps of one painting on a bar; one that is a single step leaves nothing to draw.

    A step's work is taken as its canvas's pixels.
    """

    def __init__(self, session: Session, bar: Bar, name: str) -> None:
        self._bar, self._name, self._unit = bar, name, unit_of(session)
        self._work = [h * w for (h, w), steps in session.work() for _ in range(steps)]
        self._left = TimeLeft(sum(self._work))

    def __call__(self, step: Step) -> None:
        """Draw one step, and say what it notes."""
        if step.note:
            self._bar.note(f"{self._unit} {step.index}: {step.note}")
        if step.total == 1:
            return
        done, total = sum(self._work[: step.index]), sum(self._work)
        h, w = step.size_hw
        left = as_time(self._left.after(done))
        where = [self._name, f"{self._unit} {step.index}/{step.total}", f"{w}×{h}"]
        parts = [*where, left and f"{left} left", as_losses(step.losses)]
        self._bar.show(done, total, "  ".join(part for part in parts if part))


def done_already(session: Session, output: Path) -> bool:
    """Whether `output` is what this job makes: then it need not be made again."""
    if not output.is_file() or session.recipe is None:
        return False
    try:
        written = api.recipe_of(output)
        return dataclasses.replace(written, made_with=written.painted_with).to_json() == session.recipe.to_json()
    except api.ImpastoError:
        return False
