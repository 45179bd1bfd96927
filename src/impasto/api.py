"""What users of the package import: `import impasto; impasto.stylize("photo.jpg", "painting.jpg").save("out.png")`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
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
from impasto.core.errors import ImageError, ImpastoError, OptionError, StateError
from impasto.encoders.table import Encoder, Progress
from impasto.encoders.table import loaded as load_encoder
from impasto.image import files
from impasto.image.files import Picture, read
from impasto.image.pixels import from_bytes, to_bytes
from impasto.image.resize import SizeHW, resized
from impasto.metrics import table as metrics
from impasto.rendering import inputs, painting, pause, recipe
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

PictureLike = str | Path | Image.Image | np.ndarray[Any, Any] | Tensor


@dataclass(frozen=True, eq=False)
class Painting:
    """A finished picture.

    `pixels` `(1, 3, h, w)` in `[0, 1]`; `alpha` `(1, 1, h, w)` or None; `recipe` is None for pictures that came from
    memory, since what is not a file cannot be found again.
    """

    pixels: Tensor
    alpha: Tensor | None = None
    recipe: recipe.Recipe | None = None

    def save(self, path: str | Path, options: OutputOptions | None = None) -> None:
        """Write a picture file; its metadata says how it was made, or a sidecar where it cannot or options ask."""
        options, path = options or OutputOptions(), Path(path)
        notes = {recipe.KEY: self.recipe.to_json()} if self.recipe else {}
        files.write(path, self.pixels, alpha=self.alpha, bits=options.bits, quality=options.quality, notes=notes)
        if self.recipe and (options.sidecar or not files.carries_notes(path)):
            sidecar_path(path).write_text(self.recipe.to_json() + "\n", encoding="utf-8")

    def to_pil(self) -> Image.Image:
        """As a Pillow picture, 8 bits."""
        channels = [self.pixels] if self.alpha is None else [self.pixels, self.alpha]
        return Image.fromarray(to_bytes(torch.cat(channels, dim=1))[0])


@dataclass(frozen=True, eq=False)
class Begun:
    """A job whose inputs are read and whose encoder is loaded; `steps()` paints it."""

    job: Job
    inputs: inputs.Inputs
    encoder: Encoder
    recipe: recipe.Recipe | None
    resume: Paused | None = None

    def steps(self) -> Iterator[Step]:
        """Every step of painting; the last one's `picture()` is the result."""
        return painting.painted(self.job, self.inputs, self.encoder, resume=self.resume)

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
        return Painting(resized(pixels, size), self.inputs.alpha, self.recipe)

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
    return Begun(job, pictures, encoder, made, state)


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

    Pictures are paths, Pillow pictures, `(h, w)`, `(h, w, 3)` or `(h, w, 4)` arrays of uint8 or uint16, or tensors
    `(1, 3, h, w)` in `[0, 1]`. `style` may be a list, also of `(picture, weight)`. `size` is the long side in pixels,
    0 for the content's own. `strength` 0 gives the content back.
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
        read = inputs.gathered(job, content=_picture(content), styles=[_picture(p) for p, _ in mix])
        work = Begun(job, read, painting.encoder_of(job), None)
    return work.painting(_last(work.steps()))


def redo(path: str | Path, *, output: str | Path | None = None, threads: int | None = None) -> Begun:
    """The job that made a picture file, ready to be painted again; `output` is where it will lie, as for `begun`.

    The picture is the same bit for bit on the same machine with the same versions: the number of threads is set to
    what it was (`threads` overrides). Raises `StateError` where the file has no recipe or an input has changed.
    """
    path = Path(path)
    found = recipe_of(path)
    job = recipe.job_again(found, folder=path.parent)
    torch.set_num_threads(threads or int(found.made_with["threads"]))
    work = begun(job, output=path if output is None else output)
    for name, digest in found.weights.items():
        if work.encoder.sha256 != digest:
            raise StateError(f"the weights of {name} are not those that made {path}: they have changed since.")
    return work


def recipe_of(path: str | Path) -> recipe.Recipe:
    """The recipe in a picture's metadata or sidecar, or in a JSON file. `StateError` where there is none."""
    path = Path(path)
    if path.suffix == ".json":
        return recipe.Recipe.from_json(path.read_text(encoding="utf-8"), str(path))
    text = files.read_notes(path).get(recipe.KEY)
    if text is None and sidecar_path(path).is_file():
        text = sidecar_path(path).read_text(encoding="utf-8")
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

    The copies are what the numbers are to be read against. Their names, units and directions stand in
    `impasto.metrics.table.METRICS`. Raises as `stylize` does.
    """
    eye = load_encoder(encoder, precision="float32") if isinstance(encoder, str) else encoder
    out, kept, taken = (_picture(picture).pixels for picture in (output, content, style))
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
    steps = rebuilding.rebuilt(seen(_picture(picture), through), target, encoder=encoder, options=options)
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


def _last(steps: Iterator[Step]) -> Step:
    for step in steps:
        last = step
    return last


def _is_pair(style: Sequence[Any]) -> bool:
    return isinstance(style, tuple) and len(style) == 2 and isinstance(style[1], int | float)


def _weighted(item: Any) -> tuple[PictureLike, float]:
    if isinstance(item, tuple):
        if not _is_pair(item):
            raise OptionError("a style is a picture, or (picture, weight).")
        return item[0], float(item[1])
    return item, 1.0


def _named(picture: PictureLike) -> str:
    return str(picture) if isinstance(picture, str | Path) else "(in memory)"


def _picture(given: PictureLike) -> Picture:
    if isinstance(given, str | Path):
        return files.read(given)
    if isinstance(given, Tensor):
        if given.ndim != 4 or given.shape[:2] != (1, 3):
            raise ImageError(f"the picture has shape {tuple(given.shape)}; (1, 3, h, w) in [0, 1] is needed.")
        return Picture(given.detach().float().cpu())
    if isinstance(given, Image.Image):
        given = np.asarray(given.convert("RGBA" if given.has_transparency_data else "RGB"))
    return _from_array(given)


def _from_array(array: np.ndarray[Any, Any]) -> Picture:
    if array.ndim == 2:
        array = np.repeat(array[..., None], 3, axis=2)
    if array.ndim != 3 or array.shape[2] not in (3, 4) or array.dtype not in (np.uint8, np.uint16):
        raise ImageError(
            f"the array has shape {array.shape} and type {array.dtype}; (h, w), (h, w, 3) or (h, w, 4) of uint8 or "
            "uint16 is needed."
        )
    samples = from_bytes(np.ascontiguousarray(array))
    return Picture(samples[:, :3], samples[:, 3:] if array.shape[2] == 4 else None, 8 * array.itemsize)
