"""Training runs from options to a weight file."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from impasto.config.training import BackboneOptions, FitOptions
from impasto.core.errors import DataError, OptionError
from impasto.encoders import table
from impasto.encoders.scaling import layer_means, unit_mean
from impasto.encoders.vgg import STAGES, Vgg, give_batch_norm
from impasto.image.pixels import PREPROCESS
from impasto.training import backbone, measures
from impasto.training.data import NEVER, Ahead, Crops
from impasto.training.fit import Progress, averaged, fit
from impasto.training.pictures import Listed, PictureSet, decoded, listed
from impasto.training.processes import device_for, is_first
from impasto.training.run_config import lock_run_config
from impasto.weights.card import Card, save

SAMPLE = 64  # pictures that channel statistics are taken on
PREPROCESSED = "imagenet-rgb"


@dataclass(frozen=True)
class Prepared:
    """A task with its pictures."""

    task: backbone.Distillation | backbone.Classification
    encoder: Vgg
    crops: Crops
    train: PictureSet
    held_out: PictureSet | None


def train_backbone(options: BackboneOptions, fitting: FitOptions, folder: Path) -> Iterator[Progress]:
    """Train the compact VGG and write `encoder.safetensors` with its card into `folder`.

    By distillation with `options.teacher`, by classification without. Stopped and called again with the same folder,
    it goes on from the last checkpoint, exactly; `StateError` where that is of other options or another number of
    pictures. Raises `DataError`, `OptionError`, `NotFinite`, too.
    """
    prepared = prepare(options, fitting)
    folder.mkdir(parents=True, exist_ok=True)
    lock_run_config(folder, _told(options, prepared))
    _place(prepared, device_for(fitting.device))
    with ThreadPoolExecutor(1) as pool:
        yield from fit(prepared.task, Ahead(prepared.crops, pool), fitting, folder=folder)
    _place(prepared, torch.device("cpu"))
    if is_first():
        export(prepared, options, fitting, folder=folder)


def _place(prepared: Prepared, device: torch.device) -> None:
    """Move the encoder and its teacher."""
    prepared.encoder.to(device)
    if isinstance(prepared.task, backbone.Distillation) and isinstance(prepared.task.teacher, table.Encoder):
        prepared.task.teacher.net.to(device)


def prepare(options: BackboneOptions, fitting: FitOptions) -> Prepared:
    """Read the pictures and build the task."""
    if not options.data:
        raise OptionError("--data is missing: name at least one folder of pictures, or a CSV.")
    kept_out = listed(options.validation) if options.validation is not None else []
    items, odds = _items(options, without={item.path.resolve() for item in kept_out})
    train = decoded(items, short_side_px=options.short_side_px, odds=odds)
    crops = Crops(
        train.pictures,
        fitting.batch_size,
        options.crop_px,
        fitting.seed,
        smallest_crop=options.smallest_crop,
        labels=train.labels if train.all_labelled else None,
        odds=train.odds,
    )
    sample = sampled(crops)
    encoder = _encoder(options, fitting, sample)
    held_out = None
    if kept_out:
        held_out = decoded(kept_out, short_side_px=options.short_side_px, classes=train.classes or None)
    task = _distillation(encoder, options, sample) if options.teacher else _classification(encoder, train, held_out)
    return Prepared(task, encoder, crops, train, held_out)


def _items(options: BackboneOptions, *, without: set[Path]) -> tuple[list[Listed], list[float]]:
    """The pictures of all sources but those of the validation, and how often each is drawn."""
    weights = options.data_weights * len(options.data) if len(options.data_weights) == 1 else options.data_weights
    if len(weights) != len(options.data):
        raise OptionError(
            f"--data-weights has {len(weights)} numbers; {len(options.data)} sources need as many, or one."
        )
    items, odds = [], []
    for source, weight in zip(options.data, weights, strict=True):
        here = [item for item in listed(source) if item.path.resolve() not in without]
        if not here:
            raise DataError(f"every picture of {source} is in --validation, which is never trained on. Name others.")
        items += here
        odds += [weight] * len(here)
    return items, odds


def sampled(crops: Crops) -> Tensor:
    """Pictures `(64, 3, px, px)` that channel statistics are taken on: crops of steps that no training reaches."""
    batches = -(-SAMPLE // crops.batch_size)
    return torch.cat([crops(NEVER + i).images for i in range(batches)])[:SAMPLE]


def _encoder(options: BackboneOptions, fitting: FitOptions, sample: Tensor) -> Vgg:
    colour = PREPROCESS[PREPROCESSED]
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers stay as they were
        torch.manual_seed(fitting.seed)
        encoder = Vgg(
            STAGES["compact-vgg"],
            matrix=colour.matrix,
            offset=colour.offset,
            padding="reflect",
            pooling="average",
            batch_norm=options.start_from is None,
        )
    if options.start_from is not None:
        start = table.load_encoder(options.start_from, precision="float32")
        if not isinstance(start.net, Vgg) or start.net.stages != encoder.stages:
            raise OptionError(f"--start-from {options.start_from} is not a compact VGG.")
        encoder.load_convs(start.net.convs_folded())
        give_batch_norm(encoder, sample)
    return encoder


def _classification(encoder: Vgg, train: PictureSet, held_out: PictureSet | None) -> backbone.Classification:
    if held_out is not None and train.labels is not None and held_out.labels is None:
        raise DataError("the pictures of --validation have no classes: a folder a class, or a CSV with them is needed.")
    if not train.all_labelled or len(train.classes) < 2:
        raise DataError("classification needs pictures of at least two classes: a folder a class, or a CSV with them.")
    return backbone.Classification(encoder, len(train.classes))


def _distillation(encoder: Vgg, options: BackboneOptions, sample: Tensor) -> backbone.Distillation:
    assert options.teacher is not None
    teacher = table.load_encoder(options.teacher)
    teacher.net.align_borders()
    pairs = backbone.layer_pairs(encoder, teacher.net)
    if not pairs:
        raise OptionError(f"--teacher {options.teacher} has no layers to match {', '.join(backbone.MATCHED)}.")
    norms = backbone.channel_norms(teacher, sample, list(pairs.values()))
    weighting = {"score_weight": options.score_weight, "temperature": options.temperature}
    return backbone.Distillation(encoder, teacher, norms, pairs, teacher.net.score_layer, **weighting)


def export(prepared: Prepared, options: BackboneOptions, fitting: FitOptions, *, folder: Path) -> Path:
    """Fold the batch norms of the averaged weights, scale to unit mean, measure, and write encoder and card."""
    student = prepared.task.build()
    student.load_state_dict(averaged(folder / "checkpoint.pt"))
    student.eval()
    sample = sampled(prepared.crops)
    found = _measured(student, prepared, options)
    folded = Vgg(prepared.encoder.stages, **_same(prepared.encoder))
    folded.load_convs(prepared.encoder.convs_folded())  # the student's own encoder
    # By layer: scaled by channel, rare channels speak louder, and gave paintings coloured fringes (docs/encoder.md).
    folded.load_convs(unit_mean(folded, sample, each="layer"))
    card = Card(
        kind="encoder",
        name="compact-vgg",
        network={
            "architecture": "vgg",
            "stages": [list(stage) for stage in folded.stages],
            "padding": "reflect",
            "pooling": "average",
            "ceil_mode": False,
        },
        preprocess=PREPROCESSED,
        licence=options.licence,
        source=options.about or "impasto train backbone",
        training=_told(options, prepared) | {"fit": fitting.to_dict()},
        measures=found,
        notes="Batch norm folded; every layer has mean 1 after its ReLU on training pictures.",
        layer_scale=dict(layer_means(folded, sample)),
    )
    tensors = {k: v.half() if k.endswith(".weight") else v.float() for k, v in folded.convs_folded().items()}
    save(path := folder / "encoder.safetensors", tensors, card)
    return path


def _same(encoder: Vgg) -> dict[str, Any]:
    colour = PREPROCESS[PREPROCESSED]
    return {
        "matrix": colour.matrix,
        "offset": colour.offset,
        "padding": encoder.padding,
        "pooling": encoder.pooling,
    }


def _measured(student: Any, prepared: Prepared, options: BackboneOptions) -> dict[str, Any]:
    if prepared.held_out is None:
        return {}
    pictures, labels = prepared.held_out.pictures, prepared.held_out.labels
    found: dict[str, Any] = {"pictures": len(pictures)}
    if isinstance(prepared.task, backbone.Distillation):
        found["teacher"] = measures.teacher_agreement(student, prepared.task, pictures, options.crop_px)
    elif labels is not None:
        found["class_accuracy"] = measures.class_accuracy(student, pictures, labels, options.crop_px)
    known = prepared.train.labelled()
    if labels is not None and len(set(known[1])) > 1:
        found["probe_accuracy"] = measures.probe_accuracy(
            student.encoder, known, (pictures, labels), px=options.crop_px
        )
    return found


def _told(options: BackboneOptions, prepared: Prepared) -> dict[str, Any]:
    """What a card says of the training: options without folders, which mean nothing elsewhere, counts, checksums."""
    told = options.to_dict() | {
        "data": [Path(source).name for source in options.data],
        "validation": options.validation and Path(options.validation).name,
        "teacher": options.teacher and Path(options.teacher).name,
        "start_from": options.start_from and Path(options.start_from).name,
    }
    train, task = prepared.train, prepared.task
    counts = {"pictures": len(train.pictures), "unreadable": len(train.skipped), "classes": len(train.classes)}
    teacher = task.teacher if isinstance(task, backbone.Distillation) else None
    checksum = {"teacher_sha256": teacher.sha256} if isinstance(teacher, table.Encoder) else {}
    return {"options": told, **counts, **checksum}
