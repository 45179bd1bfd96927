"""Training of arbitrary networks, from options to a weight file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from impasto.nets.layers import with_own_defaults
from impasto.nets.predicted import Predicted, at_half_size
from impasto.nets.protocol import Code
from impasto.training import sources
from impasto.training.arbitrary import ArbitraryStyle
from impasto.training.data import NEVER, Crops, Pairs, centre_crop
from impasto.training.fit import resolved
from impasto.training.image_dataset import ImageDataset
from impasto.training.pictures import Listed
from impasto.training.run import Run, training_metadata
from impasto.weights import readers
from impasto.weights.card import Card, fill
from impasto.weights.catalogue import FAST

SHOWN = 4  # contents and styles in a sample
PAINTER = "compact-styles"  # the painter that `predicted` starts with
RANDOM = "none"
MEASURED = 128  # styles that the statistics of codes are measured on


def prepare_arbitrary(options: ArbitraryTrainOptions, fitting: ArbitraryFitOptions) -> Run[ArbitraryStyle]:
    """The training of a network; its `train` writes `network.safetensors` with a card.

    Options are checked before a picture is read. An unreadable picture is replaced by the next readable one and listed
    in `Progress.unreadable`. Raises `DataError`, `OptionError`, `UnknownName`, `WeightsError` and its kinds.
    Huang & Belongie 2017, "Arbitrary style transfer in real-time with adaptive instance normalization".
    """
    fitting = resolved(fitting)
    _check_losses(options)
    content_layers = sources.evenly("content_layers", options.content_layers)
    style_layers = sources.weighted("style_layers", options.style_layers, weights=options.style_layer_weights)
    encoder, net, teacher = _networks(options, fitting)
    layers: list[str] = [*content_layers, *style_layers, *net.code_layers]  # type: ignore[misc]
    stride: int = net.stride  # type: ignore[assignment]
    smallest_px = max(2 * stride, encoder.smallest_px(list(style_layers)) * 2 ** (options.sizes - 1))
    sources.check_size(options.crop_px, encoder, layers=layers, stride=stride, smallest_px=smallest_px)
    lists = [sources.listed_in(name, getattr(options, name)) for name in ("contents", "styles")]
    sets = [
        sources.dataset(pictures, short_side_px=options.short_side_px, memory_gb=options.memory_gb / 2)
        for pictures in lists
    ]
    pairs = Pairs(*(_crops(pictures, options, fitting=fitting, number=i) for i, pictures in enumerate(sets)))
    if isinstance(net, Predicted) and not bool(net.code_mean.any()):  # not measured by an earlier training
        net.measure(_codes(net, encoder, pairs=pairs))
    shown = _shown(sets, options.crop_px) if fitting.sample_every else None
    task = _task(options, net, encoder=encoder, teacher=teacher, shown=shown)
    metadata = _metadata(options, encoder, lists=lists)
    card = _card(options, encoder, training=metadata | {"fit": fitting.to_dict()})
    return Run(
        task=task,
        batches=pairs,
        fitting=fitting,
        metadata=metadata,
        export=lambda tensors: (_halved(tensors), card),
        frozen=(encoder.net, *((teacher,) if teacher else ())),
        datasets=(sets[0], sets[1]),
    )


def _task(
    options: ArbitraryTrainOptions,
    net: nn.Module,
    *,
    encoder: Encoder,
    teacher: nn.Module | None,
    shown: tuple[Tensor, Tensor] | None,
) -> ArbitraryStyle:
    return ArbitraryStyle(
        network=net,
        encoder=encoder,
        weights=sources.loss_weights(options, pixels=options.pixel_weight if options.teacher else 0.0),
        content_layers=sources.evenly("content_layers", options.content_layers),
        style_layers=sources.weighted("style_layers", options.style_layers, weights=options.style_layer_weights),
        style_losses=options.style_losses,
        normalise_content=options.normalise_content,
        sizes=options.sizes,
        teacher=teacher,
        shown=shown,
    )


def _networks(
    options: ArbitraryTrainOptions, fitting: ArbitraryFitOptions
) -> tuple[Encoder, nn.Module, nn.Module | None]:
    """The encoder, the network to train, and its teacher."""
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers are not affected
        encoder = encoders.load_encoder(options.encoder, precision=fitting.precision)
        net = _network(options, encoder, seed=fitting.seed)
        return encoder, net, _teacher(options, net, encoder=encoder)


def _teacher(options: ArbitraryTrainOptions, net: nn.Module, *, encoder: Encoder) -> nn.Module | None:
    """The network to distil, frozen. It stays in training mode, in which colours are not matched after painting."""
    if options.teacher is None:
        return None
    found = nets.load_network(options.teacher, precision="float32")
    if found.encoder.sha256 != encoder.sha256 or tuple(found.net.code_layers) != net.code_layers:
        layers = ", ".join(net.code_layers)  # type: ignore[arg-type]
        raise OptionError(
            f"`teacher={options.teacher}` describes styles by {found.encoder.name} at "
            f"{', '.join(found.net.code_layers)}, the network by {encoder.name} at {layers}. Both need the same."
        )
    assert isinstance(found.net, nn.Module)
    return found.net.requires_grad_(False).train()


def _metadata(options: ArbitraryTrainOptions, encoder: Encoder, *, lists: Sequence[Sequence[Listed]]) -> dict[str, Any]:
    pictures = {"contents": len(lists[0]), "styles": len(lists[1]), "names_sha256": sources.digest(*lists)}
    return training_metadata(
        options,
        counts={"pictures": pictures, "encoder_sha256": encoder.sha256},
        encoder=encoder.name,
        start_from=Path(_start_from(options) or RANDOM).name,
        teacher=options.teacher and Path(options.teacher).name,
    )


def _card(options: ArbitraryTrainOptions, encoder: Encoder, *, training: dict[str, Any]) -> Card:
    described = {"name": readers.lasting(options.encoder), "sha256": encoder.sha256}
    return Card(
        kind=nets.KIND,
        name=options.name,
        network={**nets.VARIANTS[options.variant], "encoder": described},
        licence=options.licence,
        source=options.about or "impasto train arbitrary",
        training=training,
    )


def _halved(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights in half precision; biases and scales unchanged."""
    return {key: value.half() if value.ndim > 1 else value for key, value in tensors.items()}


