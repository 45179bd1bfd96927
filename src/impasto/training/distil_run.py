"""Distillation of fast networks, from options to a weight file."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from impasto.config.distil import DistilOptions
from impasto.config.fast_training import FastFitOptions
from impasto.core.errors import DataError, ImageTooSmall, NotFinite, OptionError
from impasto.encoders import table as encoders
from impasto.encoders.table import Encoder
from impasto.nets.layers import PALETTE
from impasto.nets.residual import Residual
from impasto.session.prepared import prepare_style
from impasto.training import sources
from impasto.training.data import NEVER, Bytes, CropPlace
from impasto.training.distil import Distillation, Teacher
from impasto.training.distill_batches import DistillBatches
from impasto.training.fast_networks import init_palette, network_run, style_weights, styles_of, untrained_residual
from impasto.training.fit import resolved
from impasto.training.pictures import Listed
from impasto.training.processes import device_for
from impasto.training.results import Results, results_in
from impasto.training.run import Run, training_metadata, with_epochs
from impasto.training.teacher_cache import TeacherCache
from impasto.weights import readers

PALETTE_SAMPLES = 8  # paintings of each teacher that its colours are measured on
COMPARED = 4  # layers whose features are compared, as many as in arXiv 1911.06464
NOT_STATED = "not stated"


def prepare_distil(
    options: DistilOptions, fitting: FastFitOptions, *, tell: Callable[[str], object] = lambda line: None
) -> Run[Distillation]:
    """The training of a network by teachers. `tell` receives remarks for the user.

    Raises `DataError`, `ImageError`, `NotFinite` (of a teacher), `OptionError`, `UnknownName`, `WeightsError`.
    """
    fitting = resolved(fitting)
    check_distillation(options)
    weights = style_weights(options, len(options.teachers), kind="teachers")
    shown, used = sources.held_out(sources.listed_in("contents", options.contents), options.validation)
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers are not affected
        encoder = encoders.load_encoder(options.encoder, pooling=options.pooling, precision=fitting.precision)
        layers = _layers(options, encoder)
        teachers = _teachers(options, fitting, contents=used)
        net = untrained_residual(options, [teacher.name for teacher in teachers], seed=fitting.seed)
    sources.check_size(options.crop_px, encoder, layers=list(layers), stride=net.stride, smallest_px=net.smallest_px)
    for teacher in teachers:
        _check(teacher, options.crop_px, tell=tell, contents=len(used))
    paintings = _shown(shown, teachers, options=options) if fitting.sample_every else None
    task = _task(options, net, encoder=encoder, teachers=teachers, shown=paintings)
    batches = _batches(used, task, options=options, fitting=fitting, weights=weights)
    _init_palette(task, batches, options=options)
    fitting = with_epochs(fitting, options.epochs, pictures=len(used))
    return network_run(
        task,
        batches,
        options=options,
        fitting=fitting,
        metadata=_metadata(options, task, contents=used),
        styles=[{"name": teacher.name} for teacher in teachers],
        command="impasto train distil",
        datasets=(batches.contents, *(teacher.results.dataset for teacher in teachers if teacher.results is not None)),
        notes=_licences(teachers),
    )


def _licences(teachers: Sequence[Teacher]) -> str:
    """The licences of the teachers, for the card of their student."""
    painters = [it.painter for it in teachers if it.painter is not None and it.painter.licence != NOT_STATED]
    licences = ", ".join(f"{painter.name} ({painter.licence})" for painter in painters)
    return f"Distilled from {licences}, whose licences apply." if licences else ""


def _task(
    options: DistilOptions,
    net: Residual,
    *,
    encoder: Encoder,
    teachers: tuple[Teacher, ...],
    shown: tuple[Tensor, Tensor] | None,
) -> Distillation:
    return Distillation(
        network=net,
        encoder=encoder,
        teachers=teachers,
        weights=sources.loss_weights(options, pixels=options.pixel_weight, features=options.feature_weight),
        layers=_layers(options, encoder),
        cache=None if options.cache is None else TeacherCache(options.cache),
        shown=shown,
    )


def _metadata(options: DistilOptions, task: Distillation, *, contents: Sequence[Listed]) -> dict[str, Any]:
    return training_metadata(
        options,
        counts={
            "pictures": {"contents": len(contents), "names_sha256": sources.digest(contents)},
            "taught_by": [_described(teacher) for teacher in task.teachers],
            "encoder_sha256": task.encoder.sha256,
        },
        teachers=[teacher.name for teacher in task.teachers],
        encoder=task.encoder.name,
        cache=task.cache is not None,
    )


def _described(teacher: Teacher) -> dict[str, Any]:
    if teacher.results is not None:
        return {"name": teacher.name, "results": len(teacher.results)}
    assert teacher.painter is not None
    return {"name": teacher.name, "sha256": teacher.painter.sha256, "licence": teacher.painter.licence}


def _batches(
    contents: Sequence[Listed],
    task: Distillation,
    *,
    options: DistilOptions,
    fitting: FastFitOptions,
    weights: tuple[float, ...],
) -> DistillBatches:
    return DistillBatches(
        contents=sources.dataset(contents, short_side_px=options.short_side_px, memory_gb=_share_gb(options)),
        names=tuple(item.name for item in contents),
        teachers=task.teachers,
        weights=weights,
        multi_style=options.multi_style,
        every=options.alternate_every,
        batch_size=fitting.batch_size,
        crop_px=options.crop_px,
        seed=fitting.seed,
        smallest_crop=options.smallest_crop,
        cache=task.cache,
    )


@torch.no_grad()
def _init_palette(task: Distillation, batches: DistillBatches, *, options: DistilOptions) -> None:
    """Set the palette of a network that recolours to its teachers' colours; styles it started with keep theirs."""
    net = task.network
    if not net.recolours or (options.start_from is not None and net.styles == 1):
        return
    before, colours = net.get_buffer(PALETTE).clone(), []
    for teacher in task.teachers:
        alone = dataclasses.replace(
            batches, teachers=(teacher,), weights=(1.0,), cache=None, batch_size=PALETTE_SAMPLES
        )
        batch = alone(NEVER)
        taught = dataclasses.replace(task, teachers=(teacher,), cache=None)
        paintings = taught.painted(
            batch, range(PALETTE_SAMPLES), teachers=[0] * PALETTE_SAMPLES, place=torch.device("cpu")
        )
        colours.append(torch.cat(list(torch.split(paintings, 1)), dim=3))  # side by side, as one picture
    init_palette(net, colours, weights=batches.weights)
    if options.start_from is not None:
        started = styles_of(readers.load_weights(options.start_from))
        known = [index for index, teacher in enumerate(task.teachers) if teacher.name in started]
        net.get_buffer(PALETTE)[known] = before[known]


