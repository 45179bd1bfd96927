"""Resolved styles: a picture, a saved code, or a trained style of a network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from impasto.config.job import StyleSource
from impasto.image.files import Picture
from impasto.styles.text import StyleName, is_weight_file


class OfFile(Protocol):
    """A style that is named by its file."""

    source: StyleSource

    @property
    def name(self) -> str:
        """The file's name."""
        return Path(self.source.source).name

    @property
    def stem(self) -> str:
        """The name of this style in names of outputs."""
        return Path(self.source.source).stem


@dataclass(frozen=True, kw_only=True)
class PictureStyle(OfFile):
    """A style picture: the file that `source` names, or `picture` in memory."""

    source: StyleSource
    picture: Picture | None = None

    @property
    def file(self) -> str | None:
        """The file that the style is in; None for one in memory."""
        return self.source.source if self.picture is None else None


@dataclass(frozen=True, kw_only=True)
class CodeStyle(OfFile):
    """A saved style: the code of a style picture, without the picture."""

    source: StyleSource

    @property
    def file(self) -> str:
        """The file that the style is in."""
        return self.source.source


@dataclass(frozen=True, kw_only=True)
class TrainedStyle:
    """A style that a fast network was trained for, by the network's name or weight file."""

    source: StyleSource
    at: StyleName

    @property
    def name(self) -> str:
        """The style's name in its network."""
        return self.at.style or Path(self.at.network).name

    @property
    def stem(self) -> str:
        """The name of this style in names of outputs."""
        return self.at.style or Path(self.at.network).stem

    @property
    def file(self) -> str | None:
        """The network's weight file; None if it is found by name."""
        return self.at.network if is_weight_file(self.at.network) else None


ResolvedStyle = PictureStyle | CodeStyle | TrainedStyle


def files_of(style: ResolvedStyle) -> tuple[str, ...]:
    """Every file that the style needs: its own and its mask, as the job names them."""
    own = () if style.file is None else (style.file,)
    return own if style.source.mask_file is None else (*own, str(style.source.mask_file))
