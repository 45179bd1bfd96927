"""A job ready to be painted: new, resumed, or from a recipe."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impasto.config.job import Job
from impasto.core.errors import OptionError, StateError
from impasto.encoders.table import Progress
from impasto.image.resize import resized
from impasto.methods.protocol import LoadedMethod, Work
from impasto.session import pause
from impasto.session.device import with_threads
from impasto.session.inputs import Inputs, read_inputs
from impasto.session.job_cache import JobCache
from impasto.session.memory import check_memory
from impasto.session.painting import Painting, recipe_of
from impasto.session.plan import Plan, plan_job
from impasto.session.recipe import Recipe, job_again, recipe_for
from impasto.stylizers.finished import coloured, masked
from impasto.stylizers.optimised import PaintedStep, Paused
from impasto.stylizers.protocol import Step, Stylizer


@dataclass(frozen=True, eq=False)
class Session:
    """A planned job whose inputs are read and whose weights are loaded; `steps()` paints it.

    the paths in `recipe` are relative to `folder`; a step computes with `threads`, None
    for as many as torch is set to.
    """

    plan: Plan
    inputs: Inputs
    loaded: LoadedMethod
    recipe: Recipe | None
    resume: Paused | None = None
    folder: Path | None = None
    threads: int | None = None

    @property
    def job(self) -> Job:
        """The job, with an explicit method."""
        return self.plan.job

    @property
    def stylizer(self) -> Stylizer[Any]:
        """The method's stylizer in the wrappers that the job's options require."""
        inputs = self.inputs
        stylizer = self.loaded.stylizer(
            self.job, start=inputs.init_picture, resume=self.resume, temporal=inputs.temporal
        )
        colour = self.job.colour
        if any(choice != "no" for choice in (colour.keep_colours, colour.keep_luminance, colour.match_output)):
            stylizer = coloured(stylizer, colour)
        return stylizer if self.inputs.cover is None else masked(stylizer, self.inputs.cover)

    def steps(self) -> Iterator[Step]:
        """Every step of painting; the last one's `picture()` is the result.

        The style is encoded before the first step.
        """
        stylizer = self.stylizer
        with with_threads(self.threads):
            code = stylizer.prepare(self.inputs.mix)
        steps = stylizer.paint(self.inputs.content, code, strength=self.job.paint.strength)
        return steps if self.threads is None else _each_with_threads(steps, self.threads)

    def work(self) -> Work:
        """The canvas sizes in the order of painting, with the steps at each, for the estimate of the remaining time.

        Raises `ImageTooSmall` and `UnknownName` as painting does.
        """
        return self.loaded.work(self.job, self.inputs.size_hw)

    def painting(self, step: Step) -> Painting:
        """The picture at `step`, at the output's size."""
        pixels, inputs = resized(step.picture(), self.inputs.size_hw), self.inputs
        return Painting(pixels, inputs.alpha, self.recipe, self.folder, exif=inputs.exif)

    def pause(self, step: Step, output: Path) -> Path | None:
        """Save the state after `step` next to `output`, for `open_session(…, resume=True)`; None without a state."""
        if not (isinstance(step, PaintedStep) and step.pause and self.recipe):
            return None
        path = pause.path_for(output)
        pause.save_state(step.pause(), self.recipe, path=path)
        return path

    def forget(self, output: Path) -> None:
        """Remove the state that `pause` saved next to `output`."""
        pause.path_for(output).unlink(missing_ok=True)


def paused_path(output: str | Path) -> Path | None:
    """The saved state of a stopped painting of `output`; None if there is none."""
    path = pause.path_for(Path(output))
    return path if os.path.isfile(path) else None  # false for a name that is too long


def open_session(
    job: Job | Plan,
    *,
    output: str | Path = "",
    resume: bool = False,
    force: bool | None = None,
    cache: JobCache | None = None,
    progress: Progress | None = None,
) -> Session:
    """Read the pictures of a job or plan, and load its weights.

    `output` is the path of the picture: paths in its recipe are relative to that folder, and `resume` looks for the
    state of a stopped painting next to it. `force` paints what is not estimated to fit into memory; the error
    offers it to callers that pass it. `cache`, one for all jobs of a batch, keeps what the next one needs again.
    Raises `ImageError`, `WeightsError`, `OptionError`, `StateError`.
    """
    plan = job if isinstance(job, Plan) else plan_job(job)
    if resume and not plan.method.gradual:
        raise OptionError(
            f"`resume` continues a stopped painting of `method=optimise`; `method={plan.method.name}` cannot resume. "
            "Leave `resume` out."
        )
    output = Path(output) if output else Path.cwd() / "out.png"
    cache = cache or JobCache()
    loaded = cache.loaded(plan, progress=progress)
    if not force:
        check_memory(plan, loaded, may_force=force is not None)
    inputs = read_inputs(plan, cache=cache, progress=progress)
    plan = _within_seconds(plan, loaded, inputs=inputs, paused=pause.path_for(output) if resume else None)
    recipe = None if plan.in_memory else recipe_for(plan, loaded, folder=output.parent)
    state = pause.load_state(pause.path_for(output), recipe) if resume and recipe is not None else None
    return Session(plan, inputs, loaded, recipe, state, output.parent.absolute())


def _within_seconds(plan: Plan, loaded: LoadedMethod, *, inputs: Inputs, paused: Path | None) -> Plan:
    """The plan with steps in place of a time budget; a paused painting keeps its steps."""
    job = plan.job
    if not job.optimise.seconds:
        return plan
    if paused is not None:
        planned = pause.paused_recipe(paused).job.optimise
        steps = dataclasses.replace(job.optimise, steps=planned.steps, final_steps=planned.final_steps, seconds=0.0)
        job = dataclasses.replace(job, optimise=steps)
    else:
        job = loaded.within_seconds(job, inputs.content, mix=inputs.mix)
    return dataclasses.replace(plan, job=job)


def redo(
    path: str | Path,
    *,
    output: str | Path | None = None,
    threads: int | None = None,
    content: str | Path | None = None,
    styles: Sequence[str | Path] = (),
    force: bool = False,
) -> Session:
    """A session that reproduces a picture file as `output`.

    `content` and `styles`, in the recipe's order, are where these files are now, if they have moved.
    The picture is the same bit for bit on the same machine with the same versions: painting takes as many threads as
    it took (`threads` overrides), and torch's own number does not change. Raises `StateError` if the file has no
    recipe or an input has changed, and `ImageTooLarge` where it does not fit into the free memory, unless `force`.
    """
    path = Path(path)
    recipe = recipe_of(path)
    plan, cache = plan_job(job_again(recipe, folder=path.parent, content=content, styles=styles)), JobCache()
    count = threads or int(recipe.made_with["threads"])
    with with_threads(count):
        if not force:
            check_memory(plan, cache.loaded(plan), again=True)
        session = open_session(plan, output=path if output is None else output, force=True, cache=cache)
        session = dataclasses.replace(session, threads=count)
    for name, digest in recipe.weights.items():
        if session.loaded.weights.get(name) != digest:
            raise StateError(f"the weights of {name} are not those that made {path}: they have changed since.")
    return session


def _each_with_threads(steps: Iterator[Step], count: int) -> Iterator[Step]:
    """The steps, each painted with `count` threads."""
    while True:
        with with_threads(count):
            step = next(steps, None)
        if step is None:
            return
        yield step
