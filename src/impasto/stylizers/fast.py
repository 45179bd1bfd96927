"""Painting in one pass with networks of learned styles (Johnson et al. 2016, Dumoulin et al. 2017)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.core.errors import OptionError
from impasto.image.resize import resized
from impasto.image.strips import by_strips
from impasto.nets.learned import MEMORY_BYTES, Learned, blended, check_single
from impasto.stylizers.protocol import BARE, Mix, Step, check_strength


@dataclass(frozen=True)
class Brush:
    """A network, and its share of the picture: everywhere, or as far as `mask` `(1, 1, h, w)` reaches."""

    network: Learned
    weight: float
    mask: Tensor | None = None


@dataclass(frozen=True)
class Fast:
    """A stylizer that paints learned styles; `networks`, of one style each, are by the names in the mix.

    Styles whose networks have the same convolutions are blended by their norms' scales and shifts, and painted in one
    pass. Others have no features in common: each paints the whole picture, and the pictures are blended by weight. With
    masks each style paints for its own region. A pass over a large picture uses about `memory_bytes`.
    """

    networks: Mapping[str, Learned]
    memory_bytes: int = MEMORY_BYTES

    def prepare(self, mix: Mix) -> tuple[Brush, ...]:
        """The networks with their shares. Raises `OptionError` for a style that is not learned, or not a single one."""
        masked = mix.styles[0].mask is not None
        if masked:
            mix.check_no_negative(by="painting with masks")
        for style in mix.styles:
            if style.learned not in self.networks:
                raise OptionError(f"{style.name!r} is no learned style; --method fast needs the network of one.")
            check_single(self.networks[style.learned])
        pairs = zip(mix.styles, mix.shares, strict=True)
        brushes = tuple(Brush(self.networks[s.learned], share, s.mask) for s, share in pairs if share != 0)
        return brushes if masked or len(brushes) == 1 else _joined(brushes)

    def paint(self, content: Tensor, code: tuple[Brush, ...], *, strength: float = 1.0) -> Iterator[Step]:
        """Yield one step, with the content's precision.

        The output is `content + strength · (blend - content)`, clamped to `[0, 1]`: the content itself at 0, the
        networks' own pictures at 1, pixels beyond them in the same direction above. Raises `ImageTooSmall`,
        `OptionError`.
        """
        check_strength(strength)
        size = (content.shape[-2], content.shape[-1])
        if strength == 0:
            yield Step(1, 1, size, content)
            return
        blend = _blend(content, code, memory_bytes=self.memory_bytes)

        def strengthened(before: Tensor, after: Tensor) -> Tensor:
            return torch.lerp(before, after, strength).clamp_(0, 1)

        yield Step(1, 1, size, by_strips(strengthened, content, blend))


def _joined(brushes: tuple[Brush, ...]) -> tuple[Brush, ...]:
    """One brush for all networks that differ in their rows only; the shares' sum stays.

    Where there are other networks, too, what leads away from a style is kept apart: shares that nearly cancel out would
    be divided by their small sum.
    """
    alike = len({brush.network.base for brush in brushes}) == 1
    groups: dict[tuple[str, bool], list[Brush]] = {}
    for brush in brushes:
        groups.setdefault((brush.network.base, alike or brush.weight > 0), []).append(brush)
    return tuple(_one(group) for group in groups.values())


def _one(group: list[Brush]) -> Brush:
    """Brushes of one base as one."""
    whole = math.fsum(brush.weight for brush in group)
    if len(group) == 1:
        return group[0]
    return Brush(blended([(brush.network, brush.weight / whole) for brush in group]), whole)


def _blend(content: Tensor, brushes: tuple[Brush, ...], *, memory_bytes: int) -> Tensor:
    """What the brushes paint together, `(1, 3, h, w)` with the content's precision, before it is clamped.

    Without masks the shares add up to 1. With masks they do so wherever something is painted; elsewhere the content
    stays. A network with several regions paints once.
    """
    if len(brushes) == 1 and brushes[0].mask is None:
        return brushes[0].network.painted(content, memory_bytes=memory_bytes).to(content.dtype)
    size = (content.shape[-2], content.shape[-1])
    shares: dict[Learned, Tensor] = {}
    for brush in brushes:
        share = _share(brush, size)
        shares[brush.network] = shares[brush.network] + share if brush.network in shares else share
    whole = torch.stack(list(shares.values())).sum(0) if brushes[0].mask is not None else torch.ones(1, 1, 1, 1)
    blend = torch.zeros_like(content)
    for network, share in shares.items():
        if bool(share.any()):
            part = (share / whole.clamp(min=BARE)).to(content.dtype)
            painted = network.painted(content, memory_bytes=memory_bytes).to(content.dtype)
            blend.addcmul_(painted, part.expand_as(content))
    return torch.where(whole > BARE, blend, content)


def _share(brush: Brush, size_hw: tuple[int, int]) -> Tensor:
    """The brush's weight, at each pixel where it has a mask."""
    if brush.mask is None:
        return torch.full((1, 1, 1, 1), brush.weight)
    return brush.weight * resized(brush.mask, size_hw, mode="bilinear")