def check_distillation(options: DistilOptions) -> None:
    """Raise `OptionError` without teachers or losses."""
    if not options.teachers:
        raise OptionError("`teachers` is missing: name a trained style, a picture, or a folder of results; repeat it.")
    if not (options.pixel_weight or options.feature_weight):
        raise OptionError("the weights of pixels and features are both 0. Give one that is above 0.")


def _layers(options: DistilOptions, encoder: Encoder) -> dict[str, float]:
    """Layers whose features are compared, with their weights; the encoder's own without an option."""
    if not options.feature_weight:
        return {}
    return sources.evenly("feature_layers", options.feature_layers or encoder.defaults.style[:COMPARED])


def _share_gb(options: DistilOptions) -> float:
    """Memory for the contents, and for each folder of results."""
    return options.memory_gb / (1 + sum(source.is_dir() for source in options.teachers))


def _teachers(options: DistilOptions, fitting: FastFitOptions, *, contents: Sequence[Listed]) -> tuple[Teacher, ...]:
    """The teachers in the order of the options. Raises `OptionError` if two have the same name."""
    teachers = []
    for source in options.teachers:
        if source.is_dir():
            size, share = options.short_side_px, _share_gb(options)
            results = results_in(source, contents, short_side_px=size, memory_gb=share)
            teachers.append(Teacher(name=source.resolve().name, results=results))
            continue
        painter = prepare_style(
            str(source),
            network=options.network,
            style_px=options.style_px,
            strength=options.teacher_strength,
            precision=fitting.precision,
            device=device_for(fitting.device),
        )
        teachers.append(Teacher(name=painter.name, painter=painter))
    names = [teacher.name for teacher in teachers]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise OptionError(f"two teachers are named {', '.join(twice)}. Give each file or folder a name of its own.")
    return tuple(teachers)


def _check(teacher: Teacher, crop_px: int, *, tell: Callable[[str], object], contents: int) -> None:
    """Let the teacher paint once, and raise if it cannot; `tell` how many results there are if some are missing."""
    if teacher.results is not None and len(teacher.results) < contents:
        tell(f"{teacher.name} has results for {len(teacher.results)} of {contents} contents; it teaches those only")
    if teacher.painter is None:
        return
    noise = torch.rand(1, 3, crop_px, crop_px, generator=torch.Generator().manual_seed(0))
    try:
        painting = teacher.painter(noise)
    except ImageTooSmall as error:
        reason = str(error).partition(". ")[0]
        raise OptionError(
            f"`crop_px` is {crop_px}, too small for the teacher {teacher.name} ({reason}). Use a larger `crop_px`."
        ) from error
    if not bool(torch.isfinite(painting).all()):
        raise NotFinite(f"the teacher {teacher.name} paints NaN or infinite values. Leave it out, or train it again.")


def _shown(held: Sequence[Listed], teachers: Sequence[Teacher], *, options: DistilOptions) -> tuple[Tensor, Tensor]:
    """Contents as squares with the teachers' paintings of them, for samples; white for missing results."""
    dataset = sources.dataset(held, short_side_px=options.short_side_px, memory_gb=1)
    pictures = [(index, picture) for index in range(len(held)) if (picture := dataset.at(index)) is not None]
    if not pictures:
        raise DataError(f"none of the {len(held)} pictures for samples can be read; the first: {dataset.skipped[0]}")
    contents = torch.cat([CropPlace.middle(picture).of(picture, options.crop_px) for _, picture in pictures])
    columns = []
    for teacher, source in zip(teachers, options.teachers, strict=True):
        if teacher.painter is not None:
            columns.append(teacher.painter(contents))
        else:
            columns.append(_squares(_results(source, held, options=options), pictures, side_px=options.crop_px))
    return contents, torch.stack(columns, 1)


def _results(folder: Path, contents: Sequence[Listed], *, options: DistilOptions) -> Results | None:
    try:
        return results_in(folder, contents, short_side_px=options.short_side_px, memory_gb=1)
    except DataError:  # none of these few contents has a result
        return None


def _squares(results: Results | None, pictures: Sequence[tuple[int, Bytes]], *, side_px: int) -> Tensor:
    rows = []
    for index, picture in pictures:
        result = None if results is None else results.of(index, picture)
        white = torch.ones(1, 3, side_px, side_px)
        rows.append(white if result is None else CropPlace.middle(picture).of(result, side_px))
    return torch.cat(rows)
