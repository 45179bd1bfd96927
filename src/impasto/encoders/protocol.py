"""The interface of an encoder's network: all that other modules use of an architecture.

A new encoder is one file with a network of this interface and a builder, and one row in `encoders.table`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor
from torch.nn import Parameter

from impasto.core.errors import UnknownName
from impasto.image.tiling import Wraps

Stages = tuple[tuple[int, int], ...]
"""Width and number of 3×3 convolutions of each stage, with downsampling by 2 between stages."""


@dataclass(frozen=True, kw_only=True)
class DefaultLayers:
    """Layers of the content and the style loss, from shallow to deep."""

    content: tuple[str, ...]
    style: tuple[str, ...]


class EncoderNet(Protocol):
    """A module that maps an image to features by layer name."""

    @property
    def layers(self) -> tuple[str, ...]:
        """Every layer name, shallow to deep."""

    @property
    def defaults(self) -> DefaultLayers:
        """Recommended layers, for optimisation and as a training loss."""

    @property
    def stages(self) -> Stages | None:
        """The stages of a plain sequence of 3×3 convolutions, which a decoder can mirror; None for other networks.

        Layers of a network with stages are named `reluS_I`, for the I-th convolution of stage S, both from 1 on.
        """

    @property
    def score_layer(self) -> str | None:
        """The layer of the class scores, `(b, classes, 1, 1)`; None without a classifier."""

    def width(self, layer: str) -> int:
        """Number of channels of a layer. Raises `UnknownName`."""

    def stride(self, layer: str) -> int:
        """Pixels of the image per feature pixel. Raises `UnknownName`."""

    def smallest_px(self, layers: Iterable[str]) -> int:
        """Shortest image side that the layers accept. Raises `UnknownName`."""

    def reach_px(self, layers: Iterable[str]) -> int | None:
        """Receptive field to each side in pixels, of tiles whose edges are multiples of the layers' strides.

        None where tiles of an image do not equal the whole.
        None is right for a network whose features are not aligned with multiples of their stride.
        """

    def align_borders(self) -> None:
        """Pad the input from now on so that features align with networks with padded convolutions."""

    def wrapped(self, wraps: Wraps) -> EncoderNet:
        """The network with the same weights for pictures that wrap: padding comes from the opposite edge.

        Sides that wrap are multiples of the layers' strides. Raises `OptionError` for a network without this padding.
        """

    def __call__(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Features `(b, c, h, w)` of `image` `(b, 3, h, w)`, RGB in `[0, 1]`. Raises `ImageTooSmall`."""

    # The methods of torch.nn.Module in use:

    def eval(self) -> Any:
        """Set the module to evaluation."""

    def requires_grad_(self, requires_grad: bool = True) -> Any:
        """Switch gradients by the weights."""

    def to(self, *args: Any, **kwargs: Any) -> Any:
        """Move the weights to a device, type or memory format."""

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The weights."""


def unknown_layer(layer: str, layers: Sequence[str], *, defaults: DefaultLayers) -> UnknownName:
    """The error for a layer that the encoder does not have, with the options that set layers."""
    error = UnknownName.of("layer", layer, known=layers)
    content, style = (
        " ".join(f"`{kind}_layers={name}`" for name in names)
        for kind, names in (("content", defaults.content), ("style", defaults.style))
    )
    return UnknownName(f"{error} Layers are set by `content_layers` and `style_layers`, for example {content} {style}.")