def _check_losses(options: ArbitraryTrainOptions) -> None:
    """Raise `OptionError` for unknown losses, losses without layers, and no loss at all."""
    sources.check_style_losses(options.style_losses)
    if options.content_weight and not options.content_layers:
        raise OptionError("`content_layers` is empty. Name a layer, or give `content_weight=0`.")
    if options.style_weight and not (options.style_layers and options.style_losses):
        raise OptionError("`style_layers` or `style_losses` is empty. Name some, or give `style_weight=0`.")
    if not (options.content_weight or options.style_weight or options.identity_weight):
        raise OptionError("the weights of content, style and identity are all 0. Give one that is above 0.")


def _network(options: ArbitraryTrainOptions, encoder: Encoder, *, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    try:
        net: nn.Module = nets.untrained(encoder, nets.VARIANTS[options.variant])
    except UnknownName as error:
        raise OptionError(f"`encoder={options.encoder}` does not fit `variant={options.variant}`: {error}") from error
    source = _start_from(options)
    if source is not None:
        _start(net, source, options=options)
    if options.keep_painter:
        if not isinstance(net, Predicted) or source is None:
            raise OptionError("`keep_painter` needs `variant=predicted` and weights to start from. Leave it out.")
        net.painter.requires_grad_(False)
    return net


def _start_from(options: ArbitraryTrainOptions) -> str | None:
    """The network whose weights training starts with; None for random ones."""
    if options.start_from is None:
        return PAINTER if options.variant == "predicted" else None
    return None if options.start_from == RANDOM else options.start_from


def _start(net: nn.Module, source: str, *, options: ArbitraryTrainOptions) -> None:
    """Load the weights of `source`, perhaps trained with another encoder of the same widths, into `net`."""
    file = readers.load_weights(source)
    try:
        if isinstance(net, Predicted) and file.card.kind == FAST:
            net.begin(file.tensors, file.card.name)
            return
        tensors, described = file.tensors, file.card.network
        if isinstance(net, Predicted) and described.get("architecture") == "predicted":
            halves = net.painter.unshuffle > described.get("unshuffle", 1)
            tensors = at_half_size(tensors) if halves else tensors
        fill(net, with_own_defaults(net, tensors), where=file.card.name)
    except WeightsMismatch as error:
        raise WeightsMismatch(f"`start_from={source}` does not fit `variant={options.variant}`: {error}") from error


def _crops(
    pictures: ImageDataset, options: ArbitraryTrainOptions, *, fitting: ArbitraryFitOptions, number: int
) -> Crops:
    seed = 2 * fitting.seed + number
    return Crops(pictures, fitting.batch_size, options.crop_px, seed, smallest_crop=options.smallest_crop)


def _shown(sets: Sequence[ImageDataset], side_px: int) -> tuple[Tensor, Tensor]:
    """Some contents and styles `(n, 3, px, px)`, evenly spaced in the lists, for samples."""
    contents, styles = (
        torch.cat([centre_crop(pictures[i * len(pictures) // count], side_px) for i in range(count)])
        for pictures in sets
        for count in (min(SHOWN, len(pictures)),)
    )
    return contents, styles


@torch.no_grad()
def _codes(net: Predicted, encoder: Encoder, *, pairs: Pairs) -> dict[str, Tensor]:
    codes: list[Code] = []
    for step in range(NEVER, NEVER - (-MEASURED // pairs.styles.batch_size)):
        pictures = pairs.styles(step).images
        codes.append(code_from(encoder(pictures, net.code_layers), pictures, net=net))  # type: ignore[arg-type]
    return {name: torch.cat([code[name] for code in codes]) for name in codes[0]}
