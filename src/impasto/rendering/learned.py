"""Styles by name: which source of a style is a picture, and which a trained style, of which network."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from impasto.core.errors import OptionError, UnknownName, WeightsError
from impasto.encoders.table import Progress
from impasto.image.formats import READABLE_SUFFIXES
from impasto.nets import fast as nets
from impasto.nets.fast import KIND, FastNetwork, several
from impasto.rendering import saved
from impasto.weights import catalogue
from impasto.weights.card import Card, card_of
from impasto.weights.catalogue import CATALOGUE, WEIGHT_SUFFIXES

SIGN = "#"
"""Between a network's name or file and one of its styles: `compact-styles#wave`."""


@dataclass(frozen=True)
class Place:
    """Where a trained style is: its network, a name or a weight file, and its name there; empty for the only one."""

    network: str
    style: str = ""

    def __str__(self) -> str:
        return f"{self.network}{SIGN}{self.style}" if self.style else self.network


def split(source: str) -> Place:
    """The network and the style that `NETWORK#STYLE` writes; of any other source the whole. An existing file wins."""
    network, _, style = source.rpartition(SIGN)
    is_part = style.lower().endswith((*READABLE_SUFFIXES, *WEIGHT_SUFFIXES)) or Path(style).name != style
    if not (network and style) or is_part or os.path.exists(source):
        return Place(source)
    is_network = _is_weights(network) or Path(network).name == network
    return Place(network, style) if is_network else Place(source)


def is_trained(source: str) -> bool:
    """Whether a style's source is a trained style: the name of one, or a weight file that is no saved style."""
    place = split(source)
    if place.style:
        return _is_weights(place.network) or place.network in networks()
    if saved.is_saved(source):
        card = card_of(Path(source))
        return card is not None and card.kind == KIND
    if _is_weights(source):
        return True
    return may_be_name(source) and source in (found := networks()).keys() | set().union(*found.values())


def may_be_name(source: str) -> bool:
    """Whether a source is neither a file that exists nor looks like one."""
    path = Path(source)
    looks = path.name != source or path.suffix.lower() in READABLE_SUFFIXES or _is_weights(source)
    in_memory = source.startswith("(")  # what a program gives has no name
    return bool(source) and not looks and not in_memory and not os.path.exists(source)


def networks() -> dict[str, tuple[str, ...]]:
    """The styles of each network by its name: those of the catalogue, and those that were imported.

    A network of one style has its own name for it, where its card has no other; one that is not on this machine, too.
    """
    here = {found.name: found for found in catalogue.installed()}
    found = {}
    for name in (*CATALOGUE, *(name for name, row in here.items() if row.origin == "imported")):
        entry, card = CATALOGUE.get(name), None
        if name in here and (entry is None or entry.kind == KIND):
            card = card_of(here[name].path)
        if (entry.kind if entry else card.kind if card else "") == KIND:
            found[name] = _styles(card) or (name,)
    return found


def names() -> list[str]:
    """The names of all trained styles, of networks of one as of many."""
    found = networks()
    single = {name for name, styles in found.items() if len(styles) == 1}
    return sorted(single.union(*found.values()))


def sources(chosen: Sequence[str] = ()) -> list[str]:
    """What names each style of the networks, files and styles `chosen`: shortly where that is clear.

    Without any, those of all networks on this machine. Raises as `place_of` does.
    """
    here = {row.name for row in catalogue.installed()}
    every = chosen or [network for network in networks() if network in here]
    return list(dict.fromkeys(source for name in every for source in _sources_in(name)))


def _sources_in(name: str) -> list[str]:
    """Those of a network by name or file, or of one style."""
    styles = _known(name)
    if styles is None or len(styles) == 1:
        place_of(name)
        return [name]
    whole = [Place(name, style) for style in styles]
    return [place.style if _is_clear(place) else str(place) for place in whole]


def _is_clear(place: Place) -> bool:
    """Whether the style's bare name stands for it."""
    try:
        return may_be_name(place.style) and place_of(place.style) == place
    except OptionError:
        return False


def place_of(source: str) -> Place:
    """The network and style of a trained style's source; a file that does not exist is not looked for.

    Raises `UnknownName`, and `OptionError` for a style's name that several networks have, or a network of several
    styles.
    """
    place = split(source)
    if place.style or _is_weights(source) or os.path.exists(source):
        return _chosen(place)
    found = networks()
    if len(found.get(source, ())) == 1:  # also where a network of many has a style of this name
        return Place(source)
    holders = [name for name, styles in found.items() if source in styles]
    if len(holders) > 1:
        ways = " or ".join(str(Place(name, source)) for name in holders)
        raise OptionError(f"{source} is a style of {' and of '.join(holders)}. Name one of them: {ways}.")
    if holders:
        return _chosen(Place(holders[0], source))
    if source in found:
        raise OptionError(several(source, found[source]))
    raise UnknownName.of("trained style", source, names())


