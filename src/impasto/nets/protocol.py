"""What every one-pass network with arbitrary styles is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from torch import Tensor

Feats = Mapping[str, Tensor]
"""Features of a content `(b, c, h, w)` by name, before any style."""

Stats = Mapping[str, Tensor]
"""Statistics of features over a whole picture by name: `(b, 2, c)`, mean and standard deviation; with covariances
`(b, 1 + c, c)`, mean above covariance."""

Code = Mapping[str, Tensor]
"""The statistics of a style picture's features in the encoder, by layer, as in `Stats`. Codes mix linearly."""


class Coded(Protocol):
    """A network that paints by the code of a style."""

    code_layers: tuple[str, ...]
    """Layers of the encoder whose statistics are a style's code."""

    covariances: bool
    """Whether statistics are means and covariances; means and standard deviations otherwise."""

    recolours: bool
    """Whether features are to be those of the content in the style's colours, which are then an entry of the code:
    `colours.COLOURS`."""


class OnePass(Coded, Protocol):
    """A network that paints in one pass, in three parts, so that a picture can be painted tile by tile.

    `features` looks at places only; what is known of the whole picture is in the statistics of these features, which
    `render` is given. So tiles that overlap by `reach_px` are exactly parts of the whole.
    """

    stride: int
    """Sides of a picture must be multiples of this, and so must the corners of tiles."""

    reach_px: int
    """No pixel of the output depends on features of a content pixel farther away than this on a side."""

    def features(self, image: Tensor) -> Feats:
        """Features of `image` `(b, 3, h, w)` in `[0, 1]`."""
        ...

    def render(self, feats: Feats, stats: Stats, code: Code, *, strength: float = 1) -> Tensor:
        """The picture `(b, 3, h, w)`, not clamped. `strength` below 1 goes towards the content's own features."""
        ...
