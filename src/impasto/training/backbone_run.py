"""Training of encoders, from options to a weight file."""

from __future__ import annotations

from collections.abc import Mapping
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
from impasto.training.data import NEVER, Crops
from impasto.training.fit import resolved
from impasto.training.image_dataset import LabelledSet, labelled_set
from impasto.training.pictures import Listed, listed
from impasto.training.run import Run, training_metadata, with_epochs
from impasto.weights.card import Card

SAMPLE = 64  # pictures that channel statistics are taken on
PREPROCESSED = "imagenet-rgb"
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "compact-vgg": {"stages": STAGES["compact-vgg"], "padding": "reflect", "pooling": "average"},
    "vgg16-bn": {"stages": STAGES["vgg16"], "padding": "zeros", "pooling": "max"},
    "vgg19-bn": {"stages": STAGES["vgg19"], "padding": "zeros", "pooling": "max"},
}
"""Encoders that can be trained, with batch norms, which the weight file has folded."""

EncoderTask = backbone.EncoderDistillation | backbone.Classification


def prepare_backbone(options: BackboneOptions, fitting: FitOptions) -> Run[EncoderTask]:
    """The training of an encoder: distillation with `options.teacher`, else classification; raises `DataError`, too."""
    fitting = resolved(fitting)
    train, held_out, odds = _sets(options)
    fitting = with_epochs(fitting, options.epochs, pictures=len(train.pictures))
    crops = _crops(train, options, fitting=fitting, odds=odds)
    sample = sampled(crops)
    encoder = _encoder(options, fitting, sample=sample)
    task: EncoderTask = (
        _distillation(encoder, options, sample=sample)
        if options.teacher
        else _classification(encoder, train, held_out=held_out)
    )
    teacher = task.teacher if isinstance(task, backbone.EncoderDistillation) else None
    counts = {"pictures": len(train.pictures), "classes": len(train.classes)} | _provenance(teacher)
    metadata = training_metadata(options, counts=counts)
    training = metadata | {"fit": fitting.to_dict()}

    def export(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Card]:
        student = task.build()
        student.load_state_dict(tensors)
        measured = _measured(student.eval(), task, sets=(train, held_out), options=options)
        account = training | {"unreadable": len(train.pictures.skipped)}
        return _exported(encoder, sample, options=options, training=account, measured=measured)

    return Run(
        task=task,
        batches=crops,
        fitting=fitting,
        metadata=metadata,
        export=export,
        frozen=(encoder,) if teacher is None else (encoder, teacher.net),
        datasets=(train.pictures,) if held_out is None else (train.pictures, held_out.pictures),
        file="encoder.safetensors",
    )


def _provenance(teacher: table.Encoder | None) -> dict[str, str]:
    """Digest and licence of the teacher, for the card."""
    if teacher is None:
        return {}
    return {"teacher_sha256": teacher.sha256, "teacher_licence": teacher.card.licence}


def _crops(train: LabelledSet, options: BackboneOptions, *, fitting: FitOptions, odds: list[float]) -> Crops:
    return Crops(
        train.pictures,
        fitting.batch_size,
        options.crop_px,
        fitting.seed,
        smallest_crop=options.smallest_crop,
        labels=train.labels if train.all_labelled else None,
        odds=odds,
    )


def _sets(options: BackboneOptions) -> tuple[LabelledSet, LabelledSet | None, list[float]]:
    """Pictures for training and validation, and how often each of the former is drawn."""
    if not options.data:
        raise OptionError("`data` is missing: name at least one folder of pictures, or a CSV.")
    validation = listed(options.validation) if options.validation is not None else []
    items, odds = _items(options, without={item.path.resolve() for item in validation})
    reading = {"short_side_px": options.short_side_px, "memory_gb": options.memory_gb / (2 if validation else 1)}
    train = labelled_set(items, **reading)  # type: ignore[arg-type]
    held_out = labelled_set(validation, classes=train.classes or None, **reading) if validation else None  # type: ignore[arg-type]
    return train, held_out, odds


def _items(options: BackboneOptions, *, without: set[Path]) -> tuple[list[Listed], list[float]]:
    """The pictures of all sources without the validation set, and their sampling odds."""
    weights = options.data_weights * len(options.data) if len(options.data_weights) == 1 else options.data_weights
    if len(weights) != len(options.data):
        raise OptionError(
            f"`data_weights` has {len(weights)} numbers; {len(options.data)} sources need as many, or one."
        )
    items, odds = [], []
    for source, weight in zip(options.data, weights, strict=True):
        here = [item for item in listed(source) if item.path.resolve() not in without]
        if not here:
            raise DataError(f"every picture of {source} is in `validation`, which is never trained on. Name others.")
        items += here
        odds += [weight] * len(here)
    return items, odds


