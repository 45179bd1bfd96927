"""Saved styles: the code of a style picture in a file of a few kilobytes, without the picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from impasto.core.errors import OptionError, WeightsError
from impasto.nets.table import Network
from impasto.styles.text import CODE_SUFFIX
from impasto.stylizers.codes import OPTIONAL, code_of
from impasto.weights import card as cards
from impasto.weights.card import Card, Loaded

KIND = "style"


def check_code_path(path: Path) -> None:
    """Raise `OptionError` for a file name that cannot be that of a saved style."""
    if path.suffix.lower() != CODE_SUFFIX or path.is_dir():
        raise OptionError(f"{path} cannot name a saved style; a file ending in {CODE_SUFFIX} is needed.")
    if path.exists():
        card = cards.card_of(path)
        if card is None or card.kind != KIND:
            raise OptionError(f"{path} exists and is not a saved style, so it is not replaced. Name another file.")


def save_code(path: Path, pixels: Tensor, *, network: Network, made_from: Mapping[str, Any]) -> Card:
    """Write the code of `pixels` `(1, 3, h, w)` in `[0, 1]` and return its card.

    `made_from` describes the picture in plain values.
    """
    check_code_path(path)
    encoder = network.encoder
    card = Card(
        kind=KIND,
        name=path.stem,
        network={
            "encoder": {"name": encoder.name, "sha256": encoder.sha256},
            "layers": list(network.net.code_layers),
            "statistic": network.net.statistic.name,
        },
        source=str(made_from.get("picture", "")),
        training=dict(made_from),
    )
    cards.save(path, {layer: stats.float() for layer, stats in code_of(pixels, network).items()}, card=card)
    return card


def read_code(path: Path) -> Loaded:
    """A saved style. Raises `WeightsError` for any other file."""
    if not path.is_file():
        raise WeightsError(f"{path} does not exist; a file of `impasto style save` is needed.")
    file = cards.load(path)
    if file.card.kind != KIND:
        raise WeightsError(
            f"{path} holds weights of kind {file.card.kind}, not a style. Name a picture or a saved style."
        )
    return file


def code_for(network: Network, path: Path) -> dict[str, Tensor]:
    """The code in a saved style, checked to be of the network's encoder and layers. Raises `WeightsError`."""
    file = read_code(path)
    encoder, saved_with = network.encoder, file.card.network.get("encoder")
    if not isinstance(saved_with, dict) or saved_with.get("sha256") != encoder.sha256:
        name = saved_with.get("name") if isinstance(saved_with, dict) else None
        raise WeightsError(
            f"{path} was saved with another encoder ({name}) than that of {network.name} ({encoder.name}). "
            "Save the style again with this network, or give the picture."
        )
    needed = network.code_shapes
    if any(name not in file.tensors or tuple(file.tensors[name].shape) != shape for name, shape in needed.items()):
        raise WeightsError(
            f"{path} does not have the {network.net.statistic.name} of {', '.join(needed)} that {network.name} needs. "
            "Save the style again with this network, or give the picture."
        )
    optional = {*OPTIONAL} & file.tensors.keys()
    return {name: file.tensors[name] for name in (*needed, *optional)}
