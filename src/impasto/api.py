"""What users of the package import: `import impasto; impasto.stylize("photo.jpg", "painting.jpg").save("out.png")`."""

from __future__ import annotations

import contextlib
import dataclasses
import numbers
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from impasto.analysis import axes, report
from impasto.analysis import reconstruct as rebuilding
from impasto.analysis import sweep as sweeping
from impasto.analysis.eye import encoder_of, seen
from impasto.analysis.gauge import Gauge
from impasto.config.analysis import EyeOptions, RebuildOptions, RebuildTarget, SweepOptions
from impasto.config.job import Job, PaintOptions, StyleSource
from impasto.config.optimise import LossOptions, OptimiseOptions
from impasto.config.pictures import ColourOptions, OutputOptions, SizeOptions
from impasto.core.errors import ImpastoError, OptionError, StateError
from impasto.core.paths import written_whole
from impasto.encoders.table import Encoder, Progress
from impasto.encoders.table import loaded as load_encoder
from impasto.image import files
from impasto.image.files import read
from impasto.image.pixels import to_bytes
from impasto.image.resize import SizeHW, resized
from impasto.metrics import table as metrics
from impasto.rendering import given, inputs, painting, pause, recipe
from impasto.rendering.given import PictureLike
from impasto.stylizers.optimised import Optimised, PaintedStep, Paused
from impasto.stylizers.protocol import Mix, Step, Style, Stylizer

__all__ = [
    "ColourOptions",
    "Encoder",
    "ImpastoError",
    "Job",
    "LossOptions",
    "Mix",
    "OptimiseOptions",
    "Optimised",
    "OutputOptions",
    "PaintOptions",
    "Painting",
    "SizeOptions",
    "Step",
    "Style",
    "StyleSource",
    "Stylizer",
    "begun",
    "evaluate",
    "load_encoder",
    "read",
    "reconstruct",
    "redo",
    "stylize",
    "sweep",
]


@dataclass(frozen=True, eq=False)
class Painting:
    """A finished picture.

    `pixels` `(1, 3, h, w)` in `[0, 1]`; `alpha` `(1, 1, h, w)` or None; `recipe` is None for pictures that came from
    memory, since what is not a file cannot be found again; `folder` is what its paths are relative to.
    """

    pixels: Tensor
    alpha: Tensor | None = None
    recipe: recipe.Recipe | None = None
    folder: Path | None = None

    def save(self, path: str | Path, options: OutputOptions | None = None) -> None:
        """Write a picture file; its metadata says how it was made, or a sidecar where it cannot or options ask.

        Paths in the recipe become relative to the file's folder. Where the picture has no recipe, one that lies beside
        `path` is of another picture, and is removed.
        """
        options, path = options or OutputOptions(), Path(path)
        made = self.recipe
        if made is not None and self.folder is not None:
            made = made.moved(self.folder, path.parent)
        notes = {recipe.KEY: made.to_json()} if made is not None else {}
        files.write(path, self.pixels, alpha=self.alpha, bits=options.bits, quality=options.quality, notes=notes)
        if made is None:
            _remove_sidecar(sidecar_path(path))
        elif options.sidecar or not files.carries_notes(path):
            with written_whole(sidecar_path(path)) as temporary:
                temporary.write_text(made.to_json() + "\n", encoding="utf-8")

    def to_pil(self) -> Image.Image:
        """As a Pillow picture, 8 bits."""
        channels = [self.pixels] if self.alpha is None else [self.pixels, self.alpha]
        return Image.fromarray(to_bytes(torch.cat(channels, dim=1))[0])


@dataclass(frozen=True, eq=False)
class Begun:
    """A job whose inputs are read and whose encoder is loaded; `steps()` paints it.

    `folder` is what the paths in `recipe` are relative to; `threads` is the number that a step computes with, None
    for as many as torch is set to.
    """

    job: Job
    inputs: inputs.Inputs
    encoder: Encoder
    recipe: recipe.Recipe | None
    resume: Paused | None = None
    folder: Path | None = None
    threads: int | None = None

    def steps(self) -> Iterator[Step]:
        """Every step of painting; the last one's `picture()` is the result."""
        steps = painting.painted(self.job, self.inputs, self.encoder, resume=self.resume)
        while True:
            with _threads(self.threads):
                step = next(steps, None)
            if step is None:
                return
            yield step

    def work(self) -> tuple[tuple[SizeHW, int], ...]:
        """The canvas sizes of all scales, coarse to fine, with the steps at each: what the time left follows from.

        Raises `ImageTooSmall` and `UnknownName` as painting does.
        """
        content = self.inputs.content
        return painting.work(self.job, (content.shape[-2], content.shape[-1]), self.encoder)

    def painting(self, step: Step) -> Painting:
        """The picture at `step`, at the output's size."""
        pixels = step.picture()
        size = (self.inputs.content.shape[-2], self.inputs.content.shape[-1])
        return Painting(resized(pixels, size), self.inputs.alpha, self.recipe, self.folder)

    def pause(self, step: Step, output: Path) -> Path | None:
        """Keep the state after `step` beside `output`, for `begun(…, resume=True)`; None where there is none."""
        if not (isinstance(step, PaintedStep) and step.pause and self.recipe):
            return None
        pause.keep(step.pause(), self.recipe, path := pause.path_for(output))
        return path

    def forget(self, output: Path) -> None:
        """Remove the state that `pause` kept beside `output`."""
        pause.path_for(output).unlink(missing_ok=True)


