"""From options to the weight file of a fast network that teachers have taught."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from impasto.config.distil import DistilOptions
from impasto.config.fast_training import FastFitOptions
from impasto.core.errors import DataError, ImageTooSmall, NotFinite, OptionError
from impasto.encoders import table as encoders
from impasto.encoders.table import Encoder
from impasto.nets.layers import PALETTE
from impasto.stylizers.prepared import PreparedStylizer
from impasto.training import sources
from impasto.training.data import NEVER, Bytes, Place
from impasto.training.distil import Distillation, Teacher, Weights
from impasto.training.distill_batches import DistillBatches
from impasto.training.fit import Progress, averaged
from impasto.training.processes import device_for, is_first
from impasto.training.results import Results, results_in
from impasto.training.run_config import lock_run_config
from impasto.training.students import (
    halved,
    held_apart,
    init_palette,
    numbers_of,
    styles_of,
    timed,
    untrained,
    weights_of,
    write_network,
)
from impasto.training.teacher_cache import TeacherCache
from impasto.weights import readers

MEASURED = 8  # paintings of each teacher that its colours are measured on
COMPARED = 4  # layers whose features are compared (arXiv 1911.06464 takes as many)


class Painters(Protocol):
    """What finds the painter of a style."""

    def __call__(
        self, source: str, *, network: str, style_px: int, strength: float, precision: str, device: torch.device
    ) -> PreparedStylizer:
        """The painter of the style `source`, ready on `device`; `network` paints where that is a picture."""
        ...


@dataclass(frozen=True)
class Prepared:
    """A task with its batches; `lists` is the digest of the contents' names in the order in which they are drawn."""

    task: Distillation
    batches: DistillBatches
    fitting: FastFitOptions
    lists: str

    @property
    def unreadable(self) -> tuple[str, ...]:
        """Which pictures could not be read so far, and why."""
        results = [teacher.results for teacher in self.task.teachers if teacher.results is not None]
        return sum((found.shelf.skipped for found in results), self.batches.contents.skipped)


def train_distil(
    options: DistilOptions,
    fitting: FastFitOptions,
    folder: Path,
    *,
    painters: Painters,
    tell: Callable[[str], object] = lambda line: None,
) -> Iterator[Progress]:
    """Train a network by teachers and write `network.safetensors` with its card into `folder`.

    Stopped and called again with the same folder, it goes on from the last checkpoint, exactly; `StateError` where
    that is of other options, teachers or pictures. `tell` is given lines that a person should read. A content that
    cannot be read is left out, as in `train_learned`. Raises `DataError`, `ImageError`, `OptionError`, `UnknownName`,
    `WeightsError` and its kinds before anything is trained, and `NotFinite`.
    """
    prepared = prepare(options, fitting, painters=painters, tell=tell)
    folder.mkdir(parents=True, exist_ok=True)
    lock_run_config(folder, training_metadata(options, prepared))
    yield from sources.steps(
        prepared.task, prepared.batches, prepared.fitting, folder=folder, unreadable=lambda: prepared.unreadable
    )
    if is_first():
        export(prepared, options, folder=folder)


def prepare(
    options: DistilOptions,
    fitting: FastFitOptions,
    *,
    painters: Painters,
    tell: Callable[[str], object] = lambda line: None,
) -> Prepared:
    """Build the task. What is wrong with the options is said before a content is read."""
    check_objective(options)
    weights = weights_of(options, len(options.teachers), kind="teachers")
    held, seen = held_apart(sources.listed_in("contents", options.contents), options.validation)
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers stay as they were
        encoder = encoders.load_encoder(options.encoder, pooling=options.pooling, precision=fitting.precision)
        layers = _layers(options, encoder)
        teachers = _teachers(options, fitting, seen, painters=painters)
        net = untrained(options, [teacher.name for teacher in teachers], seed=fitting.seed)
    sources.check_size(options.crop_px, encoder, list(layers), stride=net.stride, smallest_px=net.smallest_px)
    for teacher in teachers:
        _check(teacher, options.crop_px, tell=tell, contents=len(seen))
    task = Distillation(
        network=net,
        encoder=encoder,
        teachers=teachers,
        weights=_weights(options),
        layers=layers,
        kept=None if options.cache is None else TeacherCache(options.cache),
        shown=_shown(held, teachers, options) if fitting.sample_every else None,
    )
    batches = _lessons(seen, task, options, fitting, weights=weights)
    _dip(task, batches, options)
    return Prepared(task, batches, timed(options, fitting, len(seen)), sources.digest(seen))


