"""Names of styles: `FILE`, `NAME`, `NETWORK#STYLE`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from impasto.image.formats import READABLE_SUFFIXES
from impasto.weights.catalogue import WEIGHT_SUFFIXES, is_weight_folder

SIGN = "#"
"""Between a network's name or file and one of its styles: `compact-styles#wave`."""

CODE_SUFFIX = ".safetensors"
"""Of the files of `impasto style save`."""


@dataclass(frozen=True)
class StyleName:
    """A trained style's network, a name or a weight file, and its name there; empty for the only style."""

    network: str
    style: str = ""

    def __str__(self) -> str:
        return f"{self.network}{SIGN}{self.style}" if self.style else self.network


def split_name(text: str) -> StyleName:
    """The network and the style of `NETWORK#STYLE`; any other text is a network as a whole. An existing file wins."""
    network, _, style = text.rpartition(SIGN)
    is_path = style.lower().endswith((*READABLE_SUFFIXES, *WEIGHT_SUFFIXES)) or Path(style).name != style
    if not (network and style) or is_path or os.path.exists(text):
        return StyleName(text)
    is_network = is_weight_file(network) or Path(network).name == network
    return StyleName(network, style) if is_network else StyleName(text)


def is_weight_file(text: str) -> bool:
    """Whether the text ends as a weight file does."""
    return text.lower().endswith(WEIGHT_SUFFIXES) or is_weight_folder(text)


def may_be_name(text: str) -> bool:
    """Whether a text is neither a file that exists nor looks like one."""
    path = Path(text)
    is_path = path.name != text or path.suffix.lower() in READABLE_SUFFIXES or is_weight_file(text)
    return bool(text) and not is_path and not os.path.exists(text)