def sampled(crops: Crops) -> Tensor:
    """Pictures `(64, 3, px, px)` for channel statistics: crops of steps that no training reaches."""
    batches = -(-SAMPLE // crops.batch_size)
    return torch.cat([crops(NEVER + i).images for i in range(batches)])[:SAMPLE]


def _encoder(options: BackboneOptions, fitting: FitOptions, *, sample: Tensor) -> Vgg:
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers are not affected
        torch.manual_seed(fitting.seed)
        encoder = Vgg(**ARCHITECTURES[options.arch], **_colours(), batch_norm=options.start_from is None)
    if options.start_from is not None:
        start = table.load_encoder(options.start_from, precision="float32")
        if not isinstance(start.net, Vgg) or start.net.stages != encoder.stages:
            raise OptionError(f"`start_from={options.start_from}` does not have the layers of {options.arch}.")
        encoder.load_convs(start.net.convs_folded())
        give_batch_norm(encoder, sample)
    return encoder


def _classification(encoder: Vgg, train: LabelledSet, *, held_out: LabelledSet | None) -> backbone.Classification:
    if held_out is not None and train.labels is not None and held_out.labels is None:
        raise DataError("the pictures of `validation` have no classes: a folder a class, or a CSV with them is needed.")
    if not train.all_labelled or len(train.classes) < 2:
        raise DataError("classification needs pictures of at least two classes: a folder a class, or a CSV with them.")
    return backbone.Classification(encoder, len(train.classes))


def _distillation(encoder: Vgg, options: BackboneOptions, *, sample: Tensor) -> backbone.EncoderDistillation:
    assert options.teacher is not None
    teacher = table.load_encoder(options.teacher)
    teacher.net.align_borders()
    pairs = backbone.layer_pairs(encoder, teacher.net)
    if not pairs:
        raise OptionError(f"`teacher={options.teacher}` has no layers to match {', '.join(backbone.MATCHED)}.")
    norms = backbone.channel_norms(teacher, sample, layers=list(pairs.values()))
    weighting = {"score_weight": options.score_weight, "temperature": options.temperature}
    return backbone.EncoderDistillation(encoder, teacher, norms, pairs, teacher.net.score_layer, **weighting)


def _exported(
    encoder: Vgg, sample: Tensor, *, options: BackboneOptions, training: dict[str, Any], measured: dict[str, Any]
) -> tuple[dict[str, Tensor], Card]:
    """The encoder with its batch norms folded and its layers scaled to unit mean, and its card."""
    folded = Vgg(**ARCHITECTURES[options.arch], **_colours())
    folded.load_convs(encoder.convs_folded())
    # By layer: scaled by channel, rare channels become louder, which gave paintings coloured fringes (docs/encoder.md).
    folded.load_convs(unit_mean(folded, sample, each="layer"))
    notes = "Batch norm folded; every layer has mean 1 after its ReLU on training pictures."
    if "teacher_licence" in training:
        notes += (
            f" Distilled from {Path(options.teacher or '').name}, whose licence applies: {training['teacher_licence']}"
        )
    card = Card(
        kind="encoder",
        name=options.arch,
        network={
            "architecture": "vgg",
            "stages": [list(stage) for stage in folded.stages],
            "padding": folded.padding,
            "pooling": folded.pooling,
            "ceil_mode": False,
        },
        preprocess=PREPROCESSED,
        licence=options.licence,
        source=options.about or "impasto train backbone",
        training=training,
        measures=measured,
        notes=notes,
        layer_scale=dict(layer_means(folded, sample)),
    )
    return {k: v.half() if k.endswith(".weight") else v.float() for k, v in folded.convs_folded().items()}, card


def _colours() -> dict[str, Any]:
    colour = PREPROCESS[PREPROCESSED]
    return {"matrix": colour.matrix, "offset": colour.offset}


def _measured(
    student: Any, task: EncoderTask, *, sets: tuple[LabelledSet, LabelledSet | None], options: BackboneOptions
) -> dict[str, Any]:
    """Measures on the pictures of the validation."""
    train, held_out = sets
    if held_out is None:
        return {}
    pictures, labels = held_out.readable()
    measured: dict[str, Any] = {"pictures": len(pictures)}
    if isinstance(task, backbone.EncoderDistillation):
        measured["teacher"] = measures.teacher_agreement(student, task, pictures=pictures, px=options.crop_px)
    elif held_out.labels is not None:
        measured["class_accuracy"] = measures.class_accuracy(student, pictures, labels=labels, px=options.crop_px)
    known = train.readable(labelled=True)
    if held_out.labels is not None and len(set(known[1])) > 1:
        measured["probe_accuracy"] = measures.probe_accuracy(
            student.encoder, known, held_out=(pictures, labels), px=options.crop_px
        )
    return measured
