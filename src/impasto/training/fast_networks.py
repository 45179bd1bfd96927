"""Fast networks before and after training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from impasto.config.fast_training import FastFitOptions, FastNetworkOptions
from impasto.core.errors import OptionError, WeightsMismatch
from impasto.encoders.table import Encoder
from impasto.nets.bands import BANDS, band_covariances
from impasto.nets.fast import KIND
from impasto.nets.layers import PALETTE, is_style_param, with_own_defaults
from impasto.nets.moments import moments
from impasto.nets.residual import Residual
from impasto.training.fit import Task
from impasto.training.image_dataset import ImageDataset
from impasto.training.run import Run
from impasto.weights import readers
from impasto.weights.card import Card, Loaded, fill


class OfResidual(Task[Any], Protocol):
    """A task that trains a fast network by an encoder."""

    @property
    def network(self) -> Residual:
        """The network."""

    @property
    def encoder(self) -> Encoder:
        """The encoder of its losses."""


Residuals = TypeVar("Residuals", bound=OfResidual)


def style_weights(options: FastNetworkOptions, count: int, *, kind: str = "styles") -> tuple[float, ...]:
    """A weight for each of `count` styles or teachers (`kind`). Raises `OptionError`."""
    if len(options.weights) not in (1, count):
        raise OptionError(f"`weights` has {len(options.weights)} numbers; {count} {kind} need as many, or one.")
    weights = options.weights * count if len(options.weights) == 1 else options.weights
    if not all(weights) and (options.multi_style == "conditional" or not any(weights)):
        given = ",".join(f"{weight:g}" for weight in weights)
        raise OptionError(f"`weights` is {given}: a {kind.removesuffix('s')} of weight 0 is not learned. Leave it out.")
    return weights


def untrained_residual(options: FastNetworkOptions, names: Sequence[str], *, seed: int) -> Residual:
    """The untrained network, or that of `start_from`, with the styles `names`.

    It has one style unless `multi_style` is conditional. Draws from torch's global random numbers.
    """
    torch.manual_seed(seed)
    learned = names if options.multi_style == "conditional" else names[:1]
    net = Residual(**numbers_of(options), styles=len(learned))
    if options.start_from is not None:
        start(net, readers.load_weights(options.start_from), names=learned)
    return net


def numbers_of(options: FastNetworkOptions) -> dict[str, Any]:
    """The hyperparameters of the network, without its styles."""
    return {
        "widths": list(options.widths),
        "blocks": options.blocks,
        "outer_px": options.outer_px,
        "skips": options.skips,
        "recolours": options.recolours,
        "upsampling": options.upsampling,
        "noise": options.texture_noise,
        "norm": options.norm,
    }


def start(net: Residual, file: Loaded, *, names: Sequence[str]) -> None:
    """Load the weights of a trained network with the same hyperparameters into `net`.

    Styles that it knows by name keep their norm parameters; other styles start with the mean of all. Noise strengths
    missing from the file stay zero. Raises `WeightsMismatch` with every tensor that differs.
    """
    known = styles_of(file)
    tensors = {
        k: _started(value, known, names=names) if is_style_param(k) else value for k, value in file.tensors.items()
    }
    try:
        fill(net, with_own_defaults(net, tensors), where=file.card.name)
    except WeightsMismatch as error:
        raise WeightsMismatch(f"`start_from` does not fit a network with these options: {error}") from error


def styles_of(file: Loaded) -> list[str]:
    """The names of a network's styles, in order; the network's own name if it has a single one."""
    return [style["name"] for style in file.card.styles] or [file.card.name]


def _started(value: Tensor, known: Sequence[str], *, names: Sequence[str]) -> Tensor:
    """Norm parameters `(known, c)`, or `(c,)` of one style, for the styles `names`."""
    table = value.float() if value.ndim == 2 else value.float()[None]
    mean = table.mean(0)
    params = torch.stack([table[known.index(name)] if name in known else mean for name in names])
    return params[0] if len(names) == 1 else params


@torch.no_grad()
def init_palette(net: Residual, pictures: Sequence[Tensor], *, weights: Sequence[float]) -> None:
    """Set palette and contrast of a network that recolours to those of the style pictures `(1, 3, h, w)`.

    A network of one style gets their weighted mean.
    """
    if not net.recolours:
        return
    stats = {PALETTE: [moments(picture, covariances=True).flatten(1) for picture in pictures]}
    if net.matches_bands:
        stats[BANDS] = [band_covariances(picture) for picture in pictures]
    for name, values in stats.items():
        table = torch.cat(values)
        mean = torch.tensor(weights) / sum(weights) @ table
        net.get_buffer(name).copy_(mean if net.styles == 1 else table)


def network_card(
    options: FastNetworkOptions,
    *,
    numbers: Mapping[str, Any],
    styles: Sequence[Mapping[str, str]],
    command: str,
    training: dict[str, Any],
    notes: str = "",
) -> Card:
    """The card of a trained network. It lists the `styles`, with their `name`, if the network has several."""
    return Card(
        kind=KIND,
        name=options.name or styles[0]["name"],
        network={"architecture": "residual", **numbers},
        licence=options.licence,
        source=options.about or command,
        training=training,
        styles=[dict(style) for style in styles] if numbers.get("styles", 1) > 1 else [],
        notes=notes,
    )


def network_run(
    task: Residuals,
    batches: Callable[[int], Any],
    *,
    options: FastNetworkOptions,
    fitting: FastFitOptions,
    metadata: dict[str, Any],
    styles: Sequence[Mapping[str, str]],
    command: str,
    datasets: tuple[ImageDataset, ...],
    notes: str = "",
) -> Run[Residuals]:
    """The training of a task's network, whose card is `network_card` with the account in `metadata`."""
    numbers, training = numbers_of(options) | {"styles": task.network.styles}, metadata | {"fit": fitting.to_dict()}
    card = network_card(options, numbers=numbers, styles=styles, command=command, training=training, notes=notes)
    return Run(
        task=task,
        batches=batches,
        fitting=fitting,
        metadata=metadata,
        export=lambda tensors: (half_precision(tensors), card),
        frozen=(task.encoder.net,),
        datasets=datasets,
    )


def half_precision(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convolutions in half precision; the few norm parameters unchanged."""
    return {key: value.half() if value.ndim == 4 else value for key, value in tensors.items()}
