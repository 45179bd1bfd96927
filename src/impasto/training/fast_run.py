"""From options to the weight file of a fast network."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from impasto.config.fast_training import FastFitOptions, FastTrainOptions
from impasto.core.errors import DataError, ImageError, ImageTooSmall, OptionError
from impasto.encoders import table as encoders
from impasto.encoders.table import Encoder
from impasto.image import files
from impasto.image.resize import fit, resized
from impasto.nets.residual import Residual
from impasto.training import sources
from impasto.training.data import Crops, centre_crop
from impasto.training.fast import Assignment, LearnedStyles, Targets, Weights, targets_of
from impasto.training.fit import Progress, averaged
from impasto.training.image_dataset import ImageDataset
from impasto.training.processes import is_first
from impasto.training.run_config import lock_run_config
from impasto.training.students import (
    halved,
    held_apart,
    init_palette,
    numbers_of,
    timed,
    untrained,
    weights_of,
    write_network,
)

SMALLEST_STYLE_PX = 64  # with fewer the statistics of deep layers are of a few places only

USUAL_WEIGHTS = (0.3, 0.6, 1.0, 1.0, 1.0)  # as the network in the package was trained


@dataclass(frozen=True)
class StylePicture:
    """A picture of a style, with what the card says of it."""

    path: Path
    name: str
    about: str = ""


@dataclass(frozen=True)
class Prepared:
    """A task with its batches; `lists` is the digest of the contents' names in the order in which they are drawn."""

    task: LearnedStyles
    batches: Assignment
    contents: ImageDataset
    styles: tuple[StylePicture, ...]
    fitting: FastFitOptions
    lists: str


def train_learned(options: FastTrainOptions, fitting: FastFitOptions, folder: Path) -> Iterator[Progress]:
    """Train a network and write `network.safetensors` with its card into `folder`.

    Stopped and called again with the same folder, it goes on from the last checkpoint, exactly; `StateError` where
    that is of other options or other pictures. A content that cannot be read is left out: the next one stands in for
    it, and `Progress.unreadable` names it. Raises `DataError`, `ImageError`, `OptionError`, `UnknownName`,
    `WeightsError` and its kinds before anything is trained, and `NotFinite`.
    Johnson, Alahi & Fei-Fei 2016, "Perceptual losses for real-time style transfer and super-resolution"; Dumoulin,
    Shlens & Kudlur 2017, "A learned representation for artistic style" (many styles in one network).
    """
    prepared = prepare(options, fitting)
    folder.mkdir(parents=True, exist_ok=True)
    lock_run_config(folder, training_metadata(options, prepared))
    yield from sources.steps(
        prepared.task, prepared.batches, prepared.fitting, folder=folder, unreadable=lambda: prepared.contents.skipped
    )
    if is_first():
        export(prepared, options, folder=folder)


def prepare(
    options: FastTrainOptions,
    fitting: FastFitOptions,
    *,
    network: Residual | None = None,
    contents: Sequence[sources.Named] | None = None,
) -> Prepared:
    """Build the task. What is wrong with the options is said before a content is read.

    `network` and `contents` stand in for those of the options.
    """
    check_objective(options)
    styles = styles_in(options.styles)
    weights = _style_weights(options, len(styles))
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers stay as they were
        encoder = encoders.load_encoder(options.encoder, pooling=options.pooling, precision=fitting.precision)
        net = untrained(options, [style.name for style in styles], seed=fitting.seed) if network is None else network
    content_layers, style_layers = _layers(options, encoder)
    seen_layers = [*content_layers, *style_layers]
    sources.check_size(options.crop_px, encoder, seen_layers, stride=net.stride, smallest_px=net.smallest_px)
    pictures = [read(style, options.style_px) for style in styles]
    init_palette(net, pictures, weights)
    found = sources.listed_in("contents", options.contents) if contents is None else contents
    held, seen = held_apart(found, options.validation)
    shelf = sources.shelf(seen, short_side_px=options.short_side_px, memory_gb=options.memory_gb)
    crops = Crops(shelf, fitting.batch_size, options.crop_px, fitting.seed, smallest_crop=options.smallest_crop)
    task = LearnedStyles(
        network=net,
        encoder=encoder,
        targets=_targets(options, pictures, encoder, tuple(style_layers)),
        weights=_weights(options),
        content_layers=content_layers,
        style_layers=style_layers,
        scale=options.loss_scale,
        shown=_shown(held, pictures, options) if fitting.sample_every else None,
    )
    batches = Assignment(contents=crops, weights=weights, many=options.many, every=options.alternate_every)
    return Prepared(task, batches, shelf, styles, timed(options, fitting, len(seen)), sources.digest(seen))