def _lessons(
    contents: Sequence[sources.Named],
    task: Distillation,
    options: DistilOptions,
    fitting: FastFitOptions,
    *,
    weights: tuple[float, ...],
) -> DistillBatches:
    return DistillBatches(
        contents=sources.shelf(contents, short_side_px=options.short_side_px, memory_gb=_share_gb(options)),
        names=tuple(item.name for item in contents),
        teachers=task.teachers,
        weights=weights,
        many=options.many,
        every=options.alternate_every,
        batch_size=fitting.batch_size,
        crop_px=options.crop_px,
        seed=fitting.seed,
        smallest_crop=options.smallest_crop,
        kept=task.kept,
    )


@torch.no_grad()
def _dip(task: Distillation, lessons: DistillBatches, options: DistilOptions) -> None:
    """Give a network that recolours the colours in which its teachers paint; styles it began with keep theirs."""
    net = task.network
    if not net.recolours or (options.start_from is not None and net.styles == 1):
        return
    before, colours = net.get_buffer(PALETTE).clone(), []
    for teacher in task.teachers:
        alone = dataclasses.replace(lessons, teachers=(teacher,), weights=(1.0,), kept=None, batch_size=MEASURED)
        batch = alone(NEVER)
        taught = dataclasses.replace(task, teachers=(teacher,), kept=None)
        paintings = taught.painted(batch, range(MEASURED), [0] * MEASURED, place=torch.device("cpu"))
        colours.append(torch.cat(list(torch.split(paintings, 1)), dim=3))  # side by side, as one picture
    init_palette(net, colours, lessons.weights)
    if options.start_from is not None:
        begun = styles_of(readers.load_weights(options.start_from))
        known = [index for index, teacher in enumerate(task.teachers) if teacher.name in begun]
        net.get_buffer(PALETTE)[known] = before[known]


def check_objective(options: DistilOptions) -> None:
    """Raise `OptionError` where nothing is to be learned."""
    if not options.teachers:
        raise OptionError("--teachers is missing: name a trained style, a picture, or a folder of results; repeat it.")
    if not (options.pixel_weight or options.feature_weight):
        raise OptionError("the weights of pixels and features are both 0. Give one that is above 0.")


def _layers(options: DistilOptions, encoder: Encoder) -> dict[str, float]:
    """Layers whose features are compared, with their weights; the encoder's own without an option."""
    if not options.feature_weight:
        return {}
    return sources.evenly("feature-layers", options.feature_layers or encoder.defaults.style[:COMPARED])


def _weights(options: DistilOptions) -> Weights:
    return Weights(
        pixels=options.pixel_weight,
        features=options.feature_weight,
        smoothness=options.smoothness_weight,
        noise=options.noise_weight,
    )


def _share_gb(options: DistilOptions) -> float:
    """Memory for the contents, and for the results of each folder of them."""
    return options.memory_gb / (1 + sum(source.is_dir() for source in options.teachers))


