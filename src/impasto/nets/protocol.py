"""The protocols of one-pass networks; everything above `nets/` paints by these alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from torch import Tensor, nn

from impasto.image.resize import SizeHW
from impasto.image.tiling import NO_WRAPS, Wraps
from impasto.nets.noise import Noise
from impasto.nets.statistics import CodeStatistic

Feats = Mapping[str, Tensor]
"""Features of a content by name, `(b, c, h, w)`."""

Stats = Mapping[str, Tensor]
"""Statistics of features over a whole picture by name: `(b, 2, c)`, mean and standard deviation; `(b, 1 + c, c)`, mean
above covariance; or `(b, 128, c)`, quantiles."""

Code = Mapping[str, Tensor]
"""The statistics of a style picture's features in the encoder, by layer, as in `Stats`. Codes mix linearly."""

StyleParams = Mapping[str, Tensor]
"""The parameters of one style or of a batch of styles, `(b, …)` by name: predicted norm parameters, or the code itself.
They mix linearly, too."""

ReadRows = Callable[[int, int], Tensor]
"""Rows from the first number up to the second, without it: `(1, c, stop - start, w)`."""

PaintedRows = Iterator[tuple[slice, Tensor]]
"""Rows of a picture from top to bottom with their painting, `(1, 3, rows, w)` in float32, not clamped."""


class OneStyle(Protocol):
    """A network with one style: it paints a picture whole, or by strips with the same result."""

    @property
    def smallest_px(self) -> int:
        """Shortest side of a picture."""

    @property
    def whole_bytes(self) -> int:
        """Memory for painting a picture whole in bfloat16, for each of its pixels."""

    def __call__(self, image: Tensor, *, noise: Noise | None = None) -> Tensor:
        """`image` `(b, 3, h, w)` painted whole: float32, not clamped. `noise` defaults to the noise of seed 0."""

    def strips(
        self, read: ReadRows, size_hw: SizeHW, *, room_bytes: int, noise: Noise | None = None, wraps: Wraps = NO_WRAPS
    ) -> PaintedRows:
        """Paint a picture of `size_hw` whose rows `read` gives in float32, as often as it is asked.

        Features are kept in about `room_bytes`, and computed again beyond that. The result equals painting it whole.
        Sides that `wraps`, multiples of `tiling.MULTIPLE_PX`, continue at the opposite edge.
        """


class Coded(Protocol):
    """A network that knows a style by the statistics of its features."""

    code_layers: tuple[str, ...]
    """Layers of the encoder whose statistics are a style's code."""

    statistic: CodeStatistic
    """Of its features, at the code layers."""

    recolours: bool
    """Whether the network paints on the content in the style's colours, which are then an entry of the code:
    `colours.COLOURS`."""


class AnyStyle(Coded, Protocol):
    """A network that paints in any style, in one pass. A new one is a file with this protocol and a row in `table`."""

    @property
    def fast_network(self) -> tuple[nn.Module, Mapping[str, Any]] | None:
        """The fast network that paints, and its options as a card has them; None where there is none.

        Trained styles of a network with the same convolutions have the same style parameters, and mix with pictures.
        """

    def style_params(self, code: Code) -> StyleParams:
        """The parameters `(b, …)` of the styles of `code` `(b, …)`."""

    def of_style(self, params: StyleParams) -> OneStyle:
        """The network with the parameters `(1, …)` of one style; weights are shared, not copied."""

    def __call__(self, image: Tensor, code: Code, *, feats: Feats | None = None) -> Tensor:
        """`image` `(b, 3, h, w)` painted whole, each in the style of its `code`, as in training.

        `feats` are the encoder's features of what is painted on, where they are known.
        """
