"""The trained styles on this machine, and the resolution of a style's text."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

from impasto.config.job import StyleSource
from impasto.core.errors import OptionError, UnknownName
from impasto.nets.fast import KIND, several
from impasto.styles.resolved import CodeStyle, PictureStyle, ResolvedStyle, TrainedStyle
from impasto.styles.text import CODE_SUFFIX, StyleName, is_weight_file, may_be_name, split_name
from impasto.weights import catalogue
from impasto.weights.card import Card, card_of


class StyleCatalogue:
    """The fast networks and their styles, read when they are first asked for and kept: one object a command."""

    def __init__(self) -> None:
        self._classified: dict[str, StyleName | Literal["code", "picture"]] = {}

    @cached_property
    def installed(self) -> Mapping[str, catalogue.Installed]:
        """All weights that are on this machine, by name."""
        return {row.name: row for row in catalogue.installed()}

    @cached_property
    def networks(self) -> Mapping[str, tuple[str, ...]]:
        """The styles of each fast network of the catalogue, and of each imported one, by its name.

        A network of one style has its own name for it, where its card has no other; so has one that is not here yet.
        """
        styles = {}
        imported = (name for name, row in self.installed.items() if row.origin == "imported")
        for name in (*catalogue.CATALOGUE, *imported):
            entry, card = catalogue.CATALOGUE.get(name), None
            if name in self.installed and (entry is None or entry.kind == KIND):
                card = card_of(self.installed[name].path)
            if (entry.kind if entry else card.kind if card else "") == KIND:
                styles[name] = _styles_in(card) or (name,)
        return styles

    @cached_property
    def _first_choices(self) -> Mapping[str, tuple[str, ...]]:
        """The networks that a style's bare name is looked up in: all but small ones, which repeat styles of others."""
        small = {entry.small for entry in catalogue.CATALOGUE.values()}
        return {network: styles for network, styles in self.networks.items() if network not in small}

    @property
    def names(self) -> list[str]:
        """The names of all trained styles, of networks of one as of many."""
        single = {name for name, styles in self.networks.items() if len(styles) == 1}
        return sorted(single.union(*self.networks.values()))

    def resolve(self, source: StyleSource) -> ResolvedStyle:
        """The style that the text of `source` names; each text is resolved once.

        A picture's file is not opened here. Raises `UnknownName` for a text that is
        neither a file nor looks like one, and names no trained style; `OptionError` for a style's name that several
        networks have, or a network of several styles.
        """
        text = source.source
        if text not in self._classified:
            self._classified[text] = self._classify(text)
        match self._classified[text]:
            case StyleName() as name:
                return TrainedStyle(source=source, at=name)
            case "code":
                return CodeStyle(source=source)
            case _:
                return PictureStyle(source=source)

    def _classify(self, text: str) -> StyleName | Literal["code", "picture"]:
        name = split_name(text)
        if name.style and (is_weight_file(name.network) or name.network in self.networks):
            return self._checked_name(name)
        if text.lower().endswith(CODE_SUFFIX):
            card = card_of(Path(os.path.expanduser(text)))
            if card is None or card.kind != KIND:
                return "code"
        return self.named(text) if is_weight_file(text) or may_be_name(text) else "picture"

    def named(self, text: str) -> StyleName:
        """The network and style of a trained style's text; a file that does not exist is not looked for.

        Raises as `resolve` does.
        """
        name = split_name(text)
        if is_weight_file(name.network) or os.path.exists(text):
            return self._checked_name(name)
        if name.style:
            if name.network not in self.networks:
                unknown = UnknownName.of("network", name.network, known=self.networks)
                raise UnknownName(f"there is no file {text}: {unknown}")
            return self._checked_name(name)
        if len(self.networks.get(text, ())) == 1:  # also where a network of many has a style of this name
            return StyleName(text)
        holders = [network for network, styles in self._first_choices.items() if text in styles]
        if len(holders) > 1:
            ways = " or ".join(str(StyleName(network, text)) for network in holders)
            raise OptionError(f"{text} is a style of {' and of '.join(holders)}. Name one of them: {ways}.")
        if holders:
            return self._checked_name(StyleName(holders[0], text))
        if text in self.networks:
            raise OptionError(several(text, self.networks[text]))
        raise UnknownName(f"there is no file {text}: {UnknownName.of('trained style', text, known=self.names)}")

    def small(self, style: TrainedStyle) -> StyleSource | None:
        """The same style in a network with less arithmetic, where one is installed."""
        entry = catalogue.CATALOGUE.get(style.at.network)
        network = entry.small if entry is not None else None
        if network not in self.installed or style.at.style not in self.networks[str(network)]:
            return None
        return dataclasses.replace(style.source, source=str(StyleName(str(network), style.at.style)))

    def sources(self, chosen: Sequence[str] = ()) -> list[str]:
        """The text of each style of the networks, files and styles `chosen`: short where that is unambiguous.

        Without any, those of all networks on this machine but small ones. Raises as `named` does.
        """
        every = chosen or [network for network in self._first_choices if network in self.installed]
        return list(dict.fromkeys(source for name in every for source in self._sources_of(name)))

    def styles_in(self, text: str) -> list[str]:
        """The text of each style of a network of several, by its name or file; empty for any other text."""
        is_style = any(text in styles for styles in self.networks.values())
        if not (is_weight_file(text) or (text in self.networks and not is_style and may_be_name(text))):
            return []
        return self._sources_of(text) if len(self._styles_of(text) or ()) > 1 else []

    def check_new(self, name: str, *, replace: bool = False) -> None:
        """Raise `OptionError` for a name that a new style cannot have, or that is taken, unless it may `replace`."""
        catalogue.imported_path(name)
        if name in {*self.networks, *self.names, *self.installed} and not replace:
            raise OptionError(
                f"{name} is the name of a style or a network already. Choose another with `name`, or add `replace`."
            )

    def _sources_of(self, name: str) -> list[str]:
        """Those of a network by name or file, or of one style."""
        styles = self._styles_of(name)
        if styles is None or len(styles) == 1:
            self.named(name)
            return [name]
        whole = [StyleName(name, style) for style in styles]
        return [place.style if self._is_unambiguous(place) else str(place) for place in whole]

    def _is_unambiguous(self, name: StyleName) -> bool:
        """Whether the style's bare name is unambiguous."""
        try:
            return may_be_name(name.style) and self.named(name.style) == name
        except OptionError:
            return False

    def _checked_name(self, name: StyleName) -> StyleName:
        """The name, checked against the network's styles if the network is on this machine."""
        styles = self._styles_of(name.network)
        if styles is None:
            return name
        if name.style and name.style not in styles:
            raise UnknownName.of(f"style of {name.network}", name.style, known=styles)
        if len(styles) > 1 and not name.style:
            raise OptionError(several(name.network, styles))
        return name if len(styles) > 1 else StyleName(name.network)

    def _styles_of(self, network: str) -> tuple[str, ...] | None:
        """The styles of a network by name or file; None if it is not here, or has no card."""
        if not (is_weight_file(network) or os.path.isfile(network)) and network in self.networks:
            return self.networks[network] if network in self.installed else None
        return _styles_in(card_of(Path(os.path.expanduser(network)))) or None


def _styles_in(card: Card | None) -> tuple[str, ...]:
    """The styles that a card names; one without any names itself."""
    if card is None or card.kind != KIND:
        return ()
    return tuple(style["name"] for style in card.styles) or (card.name,)
