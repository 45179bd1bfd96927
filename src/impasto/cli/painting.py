"""Painting one picture before the user's eyes: bar, Ctrl-C, snapshots, animation, files."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impasto import api
from impasto.api import Job, OutputOptions, Session, Step
from impasto.cli.bars import Bar, TimeLeft, as_losses, as_time
from impasto.cli.stopping import Stop, on_interrupt
from impasto.core.errors import OptionError
from impasto.core.options import flag
from impasto.rendering.families import family_of
from impasto.video import animation


@dataclass(frozen=True)
class Painted:
    """What came of a painting. `state` is where it can be gone on from, when it was stopped."""

    begun: Session
    output: Path
    step: Step
    seconds: float
    stopped: bool = False
    state: Path | None = None

    def row(self) -> dict[str, Any]:
        """What `--json` prints."""
        recipe = self.begun.recipe
        return {
            "output": str(self.output),
            "content": self.begun.job.content,
            "method": self.begun.job.paint.method,
            "styles": {style.source: style.weight for style in self.begun.job.styles},
            "seconds": round(self.seconds, 3),
            "steps": self.step.index,
            "steps_planned": self.step.total,
            "size": [self.begun.inputs.content.shape[-1], self.begun.inputs.content.shape[-2]],
            "losses": dict(self.step.losses),
            "weights": dict(recipe.weights) if recipe else {},
            "recipe_sha256": hashlib.sha256(recipe.to_json().encode()).hexdigest() if recipe else None,
            "resumed": self.begun.resume is not None,
            "stopped": self.stopped,
        }

    def report(self, bar: Bar, *, as_json: bool) -> None:
        """Print the result: its path or JSON on stdout, the rest on stderr."""
        print(json.dumps(self.row()) if as_json else self.output, flush=True)
        w, h = self.row()["size"]
        step, unit = self.step, unit_of(self.begun)
        if self.stopped:
            bar.note(f"stopped after {unit} {step.index} of {step.total}; {self.output} is the picture so far.")
            if self.state is not None:
                bar.note(f"The state is in {self.state}: the same command with --resume goes on from there.")
        else:
            steps = f"{step.index} {unit}s, " if step.total > 1 else ""
            bar.note(f"{w}×{h} px, {steps}{self.seconds:.1f} s")


def unit_of(begun: Session) -> str:
    """What a step is: one of the whole picture, or the painting of a part of it."""
    return "step" if begun.family.gradual else "tile"


def check_gradual(job: Job, options: OutputOptions) -> None:
    """Raise where pictures of a growing painting are asked for, and there are none."""
    given = [flag(name) for name in ("animation", "snapshots") if getattr(options, name)]
    if given and not family_of(job).gradual:
        raise OptionError(
            f"{' and '.join(given)} would show a picture that comes at once. Add --method optimise, which paints step "
            f"by step, or leave {'them' if len(given) > 1 else 'it'} out."
        )


def painted_file(begun: Session, output: Path, *, options: OutputOptions, bar: Bar) -> Painted:
    """Paint to the end, or to the first Ctrl-C, and write the picture; then the picture so far and the state are kept.

    Pictures of an unfinished painting carry no recipe: nobody could make them again from it.
    """
    started = time.monotonic()
    with on_interrupt(bar.note) as stop:
        step = _last(begun, output, options=options, bar=bar, stop=stop)
        result = begun.painting(step)
        if step.index < step.total:
            state = begun.pause(step, output)
            dataclasses.replace(result, recipe=None).save(output, options)
            return Painted(begun, output, step, time.monotonic() - started, stopped=True, state=state)
        result.save(output, options)
    if begun.resume is not None:
        begun.forget(output)
    return Painted(begun, output, step, time.monotonic() - started)


def _last(begun: Session, output: Path, *, options: OutputOptions, bar: Bar, stop: Stop) -> Step:
    """Walk over the steps up to the last one, or the one at which the user asked to stop."""
    progress = Shown(begun, bar, output.name)
    with contextlib.ExitStack() as stack:
        add = None
        if options.animation is not None:
            content = begun.inputs.content
            add = stack.enter_context(animation.written(options.animation, (content.shape[-2], content.shape[-1])))
        for step in begun.steps():
            stop.worth_keeping = True
            progress(step)
            last = step.index == step.total or stop.asked
            if add and (step.index % animation.stride(step.total) == 0 or last):
                add(step.picture())
            if options.snapshots and step.index % options.snapshots == 0:
                _keep_snapshot(begun, step, output, options)
            if last:
                break
    return step


def _keep_snapshot(begun: Session, step: Step, output: Path, options: OutputOptions) -> None:
    """`painting-0020.png` beside `painting.png`."""
    path = output.with_name(f"{output.stem}-{step.index:04}{output.suffix}")
    dataclasses.replace(begun.painting(step), recipe=None).save(path, options)


class Shown:
    """Draws the steps of one painting on a bar; one that is a single step leaves nothing to draw.

    A step's work is taken as its canvas's pixels.
    """

    def __init__(self, begun: Session, bar: Bar, name: str) -> None:
        self._bar, self._name, self._unit = bar, name, unit_of(begun)
        self._work = [h * w for (h, w), steps in begun.work() for _ in range(steps)]
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


def done_already(begun: Session, output: Path) -> bool:
    """Whether `output` is what this job makes: then it need not be made again."""
    if not output.is_file() or begun.recipe is None:
        return False
    try:
        return api.recipe_of(output).to_json() == begun.recipe.to_json()
    except api.ImpastoError:
        return False