def _chosen(place: Place) -> Place:
    """The place, its style known to be one of the network's, as far as that is on this machine."""
    styles = _known(place.network)
    if styles is None:
        return place
    if place.style and place.style not in styles:
        raise UnknownName.of(f"style of {place.network}", place.style, styles)
    if len(styles) > 1 and not place.style:
        raise OptionError(several(place.network, styles))
    return place if len(styles) > 1 else Place(place.network)


def _known(network: str) -> tuple[str, ...] | None:
    """The styles of a network by name or file; None where it is not here, or no file of our own."""
    if not (_is_weights(network) or os.path.isfile(network)) and network in (found := networks()):
        return found[network] if network in {row.name for row in catalogue.installed()} else None
    return _styles(card_of(Path(os.path.expanduser(network)))) or None


def _styles(card: Card | None) -> tuple[str, ...]:
    """The styles that a card names; one without any names itself."""
    if card is None or card.kind != KIND:
        return ()
    return tuple(style["name"] for style in card.styles) or (card.name,)


def _is_weights(source: str) -> bool:
    return source.lower().endswith(WEIGHT_SUFFIXES)


def check_known(source: str) -> None:
    """Raise `UnknownName`, with the nearest trained style and the list of all, for a source that is no file."""
    if not may_be_name(source) or is_trained(source):
        return
    place = split(source)
    if place.style:
        raise UnknownName(f"there is no file {source}: {UnknownName.of('network', place.network, networks())}")
    raise UnknownName(f"there is no file {source}: {UnknownName.of('trained style', source, names())}")


def check_new(name: str, *, replace: bool = False) -> None:
    """Raise `OptionError` for a name that no style of one's own can have, or that is taken, unless it may `replace`."""
    catalogue.imported_path(name)
    taken = {*networks(), *names(), *(row.name for row in catalogue.installed())}
    if name in taken and not replace:
        raise OptionError(f"{name} names a style or a network already. Give another by --name, or add --replace.")


def check_all(sources: Sequence[str], method: str) -> None:
    """Raise `OptionError` unless `--method fast` has trained styles only, and the others none."""
    for source in sources:
        if method == KIND and not is_trained(source):
            check_known(source)
            raise OptionError(
                f"{source} is no trained style, and --method {KIND} paints with those only, which are not mixed with "
                f"pictures. Name one (known: {', '.join(names()) or 'none'}), or leave --method {KIND} out and mix "
                "pictures alone."
            )
        if method != KIND and is_trained(source):
            raise OptionError(
                f"{source} is a trained style, which --method {KIND} paints, and --method {method} needs a style's "
                "picture. Leave --method out, or give the picture."
            )


def loaded(sources: Sequence[str], *, precision: str, progress: Progress | None = None) -> dict[str, FastNetwork]:
    """A network of one style by each source; one file's have the same convolutions, one style's are the same.

    Raises `WeightsError` and its kinds, and as `place_of` does.
    """
    whole: dict[str, FastNetwork] = {}
    single: dict[Place, FastNetwork] = {}
    found = {}
    for source in dict.fromkeys(sources):
        place = place_of(source)
        if place not in single:
            if place.network not in whole:
                whole[place.network] = _read(place.network, precision=precision, progress=progress)
            single[place] = _single(whole[place.network], place)
        found[source] = single[place]
    return found


def _read(network: str, *, precision: str, progress: Progress | None) -> FastNetwork:
    if _is_weights(network) and not os.path.isfile(os.path.expanduser(network)):
        raise WeightsError(f"{network} does not exist; a weight file of a trained style is needed.")
    return nets.loaded(network, precision=precision, progress=progress)


def _single(network: FastNetwork, place: Place) -> FastNetwork:
    if place.style:
        return network.of({place.style: 1.0})
    if len(network.styles) > 1:  # it was fetched just now
        raise OptionError(several(place.network, network.styles))
    return network


def moved(source: str, path: Callable[[str], str]) -> str:
    """A trained style's source with `path` applied to its weight file."""
    place = split(source)
    return str(Place(path(place.network), place.style))


def digests(networks: Sequence[FastNetwork]) -> dict[str, str]:
    """The sha256 by the networks' names; a name that another network has already is numbered."""
    found: dict[str, str] = {}
    for network in networks:
        name, number = network.name, 1
        while found.get(name, network.sha256) != network.sha256:
            number += 1
            name = f"{network.name}-{number}"
        found[name] = network.sha256
    return found
