"""What the trainings of fast networks share: the network before and after, and what their options say of contents."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from impasto.config.fast_training import FastFitOptions, FastNetworkOptions
from impasto.core.errors import OptionError, WeightsMismatch
from impasto.nets.fast import KIND
from impasto.nets.layers import PALETTE, is_style_param
from impasto.nets.moments import moments
from impasto.nets.residual import Residual
from impasto.training import sources
from impasto.weights import readers
from impasto.weights.card import Card, Loaded, fill, save

FILE = "network.safetensors"
HELD = 8  # contents that are painted as samples (R1 keeps as many aside)
ENOUGH = 10  # times as many contents must there be, for the held ones to be kept out of the training


def weights_of(options: FastNetworkOptions, count: int, *, kind: str = "styles") -> tuple[float, ...]:
    """A weight for each of `count` styles, or whatever `kind` they are of. Raises `OptionError`."""
    if len(options.weights) not in (1, count):
        raise OptionError(f"--weights has {len(options.weights)} numbers; {count} {kind} need as many, or one.")
    found = options.weights * count if len(options.weights) == 1 else options.weights
    if not all(found) and (options.many == "conditional" or not any(found)):
        given = ",".join(f"{weight:g}" for weight in found)
        raise OptionError(f"--weights is {given}: a {kind.removesuffix('s')} of weight 0 is not learned.")
    return found


def untrained(options: FastNetworkOptions, names: Sequence[str], *, seed: int) -> Residual:
    """The network before training, or as `--start-from` left it, with a row for each of the styles `names`.

    Without `--many conditional` it has one style. Draws from torch's own random numbers.
    """
    torch.manual_seed(seed)
    rows = names if options.many == "conditional" else names[:1]
    net = Residual(**numbers_of(options), styles=len(rows))
    if options.start_from is not None:
        start(net, readers.load_weights(options.start_from), rows)
    return net


def numbers_of(options: FastNetworkOptions) -> dict[str, Any]:
    """The numbers of the network, without its styles."""
    return {
        "widths": list(options.widths),
        "blocks": options.blocks,
        "outer_px": options.outer_px,
        "skips": options.skips,
        "recolours": options.recolours,
        "upsampling": options.upsampling,
    }


def start(net: Residual, file: Loaded, names: Sequence[str]) -> None:
    """Give `net` the weights of a trained network of the same numbers.

    A style that the network knows by its name keeps its scales and shifts; any other begins with the mean of all.
    Raises `WeightsMismatch` with every tensor that differs.
    """
    known = styles_of(file)
    tensors = {k: _begun(value, known, names) if is_style_param(k) else value for k, value in file.tensors.items()}
    try:
        fill(net, tensors, file.card.name)
    except WeightsMismatch as error:
        raise WeightsMismatch(f"--start-from does not serve a network of these numbers: {error}") from error


def styles_of(file: Loaded) -> list[str]:
    """The names of a network's styles in the order of its rows; its own where it has one that is not named."""
    return [style["name"] for style in file.card.styles] or [file.card.name]


def _begun(value: Tensor, known: Sequence[str], names: Sequence[str]) -> Tensor:
    """Rows `(known, c)`, or one `(c,)`, for the styles `names`."""
    table = value.float() if value.ndim == 2 else value.float()[None]
    mean = table.mean(0)
    found = torch.stack([table[known.index(name)] if name in known else mean for name in names])
    return found[0] if len(names) == 1 else found


def held_apart(
    contents: Sequence[sources.Named], validation: Path | None
) -> tuple[list[sources.Named], list[sources.Named]]:
    """Contents that are painted as samples, and those that are trained on. Raises `DataError`."""
    if validation is not None:
        return sources.listed_in("validation", [validation])[:HELD], list(contents)
    count = min(HELD, len(contents))
    held = [contents[i * len(contents) // count] for i in range(count)]
    if len(contents) < ENOUGH * HELD:
        return held, list(contents)
    return held, [item for item in contents if item not in held]


def timed(options: FastNetworkOptions, fitting: FastFitOptions, contents: int) -> FastFitOptions:
    """With as many steps as --epochs asks for."""
    if options.epochs is None:
        return fitting
    return dataclasses.replace(fitting, steps=max(1, math.ceil(options.epochs * contents / fitting.batch_size)))


@torch.no_grad()
def init_palette(net: Residual, pictures: Sequence[Tensor], weights: Sequence[float]) -> None:
    """Give a network that recolours the colours of its styles' pictures `(1, 3, h, w)`.

    A network of one style gets the weighted mean of all.
    """
    if not net.recolours:
        return
    rows = torch.cat([moments(picture, covariances=True).flatten(1) for picture in pictures])
    shares = torch.tensor(weights) / sum(weights)
    net.get_buffer(PALETTE).copy_(shares @ rows if net.styles == 1 else rows)


def write_network(
    tensors: Mapping[str, Tensor],
    folder: Path,
    *,
    options: FastNetworkOptions,
    numbers: Mapping[str, Any],
    styles: Sequence[Mapping[str, str]],
    command: str,
    training: dict[str, Any],
    notes: str = "",
) -> Path:
    """Write the weights of a trained network with their card into `folder`; the file's path.

    `styles` are what it was taught, with their `name`; the card lists them where the network's `numbers` say that it
    has several.
    """
    card = Card(
        kind=KIND,
        name=options.name or styles[0]["name"],
        network={"architecture": "residual", **numbers},
        licence=options.licence,
        source=options.about or command,
        training=training,
        styles=[dict(style) for style in styles] if numbers.get("styles", 1) > 1 else [],
        notes=notes,
    )
    save(path := folder / FILE, tensors, card)
    return path


def halved(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convolutions in half precision; scales and shifts, which are few, as they are."""
    return {key: value.half() if value.ndim == 4 else value for key, value in tensors.items()}