def styles_in(given: Sequence[Path]) -> tuple[StylePicture, ...]:
    """The style pictures of files, folders and CSVs (columns path, and if there are, name and about).

    Raises `OptionError` where there is none or two have one name, `DataError` for what is neither.
    """
    if not given:
        raise OptionError("--styles is missing: name a picture, a folder of pictures, or a CSV.")
    found = list[StylePicture]()
    for source in given:
        if source.suffix.lower() == ".csv":
            found += _from_csv(source)
        elif source.is_dir():
            found += [StylePicture(item.path, item.path.stem) for item in sources.listed_in("styles", [source])]
        elif source.is_file():
            found.append(StylePicture(source, source.stem))
        else:
            raise DataError(f"there is no style {source}: a picture, a folder of pictures or a CSV is needed.")
    names = [style.name for style in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise OptionError(f"two styles are named {', '.join(twice)}. Give each file another name, or a CSV with names.")
    return tuple(found)


def _from_csv(source: Path) -> list[StylePicture]:
    pictures = sources.listed_in("styles", [source])  # which says what is wrong with the file
    with source.open(newline="", encoding="utf-8-sig") as file:
        rows = [row for row in csv.DictReader(file) if row["path"]]
    return [
        StylePicture(item.path, row.get("name") or item.path.stem, row.get("about") or "")
        for item, row in zip(pictures, rows, strict=True)
    ]


def check_objective(options: FastTrainOptions) -> None:
    """Raise `OptionError` for options of the losses that contradict each other."""
    sources.check_losses(options.style_losses)
    if options.loss_scale == "papers" and losses_of(options) != ("gram",):
        raise OptionError("--loss-scale papers knows Gram matrices only. Leave --style-losses out.")
    if not (options.content_weight or options.style_weight):
        raise OptionError("the weights of content and style are both 0. Give one that is above 0.")


def _layers(options: FastTrainOptions, encoder: Encoder) -> tuple[dict[str, float], dict[str, float]]:
    """Layers of content and style with their weights; the encoder's own without an option."""
    content_layers = options.content_layers or encoder.defaults.content
    style_layers = options.style_layers or encoder.defaults.style
    usual = USUAL_WEIGHTS if options.loss_scale == "relative" and len(style_layers) == len(USUAL_WEIGHTS) else (1.0,)
    return (
        sources.evenly("content-layers", content_layers),
        sources.weighted("style-layers", style_layers, options.style_layer_weights or usual),
    )


def losses_of(options: FastTrainOptions) -> tuple[str, ...]:
    """The style losses that are added."""
    return options.style_losses or (("gram",) if options.loss_scale == "papers" else ("mean-std", "gram"))


def _style_weights(options: FastTrainOptions, count: int) -> tuple[float, ...]:
    """A weight for each style."""
    if options.alpha is None:
        return weights_of(options, count)
    if count != 2 or options.weights != (1.0,):
        raise OptionError(
            f"--alpha shares out two styles; there are {count}, and --weights is {options.weights}. Give two "
            "styles and no --weights, or a weight for each style by --weights."
        )
    return (options.alpha, 1 - options.alpha)


def read(style: StylePicture, style_px: int) -> Tensor:
    """The style's picture `(1, 3, h, w)`, scaled down to a short side of `style_px`."""
    try:
        pixels = files.read(style.path).opaque
    except ImageError as error:
        raise type(error)(f"the style {style.name} cannot be read: {error}") from error
    height, width = pixels.shape[-2:]
    if min(height, width) < SMALLEST_STYLE_PX:
        raise ImageTooSmall(f"the style {style.name} is {width}×{height} px; {SMALLEST_STYLE_PX} px a side are needed.")
    return resized(pixels, fit((height, width), short_side_px=style_px, enlarge=False))


def _targets(
    options: FastTrainOptions, pictures: Sequence[Tensor], encoder: Encoder, layers: tuple[str, ...]
) -> Targets:
    return targets_of(pictures, encoder, layers=layers, losses=losses_of(options))


def _weights(options: FastTrainOptions) -> Weights:
    return Weights(
        content=options.content_weight,
        style=options.style_weight,
        smoothness=options.smoothness_weight,
        noise=options.noise_weight,
        range=10 * max(1.0, options.content_weight),
    )


def _shown(
    held: Sequence[sources.Named], pictures: Sequence[Tensor], options: FastTrainOptions
) -> tuple[Tensor, list[Tensor]]:
    """Contents and styles as squares, for samples."""
    shelf = sources.shelf(held, short_side_px=options.short_side_px, memory_gb=1)
    contents = torch.cat([centre_crop(picture, options.crop_px) for picture in shelf])
    return contents, [_square(picture, options.crop_px) for picture in pictures]


def _square(picture: Tensor, side_px: int) -> Tensor:
    side = min(picture.shape[-2:])
    top, left = ((length - side) // 2 for length in picture.shape[-2:])
    return resized(picture[..., top : top + side, left : left + side], (side_px, side_px))


def export(prepared: Prepared, options: FastTrainOptions, *, folder: Path) -> Path:
    """Write the averaged weights in half precision, with their card."""
    return write_network(
        halved(averaged(folder / "checkpoint.pt")),
        folder,
        options=options,
        numbers=numbers_of(options) | {"styles": prepared.task.network.styles},
        styles=[{"name": style.name} | ({"about": style.about} if style.about else {}) for style in prepared.styles],
        command="impasto train fast",
        training=training_metadata(options, prepared) | {"fit": prepared.fitting.to_dict()},
    )


def training_metadata(options: FastTrainOptions, prepared: Prepared) -> dict[str, Any]:
    """What a card says of the training: options without folders, which mean nothing elsewhere, counts and digests."""
    named = options.to_dict() | {
        "contents": [Path(source).resolve().name for source in options.contents],
        "styles": [style.name for style in prepared.styles],
        "validation": options.validation and options.validation.name,
        "encoder": prepared.task.encoder.name,
        "start_from": options.start_from and Path(options.start_from).name,
    }
    named.pop("memory_gb")
    pictures = {"contents": len(prepared.contents), "names_sha256": prepared.lists}
    return {"options": named, "pictures": pictures, "encoder_sha256": prepared.task.encoder.sha256}