def paused_path(output: str | Path) -> Path | None:
    """The state of a stopped painting beside `output`; None where there is none."""
    path = pause.path_for(Path(output))
    return path if path.is_file() else None


def begun(
    job: Job,
    *,
    output: str | Path = "",
    resume: bool = False,
    encoder: Encoder | None = None,
    progress: Progress | None = None,
) -> Begun:
    """Read the job's pictures and load its encoder.

    `output` is where the picture will lie: paths in its recipe are relative to that folder, and `resume` looks for the
    state of a stopped painting beside it. `encoder` is the job's, where it is loaded already. Raises `ImageError`,
    `WeightsError`, `OptionError`, `StateError`.
    """
    output = Path(output) if output else Path.cwd() / "out.png"
    pictures = inputs.gathered(job)
    encoder = encoder or painting.encoder_of(job, progress=progress)
    made = recipe.of(job, encoder, folder=output.parent)
    state = pause.kept(pause.path_for(output), made) if resume else None
    return Begun(job, pictures, encoder, made, state, output.parent.absolute())


def stylize(
    content: PictureLike,
    style: PictureLike | Sequence[PictureLike | tuple[PictureLike, float]],
    *,
    strength: float = 1.0,
    size: int | SizeOptions = 512,
    paint: PaintOptions | None = None,
    colour: ColourOptions | None = None,
    losses: LossOptions | None = None,
    optimise: OptimiseOptions | None = None,
) -> Painting:
    """Repaint `content` in the manner of `style`.

    Pictures are paths, Pillow pictures (taken as they are, without turning by EXIF or conversion by profile),
    `(h, w)`, `(h, w, 3)` or `(h, w, 4)` arrays of uint8 or uint16, or tensors `(1, 3, h, w)` in `[0, 1]`. `style` may
    be a list, also of `(picture, weight)`. `size` is the long side in pixels, 0 for the content's own. `strength` 0
    gives the content back. Raises `ImageError`, `OptionError`, `WeightsError`, `NotFinite`.
    Gatys, Ecker & Bethge 2016, "Image style transfer using convolutional neural networks".
    """
    mix = [_weighted(item) for item in (style if isinstance(style, list | tuple) and not _is_pair(style) else [style])]
    job = Job(
        content=_named(content),
        styles=tuple(StyleSource(source=_named(picture), weight=weight) for picture, weight in mix),
        paint=dataclasses.replace(paint or PaintOptions(), strength=strength),
        size=size if isinstance(size, SizeOptions) else SizeOptions(size=size),
        colour=colour or ColourOptions(),
        losses=losses or LossOptions(),
        optimise=optimise or OptimiseOptions(),
    )
    if all(isinstance(picture, str | Path) for picture in (content, *(p for p, _ in mix))):
        work = begun(job)
    else:
        read = inputs.gathered(job, content=given.picture_from(content), styles=[given.picture_from(p) for p, _ in mix])
        work = Begun(job, read, painting.encoder_of(job), None)
    return work.painting(_last(work.steps()))


def redo(path: str | Path, *, output: str | Path | None = None, threads: int | None = None) -> Begun:
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
        work = dataclasses.replace(begun(job, output=path if output is None else output), threads=count)
    for name, digest in found.weights.items():
        if work.encoder.sha256 != digest:
            raise StateError(f"the weights of {name} are not those that made {path}: they have changed since.")
    return work


def recipe_of(path: str | Path) -> recipe.Recipe:
    """The recipe in a picture's metadata or sidecar, or in a JSON file. `StateError` where there is none."""
    path = Path(path)
    if path.suffix.lower() == ".json":
        return recipe.Recipe.from_json(_text_in(path), str(path))
    text = files.read_notes(path).get(recipe.KEY)
    if text is None and sidecar_path(path).is_file():
        text = _text_in(sidecar_path(path))
    if text is None:
        raise StateError(f"{path} carries no recipe: it was not made by impasto, or its metadata was removed.")
    return recipe.Recipe.from_json(text, str(path))


