"""What users of the package import: `import impasto; impasto.stylize("photo.jpg", "painting.jpg").save("out.png")`."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from impasto.analysis import axes
from impasto.analysis import reconstruct as rebuilding
from impasto.analysis.runs import RunEvent, run_all
from impasto.analysis.sheet import style_sheet, style_table
from impasto.analysis.sweep import PaintRun, SweepPainter, paint_runs
from impasto.analysis.sweep_metrics import SweepMetrics
from impasto.analysis.sweep_report import write_sweep_report
from impasto.config.analysis import EncoderViewOptions, RebuildOptions, RebuildTarget, SweepOptions
from impasto.config.arbitrary import ArbitraryOptions
from impasto.config.fast import FastOptions
from impasto.config.job import Job, LookOptions, PaintOptions, StyleSource
from impasto.config.optimise import LossOptions, OptimiseOptions
from impasto.config.pictures import ColourOptions, OutputOptions, SizeOptions
from impasto.core.errors import ImpastoError, OptionError
from impasto.encoders.table import Encoder, Progress, load_encoder
from impasto.image.files import Picture, read
from impasto.image.pixels import over_white
from impasto.image.resize import resized
from impasto.image.samples import sample
from impasto.methods.one_pass import load_trained
from impasto.methods.table import METHODS
from impasto.nets.fast import FastNetwork, load_fast_network
from impasto.nets.table import Network, load_network
from impasto.session.evaluated import evaluate
from impasto.session.image_like import PictureLike, picture_from
from impasto.session.inputs import output_size, style_pixels
from impasto.session.job_cache import JobCache
from impasto.session.opened import Session, open_session, paused_path, redo
from impasto.session.painting import Painting, check_sidecar, has_recipe, recipe_of, sidecar_path
from impasto.session.plan import Plan, plan_job
from impasto.session.request import job_from, mix_sources, with_given
from impasto.session.texture import texture_plan
from impasto.styles.catalogue import StyleCatalogue
from impasto.styles.code_file import check_code_path, save_code
from impasto.styles.resolved import TrainedStyle
from impasto.stylizers.arbitrary import Arbitrary
from impasto.stylizers.fast import Fast
from impasto.stylizers.optimised import Optimised
from impasto.stylizers.protocol import Mix, Step, Style, Stylizer
from impasto.weights.card import Card

__all__ = [
    "Arbitrary",
    "ArbitraryOptions",
    "Card",
    "ColourOptions",
    "Encoder",
    "Fast",
    "FastNetwork",
    "FastOptions",
    "ImpastoError",
    "Job",
    "JobCache",
    "LookOptions",
    "LossOptions",
    "Mix",
    "Network",
    "OptimiseOptions",
    "Optimised",
    "OutputOptions",
    "PaintOptions",
    "Painting",
    "Plan",
    "Session",
    "SizeOptions",
    "Step",
    "Style",
    "StyleCatalogue",
    "StyleSource",
    "Stylizer",
    "check_sidecar",
    "evaluate",
    "has_recipe",
    "load_encoder",
    "load_fast_network",
    "load_network",
    "open_session",
    "paused_path",
    "plan_job",
    "read",
    "recipe_of",
    "reconstruct",
    "redo",
    "save_style",
    "sheet_of_styles",
    "sidecar_path",
    "stylize",
    "sweep",
    "texture_plan",
]


_WEIGHTS = JobCache(content=False)
"""The weights of the last call of `stylize`; they are read again where their file changes."""


def stylize(
    content: PictureLike,
    style: PictureLike | Sequence[PictureLike | tuple[PictureLike, float]],
    *,
    method: str | None = None,
    strength: float | None = None,
    size: int | SizeOptions | None = None,
    style_scale: float | Sequence[float] = 1.0,
    mask: str | Path | Sequence[str | Path] = (),
    preset: str | None = None,
    seed: int | None = None,
    device: str | None = None,
    progress: Callable[[Step], None] | None = None,
    paint: PaintOptions | None = None,
    colour: ColourOptions | None = None,
    arbitrary: ArbitraryOptions | None = None,
    fast: FastOptions | None = None,
    losses: LossOptions | None = None,
    optimise: OptimiseOptions | None = None,
) -> Painting:
    """Repaint `content` in the style of `style`.

    Pictures are paths, Pillow pictures (taken as they are, without turning by EXIF or conversion by profile),
    `(h, w)`, `(h, w, 3)` or `(h, w, 4)` arrays of uint8, uint16 or floats, or `(3, h, w)` or `(1, 3, h, w)` tensors;
    floats are in `[0, 1]`. `style` may be a list, also of `(picture, weight)`; a text may be the path of a style that
    `save_style` wrote, or of a trained style, or the name of one: "wave", or "NETWORK#wave". `style_scale` and `mask`
    (grey pictures, by path) are one for all styles or one each.

    `size` is the long side in pixels, 512 by default, 0 for the content's own. `strength` 0 returns the content.
    `method` is "arbitrary", one pass of a network for any picture (Huang & Belongie 2017, "Arbitrary style transfer in
    real-time with adaptive instance normalization"), "fast" for trained styles (Johnson, Alahi & Fei-Fei 2016,
    "Perceptual losses for real-time style transfer and super-resolution"), or "optimise" (Gatys, Ecker & Bethge 2016,
    "Image style transfer using convolutional neural networks"); by default it follows from the style. `preset` is a
    name in `impasto.config.presets.PRESETS`; every other argument overrides it. `seed` is that of the first canvas, or
    of the noise in one pass. `device` is "auto", "cpu", "cuda" or "mps". `progress` is called with each step.
    `arbitrary` and `fast` are the options of one pass, `losses` and `optimise` those of optimisation. Weights stay in
    memory for the next call. Raises `ImageError`, `OptionError`, `WeightsError`, `NotFinite`.
    """
    mix = [_weighted(item) for item in (style if isinstance(style, list | tuple) and not _is_pair(style) else [style])]
    job = job_from(
        _named(content),
        mix_sources([(_named(picture), weight) for picture, weight in mix], scales=style_scale, masks=mask),
        preset=preset,
        groups={
            "paint": with_given(paint or PaintOptions(), method=method, strength=strength, device=device),
            "size": size if isinstance(size, SizeOptions | None) else SizeOptions(size=size),
            "colour": colour,
            "arbitrary": arbitrary,
            "fast": fast,
            "losses": losses,
            "optimise": optimise,
        },
    )
    plan = plan_job(job, content=_in_memory(content), pictures=[_in_memory(picture) for picture, _ in mix])
    session = open_session(plan if seed is None else plan.seeded(seed), cache=_WEIGHTS)
    return session.painting(_last(session.steps(), progress))


def save_style(
    picture: PictureLike,
    path: str | Path,
    *,
    scale: float = 1.0,
    size: int = 512,
    network: str = ArbitraryOptions().network,
    progress: Progress | None = None,
) -> Card:
    """Keep what the one-pass network knows of a style picture in a file of some kilobytes, and give back its card.

    The file is a style for `stylize` with this network, or another one of the same encoder and layers. The code is
    that of outputs of `size` px with strokes of `scale`, in float32 on any machine. Raises `ImageError`,
    `OptionError`, `WeightsError`.
    """
    check_code_path(Path(path))
    source = StyleSource(source=_named(picture), scale=scale)
    pixels = style_pixels(
        picture_from(picture),
        source,
        output_hw=(size, size),
        short_side_px=METHODS["arbitrary"].style_short_side_px,
        enlarge=True,
    )
    made_from = {"picture": Path(source.source).name, "scale": scale, "size_px": size}
    loaded = load_network(network, precision="float32", progress=progress)
    return save_code(Path(path), pixels, network=loaded, made_from=made_from)


def sheet_of_styles(
    styles: Sequence[str] = (),
    *,
    content: PictureLike | list[PictureLike] | None = None,
    size: int = 320,
    precision: str = "auto",
    progress: Callable[[int, int, str], None] | None = None,
) -> Painting:
    """One picture of what trained styles make of `content`, with the names that `stylize` takes.

    Names are below the paintings; of several contents, a list, there is a row each, and the names are above.

    `styles` are names or files of networks, of which all styles are shown, or of single ones; without, all on this
    machine. Without `content` it is a photograph that scikit-image brings. `size` is its long side in pixels, in which
    it is painted and shown. `progress` is given the number of finished paintings, that of all, and the next one's name.
    Raises as `stylize` does, and `OptionError` where there is no style.
    """
    catalogue = StyleCatalogue()
    chosen = catalogue.sources(styles)
    if not chosen:
        raise OptionError("there is no trained style on this machine. Import a network: impasto models import FILE")
    contents: list[PictureLike | None] = [*content] if isinstance(content, list) else [content]
    trained = [TrainedStyle(source=StyleSource(source=text), at=catalogue.named(text)) for text in chosen]
    networks = load_trained(trained, precision=precision)
    rows = list[tuple[Tensor, dict[str, Tensor]]]()
    for source in contents:
        picture = sample("chelsea") if source is None else picture_from(source)
        shown = over_white(picture.pixels, picture.alpha)
        shown = resized(shown, output_size(picture.size_hw, SizeOptions(size=size)))
        paintings = dict[str, Tensor]()
        for name, network in networks.items():
            if progress is not None:
                progress(len(rows) * len(chosen) + len(paintings), len(chosen) * len(contents), name)
            paintings[name] = network.painter.painted(shown)
        rows.append((shown, paintings))
    if len(rows) == 1:
        return Painting(style_sheet(*rows[0], cell_px=max(rows[0][0].shape[-2:])))
    return Painting(style_table(rows, cell_px=size))


def reconstruct(
    picture: PictureLike,
    *,
    content_layer: str | None = None,
    style_layers: Sequence[str] = (),
    through: EncoderViewOptions | None = None,
    options: RebuildOptions | None = None,
) -> Painting:
    """Rebuild `picture` from noise by the features of one layer, or by the style of one or several.

    Mahendran & Vedaldi 2015; Gatys, Ecker & Bethge 2015, figure 1. Raises as `stylize` does.
    """
    through, options = through or EncoderViewOptions(), options or RebuildOptions()
    target = RebuildTarget(content_layer=content_layer, style_layer=tuple(style_layers))
    encoder = rebuilding.encoder_of(through, precision=options.precision)
    steps = rebuilding.rebuilt(
        rebuilding.view_pixels(picture_from(picture), through), target, encoder=encoder, options=options
    )
    return Painting(_last(steps).picture())


def sweep(
    job: Job,
    vary: Sequence[str],
    *,
    folder: str | Path,
    options: SweepOptions | None = None,
    progress: Callable[[RunEvent[Step]], None] | None = None,
) -> list[PaintRun]:
    """Paint `job` with every combination of the values in `vary` (`["strength=0.5,1", "optimise.steps=60+40,100"]`).

    Writes pictures, a contact sheet, an HTML report and results.json into `folder`. Finished pictures in it are kept; a
    run that fails has its error in its record, and the others go on. Raises `OptionError` for a wrong axis or value.
    """
    options, folder = options or SweepOptions(), Path(folder)
    if folder.exists() and not folder.is_dir():
        raise OptionError(f"{folder} is not a folder; a sweep writes many files. Name a folder.")
    varied = [axes.axis_from(text, job) for text in vary]
    catalogue, cache = StyleCatalogue(), JobCache()
    for point in axes.points(job, varied):
        plan_job(point.job, catalogue=catalogue)
    metrics = _sweep_metrics(job, options)

    def opened(painted: Job, output: Path) -> Session:
        return open_session(painted, output=output, cache=cache)

    painter = SweepPainter(open_session=opened, metrics=metrics, again=options.again)
    runs = paint_runs(job, varied, folder=folder, painter=painter)
    try:
        for event in run_all(runs):
            if progress is not None:
                progress(event)
    finally:
        write_sweep_report(runs, varied, job=job, folder=folder, options=options)
    return runs


def _sweep_metrics(job: Job, options: SweepOptions) -> SweepMetrics:
    """The measures of the pictures of a sweep. Raises `OptionError` for another number of style pictures."""
    losses = LossOptions() if options.measure_with else job.losses
    encoder = load_encoder(options.measure_with or job.losses.encoder, precision="float32")
    if options.style_picture and len(options.style_picture) != len(job.styles):
        raise OptionError(
            f"{len(options.style_picture)} `style_picture` for {len(job.styles)} styles; one for each style is needed."
        )
    return SweepMetrics(encoder, losses.content_layers, losses.style_layers, options.style_picture)


def _last(steps: Iterator[Step], progress: Callable[[Step], None] | None = None) -> Step:
    for step in steps:
        if progress is not None:
            progress(step)
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


def _in_memory(picture: PictureLike) -> Picture | None:
    return None if isinstance(picture, str | Path) else picture_from(picture)


def _named(picture: PictureLike) -> str:
    return str(picture) if isinstance(picture, str | Path) else "(in memory)"
