"""A job that is ready to be painted: begun afresh, gone on with, or made again from a recipe."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from impasto.config.job import Job
from impasto.core.errors import OptionError, StateError
from impasto.encoders.table import Progress
from impasto.image.resize import resized
from impasto.rendering import families, inputs, painting, pause, recipe
from impasto.rendering.families import Family, Loaded, Work
from impasto.rendering.finished import Painting, recipe_of
from impasto.rendering.job_cache import JobCache
from impasto.stylizers.optimised import PaintedStep, Paused
from impasto.stylizers.protocol import Step


@dataclass(frozen=True, eq=False)
class Session:
    """A job whose inputs are read and whose weights are loaded; `steps()` paints it.

    `folder` is what the paths in `recipe` are relative to; `threads` is the number that a step computes with, None
    for as many as torch is set to.
    """

    job: Job
    inputs: inputs.Inputs
    loaded: Loaded
    recipe: recipe.Recipe | None
    resume: Paused | None = None
    folder: Path | None = None
    threads: int | None = None

    def steps(self) -> Iterator[Step]:
        """Every step of painting; the last one's `picture()` is the result."""
        steps = painting.painted(self.job, self.inputs, self.loaded, resume=self.resume)
        while True:
            with _threads(self.threads):
                step = next(steps, None)
            if step is None:
                return
            yield step

    @property
    def family(self) -> Family:
        """The row of the family that paints."""
        return families.family_of(self.job)

    def work(self) -> Work:
        """The canvas sizes in the order of painting, with the steps at each: what the time left follows from.

        Raises `ImageTooSmall` and `UnknownName` as painting does.
        """
        content = self.inputs.content
        return painting.work(self.job, (content.shape[-2], content.shape[-1]), self.loaded)

    def painting(self, step: Step) -> Painting:
        """The picture at `step`, at the output's size."""
        pixels = step.picture()
        size = (self.inputs.content.shape[-2], self.inputs.content.shape[-1])
        return Painting(resized(pixels, size), self.inputs.alpha, self.recipe, self.folder)

    def pause(self, step: Step, output: Path) -> Path | None:
        """Keep the state after `step` beside `output`, for `open_session(…, resume=True)`; None where there is none."""
        if not (isinstance(step, PaintedStep) and step.pause and self.recipe):
            return None
        pause.save_state(step.pause(), self.recipe, path := pause.path_for(output))
        return path

    def forget(self, output: Path) -> None:
        """Remove the state that `pause` kept beside `output`."""
        pause.path_for(output).unlink(missing_ok=True)


def paused_path(output: str | Path) -> Path | None:
    """The state of a stopped painting beside `output`; None where there is none."""
    path = pause.path_for(Path(output))
    return path if path.is_file() else None


def open_session(
    job: Job,
    *,
    output: str | Path = "",
    resume: bool = False,
    shelf: JobCache | None = None,
    progress: Progress | None = None,
) -> Session:
    """Read the job's pictures and load its weights.

    `output` is where the picture will lie: paths in its recipe are relative to that folder, and `resume` looks for the
    state of a stopped painting beside it. `shelf`, one for all jobs of a batch, keeps what the next one needs again.
    Raises `ImageError`, `WeightsError`, `OptionError`, `StateError`.
    """
    job = families.checked(job)
    if resume and not families.family_of(job).gradual:
        raise OptionError(
            f"--resume goes on with a stopped painting of --method optimise; --method {job.paint.method} begins anew. "
            "Leave --resume out."
        )
    output = Path(output) if output else Path.cwd() / "out.png"
    shelf = shelf or JobCache()
    pictures = inputs.gathered(job, shelf=shelf, progress=progress)
    loaded = shelf.loaded(job, progress=progress)
    made = recipe.of(job, loaded, folder=output.parent)
    state = pause.load_state(pause.path_for(output), made) if resume else None
    return Session(job, pictures, loaded, made, state, output.parent.absolute())


def redo(path: str | Path, *, output: str | Path | None = None, threads: int | None = None) -> Session:
    """The job that made a picture file, ready to be painted again; `output` is where it will lie, as for `begun`.

    The picture is the same bit for bit on the same machine with the same versions: painting takes as many threads as
    it took (`threads` overrides), and torch's own number stays as it is. Raises `StateError` where the file has no
    recipe or an input has changed.
    """
    path = Path(path)
    found = recipe_of(path)
    job = recipe.job_again(found, folder=path.parent)
    count = threads or int(found.made_with["threads"])
    with _threads(count):
        work = dataclasses.replace(open_session(job, output=path if output is None else output), threads=count)
    for name, digest in found.weights.items():
        if work.loaded.weights.get(name) != digest:
            raise StateError(f"the weights of {name} are not those that made {path}: they have changed since.")
    return work


@contextlib.contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """Torch computing with `count` threads inside the block."""
    before = torch.get_num_threads()
    if count is None or count == before:
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