def _teachers(
    options: DistilOptions, fitting: FastFitOptions, contents: Sequence[sources.Named], *, painters: Painters
) -> tuple[Teacher, ...]:
    """The teachers in the order of the options. Raises `OptionError` where two have one name."""
    found = []
    for source in options.teachers:
        if source.is_dir():
            size, share = options.short_side_px, _share_gb(options)
            results = results_in(source, contents, short_side_px=size, memory_gb=share)
            found.append(Teacher(name=source.resolve().name, results=results))
            continue
        painter = painters(
            str(source),
            network=options.network,
            style_px=options.style_px,
            strength=options.teacher_strength,
            precision=fitting.precision,
            device=device_for(fitting.device),
        )
        found.append(Teacher(name=painter.name, painter=painter))
    names = [teacher.name for teacher in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise OptionError(f"two teachers are named {', '.join(twice)}. Give each file or folder a name of its own.")
    return tuple(found)


def _check(teacher: Teacher, crop_px: int, *, tell: Callable[[str], object], contents: int) -> None:
    """Let the teacher paint once, and raise where it cannot; `tell` how many results there are where some lack."""
    if teacher.results is not None and len(teacher.results) < contents:
        tell(f"{teacher.name} has results of {len(teacher.results)} of {contents} contents; it does not teach others")
    if teacher.painter is None:
        return
    noise = torch.rand(1, 3, crop_px, crop_px, generator=torch.Generator().manual_seed(0))
    try:
        painting = teacher.painter(noise)
    except ImageTooSmall as error:
        reason = str(error).partition(". ")[0]
        raise OptionError(
            f"--crop-px is {crop_px}, too small for the teacher {teacher.name} ({reason}). Use a larger --crop-px."
        ) from error
    if not bool(torch.isfinite(painting).all()):
        raise NotFinite(f"the teacher {teacher.name} paints NaN or infinite values. Leave it out, or train it again.")


def _shown(held: Sequence[sources.Named], teachers: Sequence[Teacher], options: DistilOptions) -> tuple[Tensor, Tensor]:
    """Contents as squares with the teachers' paintings of them, for samples; white where a result lacks."""
    shelf = sources.shelf(held, short_side_px=options.short_side_px, memory_gb=1)
    pictures = [(index, picture) for index in range(len(held)) if (picture := shelf.at(index)) is not None]
    if not pictures:
        raise DataError(f"none of the {len(held)} pictures for samples can be read; the first: {shelf.skipped[0]}")
    contents = torch.cat([Place.middle(picture).of(picture, options.crop_px) for _, picture in pictures])
    columns = []
    for teacher, source in zip(teachers, options.teachers, strict=True):
        if teacher.painter is not None:
            columns.append(teacher.painter(contents))
        else:
            columns.append(_squares(_results(source, held, options), pictures, options.crop_px))
    return contents, torch.stack(columns, 1)


def _results(folder: Path, contents: Sequence[sources.Named], options: DistilOptions) -> Results | None:
    try:
        return results_in(folder, contents, short_side_px=options.short_side_px, memory_gb=1)
    except DataError:  # none of these few has one
        return None


def _squares(results: Results | None, pictures: Sequence[tuple[int, Bytes]], side_px: int) -> Tensor:
    rows = []
    for index, picture in pictures:
        found = None if results is None else results.of(index, picture)
        white = torch.ones(1, 3, side_px, side_px)
        rows.append(white if found is None else Place.middle(picture).of(found, side_px))
    return torch.cat(rows)


def export(prepared: Prepared, options: DistilOptions, *, folder: Path) -> Path:
    """Write the averaged weights in half precision, with their card."""
    return write_network(
        halved(averaged(folder / "checkpoint.pt")),
        folder,
        options=options,
        numbers=numbers_of(options) | {"styles": prepared.task.network.styles},
        styles=[{"name": teacher.name} for teacher in prepared.task.teachers],
        command="impasto train distil",
        training=training_metadata(options, prepared) | {"fit": prepared.fitting.to_dict()},
    )


def training_metadata(options: DistilOptions, prepared: Prepared) -> dict[str, Any]:
    """What a card says of the training: options without folders, which mean nothing elsewhere, counts and digests."""
    teachers, encoder = prepared.task.teachers, prepared.task.encoder
    named = options.to_dict() | {
        "contents": [Path(source).resolve().name for source in options.contents],
        "teachers": [teacher.name for teacher in teachers],
        "validation": options.validation and options.validation.name,
        "encoder": encoder.name,
        "network": Path(options.network).name,
        "start_from": options.start_from and Path(options.start_from).name,
        "cache": prepared.batches.kept is not None,
    }
    named.pop("memory_gb")
    pictures = {"contents": len(prepared.batches.names), "names_sha256": prepared.lists}
    return {
        "options": named,
        "pictures": pictures,
        "taught_by": [_teaching(teacher) for teacher in teachers],
        "encoder_sha256": encoder.sha256,
    }


def _teaching(teacher: Teacher) -> dict[str, Any]:
    if teacher.painter is not None:
        return {"name": teacher.name, "sha256": teacher.painter.sha256}
    assert teacher.results is not None
    return {"name": teacher.name, "results": len(teacher.results)}