def sidecar_path(path: Path) -> Path:
    """Where the recipe lies beside a picture."""
    return path.with_name(path.name + ".json")


def evaluate(
    output: PictureLike, content: PictureLike, style: PictureLike, *, encoder: str | Encoder = "compact-vgg"
) -> dict[str, dict[str, float]]:
    """Distances of `output` from `content` and `style`, by row: the output, a copy of the content, a copy of the style.

    The copies are what the numbers are to be read against; transparent pictures are laid over white. Names, units and
    directions stand in `impasto.metrics.table.METRICS`. Raises as `stylize` does.
    """
    eye = load_encoder(encoder, precision="float32") if isinstance(encoder, str) else encoder
    read = [given.picture_from(picture) for picture in (output, content, style)]
    out, kept, taken = (inputs.over_white(picture.pixels, picture.alpha) for picture in read)
    losses = LossOptions()
    return metrics.reference_rows(
        out, kept, taken, eye, content_layers=losses.content_layers, style_layers=losses.style_layers
    )


def reconstruct(
    picture: PictureLike,
    *,
    content_layer: str | None = None,
    style_layers: Sequence[str] = (),
    through: EyeOptions | None = None,
    options: RebuildOptions | None = None,
) -> Painting:
    """Rebuild `picture` from noise by the features of one layer, or by the style of one or several.

    Mahendran & Vedaldi 2015; Gatys, Ecker & Bethge 2015, figure 1. Raises as `stylize` does.
    """
    through, options = through or EyeOptions(), options or RebuildOptions()
    target = RebuildTarget(content_layer=content_layer, style_layer=tuple(style_layers))
    encoder = encoder_of(through, precision=options.precision)
    steps = rebuilding.rebuilt(seen(given.picture_from(picture), through), target, encoder=encoder, options=options)
    return Painting(_last(steps).picture())


def sweep(
    job: Job,
    vary: Sequence[str],
    *,
    folder: str | Path,
    options: SweepOptions | None = None,
    progress: Callable[[sweeping.SweepStep], None] | None = None,
) -> list[sweeping.Result]:
    """Paint `job` with every combination of the values in `vary` (`["strength=0.5,1", "optimise.steps=60+40,100"]`).

    Writes pictures, a contact sheet, an HTML report and results.json into `folder`. Cells that are finished there are
    kept; one that fails has an `error` and the rest goes on. `OptionError` where an axis or a value is none.
    """
    options, folder = options or SweepOptions(), Path(folder)
    if folder.exists() and not folder.is_dir():
        raise OptionError(f"{folder} is no folder; a sweep writes many files. Name a folder.")
    along = [axes.axis_from(text, job) for text in vary]
    cells = sweeping.cells_of(job, along, folder)
    losses = LossOptions() if options.measure_with else job.losses
    encoder = load_encoder(options.measure_with or job.losses.encoder, precision="float32")
    gauge = Gauge(encoder, losses.content_layers, losses.style_layers)
    results = []
    for event in sweeping.swept(cells, _begun_in, gauge=gauge, again=options.again):
        if progress is not None:
            progress(event)
        if event.result is not None:
            results.append(event.result)
    report.write_report(results, along, job, folder=folder, cell_px=options.cell_px, columns=options.columns)
    return results


def _begun_in(job: Job, picture: Path) -> Begun:
    return begun(job, output=picture)


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


def _text_in(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise StateError(f"{path} cannot be read ({error}); a JSON file with a recipe is needed.") from error


def _remove_sidecar(path: Path) -> None:
    if path.is_file():
        with contextlib.suppress(StateError):  # no recipe: somebody else's file
            recipe.Recipe.from_json(_text_in(path), str(path))
            path.unlink()


def _last(steps: Iterator[Step]) -> Step:
    for step in steps:
        last = step
    return last


def _is_pair(style: Sequence[Any]) -> bool:
    return isinstance(style, tuple) and len(style) == 2 and isinstance(style[1], numbers.Real)


def _weighted(item: Any) -> tuple[PictureLike, float]:
    if isinstance(item, tuple):
        if not _is_pair(item):
            raise OptionError("a style is a picture, or (picture, weight).")
        return item[0], float(item[1])
    return item, 1.0


def _named(picture: PictureLike) -> str:
    return str(picture) if isinstance(picture, str | Path) else "(in memory)"
