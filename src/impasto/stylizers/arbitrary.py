"""Painting in one pass with any style (Huang & Belongie 2017, Ghiasi et al. 2017), at any size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor

from impasto.core.errors import OptionError
from impasto.image.strips import by_strips
from impasto.image.tiling import NO_WRAPS, Wraps
from impasto.nets.bands import BANDS
from impasto.nets.colours import COLOURS, HUES, tinted_grey
from impasto.nets.fast import FastNetwork
from impasto.nets.layers import PALETTE
from impasto.nets.noise import Noise
from impasto.nets.painting import MEMORY_BYTES, Painter
from impasto.nets.protocol import Code, StyleParams
from impasto.nets.shared import shared
from impasto.nets.table import Network
from impasto.nets.windows import mirrored
from impasto.stylizers.codes import checked_code, code_of, mixed, own_code
from impasto.stylizers.protocol import Mix, Step, Style, check_strength
from impasto.stylizers.weighted import Paints, WeightedNetwork, blend

COLOUR_PARAMS = (COLOURS, HUES, PALETTE, BANDS)


@dataclass(frozen=True)
class Arbitrary:
    """A stylizer that paints any style in one pass of a network.

    Style parameters mix linearly, by any weights; so do those of `trained` styles, by the names in the mix, of a fast
    network with the same convolutions. A pass over a large picture uses about `memory_bytes`, with the same result as
    painting it whole. `noise` is by default that of seed 0. Sides that `wraps` continue at the opposite edge.
    """

    network: Network
    memory_bytes: int = MEMORY_BYTES
    noise: Noise | None = None
    trained: Mapping[str, StyleParams] = field(default_factory=dict)
    wraps: Wraps = NO_WRAPS

    def prepare(self, mix: Mix) -> Regions:
        """The parameters of the styles; without masks mixed into one. Raises `ImageTooSmall`, `OptionError`."""
        if mix.styles[0].mask is not None:
            mix.check_no_negative(by="painting with masks")
            styles = [style for style in mix.styles if style.weight > 0]
            return tuple(WeightedNetwork(AnySize(self.network, self._params(s)), s.weight, s.mask) for s in styles)
        pairs = [(self._params(s), weight) for s, weight in zip(mix.styles, mix.style_weights, strict=True) if weight]
        params = mixed([params for params, _ in pairs], [weight for _, weight in pairs])
        return (WeightedNetwork(AnySize(self.network, params), 1.0),)

    @torch.no_grad()
    def _params(self, style: Style) -> StyleParams:
        if style.trained in self.trained:
            return self.trained[style.trained]
        if style.code is not None:
            code = checked_code(style.code, self.network, name=style.name)
        else:
            code = code_of(style.required_picture(by="`method=arbitrary`"), self.network, name=style.name)
        return params_of(code, self.network)

    @torch.no_grad()
    def paint(self, content: Tensor, code: Regions, *, strength: float = 1.0) -> Iterator[Step]:
        """Yield one step, with the content's precision.

        `strength` 0 is the content itself. Up to 1 the output is `out(s) + (1 - s) · (content - out(0))`: parameters go
        from the content's own to the style's, and the network's error in the content's own style fades out. So it is
        exact at 0 and continuous. Above 1 parameters go beyond the style's in the same direction, except for colours.
        """
        check_strength(strength)
        size = (content.shape[-2], content.shape[-1])
        if strength == 0:
            yield Step(1, 1, size, content)
            return
        networks: Sequence[WeightedNetwork[Paints]] = code
        if strength != 1:
            painters = self._painters(content, code, strength=strength)
            networks = [replace(region, network=it) for region, it in zip(networks, painters, strict=True)]
        painted = blend(content, networks, memory_bytes=self.memory_bytes, noise=self.noise, wraps=self.wraps)
        yield Step(1, 1, size, painted)

    def _painters(self, content: Tensor, regions: Regions, *, strength: float) -> list[Paints]:
        """A painter for each region, at any strength but 0 and 1."""
        code = own_code(content, self.network, wraps=self.wraps)
        own = params_of({entry: shared(value) for entry, value in code.items()}, self.network)
        painters: list[Paints] = [
            AnySize(self.network, _between(own, region.network.params, strength=strength)) for region in regions
        ]
        if strength > 1:
            return painters
        plain = AnySize(self.network, own).painted(
            content, memory_bytes=self.memory_bytes, noise=self.noise, wraps=self.wraps
        )
        return [Faded(painter, plain, strength) for painter in painters]


@dataclass(frozen=True, eq=False)
class AnySize:
    """The painter of one style; a tiny picture is mirrored until it is large enough for the network."""

    network: Network
    params: StyleParams

    @cached_property
    def _painter(self) -> Painter:
        """The network of the style; building it takes as long as painting a small picture."""
        return self.network.painter({key: value for key, value in self.params.items() if key != HUES})

    def painted(
        self, image: Tensor, *, memory_bytes: int, noise: Noise | None = None, wraps: Wraps = NO_WRAPS
    ) -> Tensor:
        """`image` `(1, 3, h, w)` repainted and clamped."""
        painter = self._painter
        if HUES in self.params:
            image = tinted_grey(image, self.params[HUES])
        height, width = image.shape[-2:]
        least = painter.net.smallest_px
        whole = mirrored(image, (max(height, least), max(width, least)))
        return painter.painted(whole, memory_bytes=memory_bytes, noise=noise, wraps=wraps)[..., :height, :width]


@dataclass(frozen=True, eq=False)
class Faded:
    """A painter at a `strength` below 1; `plain` is the content painted in its own style, whose error fades out."""

    painter: Paints
    plain: Tensor
    strength: float

    def painted(
        self, image: Tensor, *, memory_bytes: int, noise: Noise | None = None, wraps: Wraps = NO_WRAPS
    ) -> Tensor:
        """`image` `(1, 3, h, w)` repainted and clamped."""
        room_bytes = memory_bytes - self.plain.nbytes
        painted = self.painter.painted(image, memory_bytes=room_bytes, noise=noise, wraps=wraps)

        def faded(styled: Tensor, *others: Tensor) -> Tensor:
            plain, content = others
            return (styled + (1 - self.strength) * (content - plain)).clamp_(0, 1)

        return by_strips(faded, painted.to(image.dtype), self.plain.to(image.dtype), image)


Regions = tuple[WeightedNetwork[AnySize], ...]
"""The painter of each style, and where it paints."""


def trained_params(fast: FastNetwork, network: Network) -> StyleParams:
    """The parameters `(1, …)` of a fast network of one style, which `network` paints with.

    Raises `OptionError` where the two do not have the same convolutions.
    """
    if network.base != fast.base:
        raise OptionError(
            f"{fast.styles[0]} of {fast.name} has other convolutions than {network.name}, so it cannot be "
            "mixed with pictures in one pass. Mix pictures alone, or trained styles alone, or name the network for "
            "pictures that has the same convolutions: `network`."
        )
    return {key: value[None].to(network.device) for key, value in fast.style_params(fast.styles[0]).items()}


def params_of(code: Code, network: Network) -> StyleParams:
    """The network's parameters of the style with this code, and the hues for grey contents, where the code has them."""
    params = {**network.net.style_params(code)}
    return params | ({HUES: code[HUES]} if HUES in code else {})


def _between(own: StyleParams, params: StyleParams, *, strength: float) -> StyleParams:
    """Parameters at a `strength` of the way from the content's own; above 1 the colours stay the style's."""
    return {
        key: torch.lerp(own[key], value, min(strength, 1.0) if key in COLOUR_PARAMS else strength)
        for key, value in params.items()
        if key in own
    }
