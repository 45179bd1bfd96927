"""Styles kept in a file of a few kilobytes: what a one-pass network needs to know of a picture, without the picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from impasto.core.errors import OptionError, WeightsError
from impasto.nets.table import Network
from impasto.stylizers.codes import code_of
from impasto.weights import card as cards
from impasto.weights.card import Card, Loaded

KIND = "style"
SUFFIX = ".safetensors"


def is_saved(source: str | Path) -> bool:
    """Whether a style's name is that of a saved style, not of a picture."""
    return Path(source).suffix.lower() == SUFFIX


def check_path(path: Path) -> None:
    """Raise `OptionError` for a file name under which a saved style would not be known again."""
    if not is_saved(path) or path.is_dir():
        raise OptionError(f"{path} is no name for a saved style; a file ending in {SUFFIX} is needed.")


def save(path: Path, pixels: Tensor, network: Network, *, made_from: Mapping[str, Any]) -> Card:
    """Write the code of `pixels` `(1, 3, h, w)`, and give back its card.

    `made_from` says in plain values what it is the style of.
    """
    check_path(path)
    encoder = network.encoder
    card = Card(
        kind=KIND,
        name=path.stem,
        network={
            "encoder": {"name": encoder.name, "sha256": encoder.sha256},
            "layers": list(network.net.code_layers),
            "covariances": network.net.covariances,
        },
        source=str(made_from.get("picture", "")),
        training=dict(made_from),
    )
    cards.save(path, {layer: stats.float() for layer, stats in code_of(pixels, network).items()}, card)
    return card


def read(path: Path) -> Loaded:
    """A saved style. `WeightsError` for a file that is none."""
    if not path.is_file():
        raise WeightsError(f"{path} does not exist; a style that `impasto style save` wrote is needed.")
    found = cards.load(path)
    if found.card.kind != KIND:
        raise WeightsError(f"{path} holds weights of kind {found.card.kind}, and no style. Name a picture or a style.")
    return found


def code_in(path: Path, network: Network) -> dict[str, Tensor]:
    """The code in a saved style, once it is known to be of the same encoder and layers as the network's."""
    found = read(path)
    made, encoder = found.card.network, network.encoder
    its = made.get("encoder")
    if not isinstance(its, dict) or its.get("sha256") != encoder.sha256:
        name = its.get("name") if isinstance(its, dict) else None
        raise WeightsError(
            f"{path} was saved with another encoder ({name}) than that of {network.name} ({encoder.name}). "
            "Save the style again with this network, or give the picture."
        )
    needed, covariances = network.code_shapes, network.net.covariances
    if not needed.keys() <= found.tensors.keys() or made.get("covariances") != covariances:
        kind = "means and covariances" if covariances else "means and deviations"
        raise WeightsError(
            f"{path} has not what {network.name} needs: {kind} of {', '.join(needed)}. Save the style again "
            "with this network, or give the picture."
        )
    cards.check_shapes({name: tuple(found.tensors[name].shape) for name in needed}, needed, str(path))
    return {name: found.tensors[name] for name in needed}
