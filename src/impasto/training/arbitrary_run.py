"""From options to the weight file of a network that paints in any style."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from impasto.config.adain import AdainFitOptions, AdainOptions
from impasto.core.errors import OptionError, UnknownName
from impasto.encoders import table as encoders
from impasto.encoders.table import Encoder
from impasto.losses.table import STYLE_LOSSES
from impasto.nets import table as nets
from impasto.nets.modulated import Modulated
from impasto.nets.moments import moments
from impasto.training.arbitrary import ArbitraryStyle, Weights
from impasto.training.claim import claim
from impasto.training.data import Ahead, Crops, centre_crop
from impasto.training.fit import Progress, averaged, fit
from impasto.training.pairs import Pairs
from impasto.training.pictures import listed
from impasto.training.processes import device_for, is_first
from impasto.training.shelf import Shelf
from impasto.weights.card import Card, save
from impasto.weights.readers import loaded as read_weights

FILE = "network.safetensors"
SHOWN = 4  # contents and styles in a sample
MEASURED_STEPS = 16  # batches of styles that the scale of codes is measured on
FAR = 2**40  # a step that no training reaches


@dataclass(frozen=True)
class Prepared:
    """A task with its pictures."""

    task: ArbitraryStyle
    pairs: Pairs
    contents: Shelf
    styles: Shelf


def train_adain(options: AdainOptions, fitting: AdainFitOptions, folder: Path) -> Iterator[Progress]:
    """Train a network and write `network.safetensors` with its card into `folder`.

    Stopped and called again with the same folder, it goes on from the last checkpoint, exactly; `StateError` where
    that is of other options or other files. Raises `DataError`, `OptionError`, `UnknownName`, `NotFinite`, too.
    Huang & Belongie 2017, "Arbitrary style transfer in real-time with adaptive instance normalization".
    """
    prepared = prepare(options, fitting)
    folder.mkdir(parents=True, exist_ok=True)
    claim(folder, told(options, prepared))
    prepared.task.encoder.net.to(device_for(fitting.device))
    with ThreadPoolExecutor(2) as pool:
        yield from fit(prepared.task, Ahead(prepared.pairs, pool, depth=3), fitting, folder=folder)
    prepared.task.encoder.net.to("cpu")
    if is_first():
        export(prepared, options, fitting, folder=folder)


def prepare(options: AdainOptions, fitting: AdainFitOptions) -> Prepared:
    """List the pictures and build the task."""
    weights = _layer_weights(options)
    for name in options.style_losses:
        if name not in STYLE_LOSSES:
            raise UnknownName.of("style loss", name, STYLE_LOSSES)
    contents, styles = _shelf("contents", options.contents, options), _shelf("styles", options.styles, options)
    pairs = Pairs(
        Crops(contents, fitting.batch_size, options.crop_px, 2 * fitting.seed, smallest_crop=options.smallest_crop),
        Crops(styles, fitting.batch_size, options.crop_px, 2 * fitting.seed + 1, smallest_crop=options.smallest_crop),
    )
    encoder = encoders.loaded(options.encoder, precision=fitting.precision)
    net = _network(options, encoder, pairs, seed=fitting.seed)
    task = ArbitraryStyle(
        network=net,
        encoder=encoder,
        weights=Weights(
            content=options.content_weight,
            style=options.style_weight,
            identity=options.identity_weight,
            smoothness=options.smoothness_weight,
            noise=options.noise_weight,
        ),
        content_layers={name: 1 / len(options.content_layers) for name in options.content_layers},
        style_layers=weights,
        style_losses=options.style_losses,
        shown=(_shown(contents, options.crop_px), _shown(styles, options.crop_px)),
    )
    return Prepared(task, pairs, contents, styles)


def _layer_weights(options: AdainOptions) -> dict[str, float]:
    layers, weights = options.style_layers, options.style_layer_weights
    if len(weights) not in (1, len(layers)):
        raise OptionError(
            f"--style-layer-weights has {len(weights)} numbers; {len(layers)} layers need as many, or one."
        )
    weights = weights * len(layers) if len(weights) == 1 else weights
    return dict(zip(layers, weights, strict=True))


def _shelf(name: str, sources: Sequence[Path], options: AdainOptions) -> Shelf:
    if not sources:
        raise OptionError(f"--{name} is missing: name at least one folder of pictures.")
    paths = [item.path for source in sources for item in listed(source)]
    room = int(options.memory_gb * 1e9 / 2)
    return Shelf(paths, short_side_px=options.short_side_px, memory_bytes=room)


def _shown(pictures: Shelf, side_px: int) -> Tensor:
    """Some pictures `(n, 3, px, px)` from all over the list, to look at while training."""
    count = min(SHOWN, len(pictures))
    return torch.cat([centre_crop(pictures[i * len(pictures) // count], side_px) for i in range(count)])


def _network(options: AdainOptions, encoder: Encoder, pairs: Pairs, *, seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers stay as they were
        torch.manual_seed(seed)
        net: nn.Module = nets.untrained(encoder, nets.VARIANTS[options.variant])
    if options.start_from is not None:
        file = read_weights(options.start_from)
        start = nets.built(file, encoder, precision="float32")
        net.load_state_dict(start.net.state_dict())  # type: ignore[attr-defined]
    elif isinstance(net, Modulated):
        net.measure(_codes(net, encoder, pairs))
    return net


@torch.no_grad()
def _codes(net: Modulated, encoder: Encoder, pairs: Pairs) -> dict[str, Tensor]:
    """The codes of some styles, `(n, 2, c)` by layer."""
    found: dict[str, list[Tensor]] = {name: [] for name in net.code_layers}
    for step in range(FAR, FAR + MEASURED_STEPS):
        feats = encoder(pairs.styles(step).images, net.code_layers)
        for name in net.code_layers:
            found[name].append(moments(feats[name]))
    return {name: torch.cat(rows) for name, rows in found.items()}


def export(prepared: Prepared, options: AdainOptions, fitting: AdainFitOptions, *, folder: Path) -> Path:
    """Write the averaged weights in half precision, with their card."""
    tensors = averaged(folder / "checkpoint.pt")
    encoder = prepared.task.encoder
    card = Card(
        kind=nets.KIND,
        name=options.name,
        network={**nets.VARIANTS[options.variant], "encoder": {"name": encoder.name, "sha256": encoder.sha256}},
        licence=options.licence,
        source=options.about or "impasto train adain",
        training=told(options, prepared) | {"fit": fitting.to_dict()},
    )
    half = {key: value.half() if value.ndim > 1 else value for key, value in tensors.items()}
    save(path := folder / FILE, half, card)
    return path


def told(options: AdainOptions, prepared: Prepared) -> dict[str, Any]:
    """What a card says of the training: options without folders, which mean nothing elsewhere, and counts."""
    named = options.to_dict() | {
        "contents": [Path(source).name for source in options.contents],
        "styles": [Path(source).name for source in options.styles],
        "encoder": prepared.task.encoder.name,
        "start_from": options.start_from and Path(options.start_from).name,
    }
    named.pop("memory_gb")
    counts = {"contents": len(prepared.contents), "styles": len(prepared.styles)}
    return {"options": named, "pictures": counts, "encoder_sha256": prepared.task.encoder.sha256}
