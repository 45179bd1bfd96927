"""From options to the weight file of a network that paints in any style."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from impasto.config.arbitrary_training import ArbitraryFitOptions, ArbitraryTrainOptions
from impasto.core.errors import OptionError, UnknownName, WeightsMismatch
from impasto.encoders import table as encoders
from impasto.encoders.table import Encoder
from impasto.nets import table as nets
from impasto.nets.codes import code_from
from impasto.nets.predicted import Predicted
from impasto.nets.protocol import Code
from impasto.training import sources
from impasto.training.arbitrary import ArbitraryStyle, Weights
from impasto.training.data import NEVER, Crops, centre_crop
from impasto.training.fit import Progress, averaged
from impasto.training.image_dataset import ImageDataset
from impasto.training.pairs import Pairs
from impasto.training.processes import is_first
from impasto.training.run_config import lock_run_config
from impasto.weights import readers
from impasto.weights.card import Card, fill, save
from impasto.weights.catalogue import FAST

FILE = "network.safetensors"
SHOWN = 4  # contents and styles in a sample
PAINTER = "compact-styles"  # whose painter the variant begins with that predicts rows
RANDOM = "none"
MEASURED = 128  # styles that the scale of codes is measured on


@dataclass(frozen=True)
class Prepared:
    """A task with its pictures; `lists` is the digest of their names, in the order in which they are drawn from."""

    task: ArbitraryStyle
    pairs: Pairs
    contents: ImageDataset
    styles: ImageDataset
    lists: str

    @property
    def unreadable(self) -> tuple[str, ...]:
        """Which pictures could not be read so far, and why."""
        return (*self.contents.skipped, *self.styles.skipped)


def train_arbitrary(options: ArbitraryTrainOptions, fitting: ArbitraryFitOptions, folder: Path) -> Iterator[Progress]:
    """Train a network and write `network.safetensors` with its card into `folder`.

    Stopped and called again with the same folder, it goes on from the last checkpoint, exactly; `StateError` where
    that is of other options or other pictures. A picture that cannot be read is left out: the next one stands in for
    it, and `Progress.unreadable` names it. Raises `DataError`, `OptionError`, `UnknownName`, `WeightsError` and its
    kinds before anything is trained, and `NotFinite`.
    Huang & Belongie 2017, "Arbitrary style transfer in real-time with adaptive instance normalization".
    """
    prepared = prepare(options, fitting)
    folder.mkdir(parents=True, exist_ok=True)
    lock_run_config(folder, training_metadata(options, prepared))
    yield from sources.steps(
        prepared.task, prepared.pairs, fitting, folder=folder, unreadable=lambda: prepared.unreadable
    )
    if is_first():
        export(prepared, options, fitting, folder=folder)


def prepare(options: ArbitraryTrainOptions, fitting: ArbitraryFitOptions) -> Prepared:
    """Build the task. What is wrong with the options is said before a picture is read."""
    content_layers = sources.evenly("content-layers", options.content_layers)
    style_layers = sources.weighted("style-layers", options.style_layers, options.style_layer_weights)
    _check_losses(options)
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers stay as they were
        encoder = encoders.load_encoder(options.encoder, precision=fitting.precision)
        net = _network(options, encoder, seed=fitting.seed)
    seen = [*content_layers, *style_layers, *net.code_layers]  # type: ignore[misc]
    stride: int = net.stride  # type: ignore[assignment]
    sources.check_size(options.crop_px, encoder, seen, stride=stride, smallest_px=2 * stride)
    contents = sources.listed_in("contents", options.contents)
    styles = sources.listed_in("styles", options.styles)
    shelves = [
        sources.shelf(found, short_side_px=options.short_side_px, memory_gb=options.memory_gb / 2)
        for found in (contents, styles)
    ]
    pairs = Pairs(*(_crops(shelf, options, fitting, number=i) for i, shelf in enumerate(shelves)))
    if isinstance(net, Predicted) and not bool(net.code_mean.any()):  # no training has measured it yet
        net.measure(_codes(net, encoder, pairs))
    task = ArbitraryStyle(
        network=net,
        encoder=encoder,
        weights=_weights(options),
        content_layers=content_layers,
        style_layers=style_layers,
        style_losses=options.style_losses,
        normalise_content=options.normalise_content,
        sizes=options.sizes,
        shown=_shown(shelves, options.crop_px) if fitting.sample_every else None,
    )
    return Prepared(task, pairs, shelves[0], shelves[1], sources.digest(contents, styles))


def _weights(options: ArbitraryTrainOptions) -> Weights:
    return Weights(
        content=options.content_weight,
        style=options.style_weight,
        identity=options.identity_weight,
        smoothness=options.smoothness_weight,
        noise=options.noise_weight,
    )


def _check_losses(options: ArbitraryTrainOptions) -> None:
    """Raise where a loss is unknown, lacks what it needs, or where there is none."""
    sources.check_losses(options.style_losses)
    if options.content_weight and not options.content_layers:
        raise OptionError("--content-layers is empty. Name a layer, or give --content-weight 0.")
    if options.style_weight and not (options.style_layers and options.style_losses):
        raise OptionError("--style-layers or --style-losses is empty. Name some, or give --style-weight 0.")
    if not (options.content_weight or options.style_weight or options.identity_weight):
        raise OptionError("the weights of content, style and identity are all 0. Give one that is above 0.")


def _network(options: ArbitraryTrainOptions, encoder: Encoder, *, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    try:
        net: nn.Module = nets.untrained(encoder, nets.VARIANTS[options.variant])
    except UnknownName as error:
        raise OptionError(f"--encoder {options.encoder} does not serve --variant {options.variant}: {error}") from error
    source = begins_with(options)
    if source is not None:
        _start(net, source, options)
    if options.keep_painter:
        if not isinstance(net, Predicted) or source is None:
            raise OptionError("--keep-painter is of --variant predicted that begins with a painter. Leave it out.")
        net.painter.requires_grad_(False)
    return net


def begins_with(options: ArbitraryTrainOptions) -> str | None:
    """The network whose weights training begins with; None for random ones."""
    if options.start_from is None:
        return PAINTER if options.variant == "predicted" else None
    return None if options.start_from == RANDOM else options.start_from


def _start(net: nn.Module, source: str, options: ArbitraryTrainOptions) -> None:
    """Give `net` the weights of `source`, which may have been trained with another encoder of the same widths."""
    file = readers.load_weights(source)
    try:
        if isinstance(net, Predicted) and file.card.kind == FAST:
            net.begin(file.tensors, file.card.name)
            return
        fill(net, nets.with_noise_strengths(net, file.tensors), file.card.name)
    except WeightsMismatch as error:
        raise WeightsMismatch(f"--start-from {source} does not serve --variant {options.variant}: {error}") from error


def _crops(shelf: ImageDataset, options: ArbitraryTrainOptions, fitting: ArbitraryFitOptions, *, number: int) -> Crops:
    seed = 2 * fitting.seed + number
    return Crops(shelf, fitting.batch_size, options.crop_px, seed, smallest_crop=options.smallest_crop)


def _shown(shelves: Sequence[ImageDataset], side_px: int) -> tuple[Tensor, Tensor]:
    """Some pictures of each `(n, 3, px, px)`, from all over the lists, to look at while training."""
    contents, styles = (
        torch.cat([centre_crop(shelf[i * len(shelf) // count], side_px) for i in range(count)])
        for shelf in shelves
        for count in (min(SHOWN, len(shelf)),)
    )
    return contents, styles


@torch.no_grad()
def _codes(net: Predicted, encoder: Encoder, pairs: Pairs) -> dict[str, Tensor]:
    """The codes of some styles, by layer."""
    found: list[Code] = []
    for step in range(NEVER, NEVER - (-MEASURED // pairs.styles.batch_size)):
        pictures = pairs.styles(step).images
        found.append(code_from(encoder(pictures, net.code_layers), pictures, net=net))  # type: ignore[arg-type]
    return {name: torch.cat([code[name] for code in found]) for name in found[0]}


def export(prepared: Prepared, options: ArbitraryTrainOptions, fitting: ArbitraryFitOptions, *, folder: Path) -> Path:
    """Write the averaged weights in half precision, with their card."""
    tensors = averaged(folder / "checkpoint.pt")
    encoder = {"name": readers.lasting(options.encoder), "sha256": prepared.task.encoder.sha256}
    card = Card(
        kind=nets.KIND,
        name=options.name,
        network={**nets.VARIANTS[options.variant], "encoder": encoder},
        licence=options.licence,
        source=options.about or "impasto train arbitrary",
        training=training_metadata(options, prepared) | {"fit": fitting.to_dict()},
    )
    half = {key: value.half() if value.ndim > 1 else value for key, value in tensors.items()}
    save(path := folder / FILE, half, card)
    return path


def training_metadata(options: ArbitraryTrainOptions, prepared: Prepared) -> dict[str, Any]:
    """What a card says of the training: options without folders, which mean nothing elsewhere, counts and digests.

    It follows from the options and the names of the files: which of them can be read is found out while training.
    """
    named = options.to_dict() | {
        "contents": [Path(source).resolve().name for source in options.contents],
        "styles": [Path(source).resolve().name for source in options.styles],
        "encoder": prepared.task.encoder.name,
        "start_from": Path(begins_with(options) or RANDOM).name,
    }
    named.pop("memory_gb")
    counts = {"contents": len(prepared.contents), "styles": len(prepared.styles), "names_sha256": prepared.lists}
    return {"options": named, "pictures": counts, "encoder_sha256": prepared.task.encoder.sha256}
