"""Styles by name: which source of a style is a picture, and which the network of a learned style."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from impasto.core.errors import OptionError, UnknownName, WeightsError
from impasto.encoders.table import Progress
from impasto.image.formats import READABLE_SUFFIXES
from impasto.nets import learned as nets
from impasto.nets.learned import KIND, Learned
from impasto.rendering import saved
from impasto.weights import catalogue
from impasto.weights.card import card_of
from impasto.weights.catalogue import CATALOGUE, WEIGHT_SUFFIXES


def is_learned(source: str) -> bool:
    """Whether a style's source is a learned style: the name of one, or a weight file that is no saved style."""
    if saved.is_saved(source):
        card = card_of(Path(source))
        return card is not None and card.kind == KIND
    if source.lower().endswith(WEIGHT_SUFFIXES):
        return True
    return may_be_name(source) and _kind_of(source) == KIND


def _kind_of(name: str) -> str:
    """What the catalogue or the imports have by this name; empty for nothing."""
    if name in CATALOGUE:
        return CATALOGUE[name].kind
    try:
        card = card_of(catalogue.imported_path(name))
    except OptionError:  # no name that an import can have
        return ""
    return "" if card is None else card.kind


def may_be_name(source: str) -> bool:
    """Whether a source is neither a file that exists nor looks like one."""
    path = Path(source)
    looks = path.name != source or path.suffix.lower() in READABLE_SUFFIXES or source.lower().endswith(WEIGHT_SUFFIXES)
    in_memory = source.startswith("(")  # what a program gives has no name
    return bool(source) and not looks and not in_memory and not os.path.exists(source)


def names() -> list[str]:
    """The names of all learned styles: those of the catalogue and those that were imported."""
    imported = [found for found in catalogue.installed() if found.origin == "imported"]
    mine = [found.name for found in imported if (card := card_of(found.path)) is not None and card.kind == KIND]
    return sorted({*mine, *(name for name, entry in CATALOGUE.items() if entry.kind == KIND)})


def check_known(source: str) -> None:
    """Raise `UnknownName`, with the nearest learned style and the list of all, for a source that is no file."""
    if may_be_name(source) and not is_learned(source):
        raise UnknownName(f"there is no file {source}: {UnknownName.of('learned style', source, names())}")


def check_all(sources: Sequence[str], method: str) -> None:
    """Raise `OptionError` unless `--method fast` has learned styles only, and the others none."""
    for source in sources:
        if method == KIND and not is_learned(source):
            check_known(source)
            raise OptionError(
                f"{source} is no learned style, and --method {KIND} paints with those only, which are not mixed with "
                f"pictures. Name one (known: {', '.join(names()) or 'none'}), or leave --method {KIND} out and mix "
                "pictures alone."
            )
        if method != KIND and is_learned(source):
            raise OptionError(
                f"{source} is a learned style, which --method {KIND} paints, and --method {method} needs a style's "
                "picture. Leave --method out, or give the picture."
            )


def loaded(sources: Sequence[str], *, precision: str, progress: Progress | None = None) -> dict[str, Learned]:
    """The networks by source. Raises `WeightsError` and its kinds."""
    found = {}
    for source in dict.fromkeys(sources):
        if source.lower().endswith(WEIGHT_SUFFIXES) and not os.path.isfile(source):
            raise WeightsError(f"{source} does not exist; a weight file of a learned style is needed.")
        found[source] = nets.loaded(source, precision=precision, progress=progress)
    return found


def digests(networks: Sequence[Learned]) -> dict[str, str]:
    """The sha256 by the networks' names; a name that another network has already is numbered."""
    found: dict[str, str] = {}
    for network in networks:
        name, number = network.name, 1
        while found.get(name, network.sha256) != network.sha256:
            number += 1
            name = f"{network.name}-{number}"
        found[name] = network.sha256
    return found
