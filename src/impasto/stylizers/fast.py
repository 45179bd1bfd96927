"""Painting in one pass with networks of trained styles (Johnson et al. 2016, Dumoulin et al. 2017)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.core.errors import OptionError
from impasto.image.strips import by_strips
from impasto.image.tiling import NO_WRAPS, Wraps
from impasto.nets.fast import FastNetwork, blended
from impasto.nets.noise import Noise
from impasto.nets.painting import MEMORY_BYTES, Painter
from impasto.stylizers.protocol import Mix, Step, check_strength
from impasto.stylizers.weighted import WeightedNetwork, blend


@dataclass(frozen=True)
class Fast:
    """A stylizer that paints trained styles; `networks` of one style each, by the names in the mix.

    Styles whose networks have the same convolutions are blended by their norms' scales and shifts, and painted in one
    pass. Others have no features in common: each paints the whole picture, and the pictures are blended by weight. With
    masks each style paints its own region. A pass over a large picture uses about `memory_bytes`. `noise` is by default
    that of seed 0. Sides that `wraps` continue at the opposite edge.
    """

    networks: Mapping[str, FastNetwork]
    memory_bytes: int = MEMORY_BYTES
    noise: Noise | None = None
    wraps: Wraps = NO_WRAPS

    def prepare(self, mix: Mix) -> tuple[WeightedNetwork[Painter], ...]:
        """The networks with their weights. Raises `OptionError` for an unknown style or network."""
        masked = mix.styles[0].mask is not None
        if masked:
            mix.check_no_negative(by="painting with masks")
        for style in mix.styles:
            if style.trained not in self.networks:
                raise OptionError(f"{style.name!r} is not a trained style; `method=fast` paints trained styles only.")
        parts = [(s, weight) for s, weight in zip(mix.styles, mix.style_weights, strict=True) if weight != 0]
        if masked or len(parts) == 1:
            return tuple(WeightedNetwork(self.networks[s.trained].painter, weight, s.mask) for s, weight in parts)
        return _joined([(self.networks[style.trained], weight) for style, weight in parts])

    def paint(
        self, content: Tensor, code: tuple[WeightedNetwork[Painter], ...], *, strength: float = 1.0
    ) -> Iterator[Step]:
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
        painted = blend(content, code, memory_bytes=self.memory_bytes, noise=self.noise, wraps=self.wraps)
        if strength == 1:
            yield Step(1, 1, size, painted.clamp_(0, 1))
            return

        def strengthened(before: Tensor, after: Tensor) -> Tensor:
            return torch.lerp(before, after, strength).clamp_(0, 1)

        yield Step(1, 1, size, by_strips(strengthened, content, painted))


def _joined(parts: Sequence[tuple[FastNetwork, float]]) -> tuple[WeightedNetwork[Painter], ...]:
    """One network for all that differ in their norm parameters only; the sum of the weights stays.

    If there are networks with other convolutions, too, negative weights are kept apart: weights that nearly cancel out
    would be divided by their small sum.
    """
    alike = len({network.base for network, _ in parts}) == 1
    groups: dict[tuple[str, bool], list[tuple[FastNetwork, float]]] = {}
    for network, weight in parts:
        groups.setdefault((network.base, alike or weight > 0), []).append((network, weight))
    return tuple(_one(group) for group in groups.values())


def _one(group: Sequence[tuple[FastNetwork, float]]) -> WeightedNetwork[Painter]:
    total = math.fsum(weight for _, weight in group)
    if len(group) == 1:
        return WeightedNetwork(group[0][0].painter, total)
    return WeightedNetwork(blended([(network, weight / total) for network, weight in group]).painter, total)
