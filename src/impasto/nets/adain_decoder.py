"""A frozen encoder, a change of its features' statistics, and a decoder that mirrors the encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from impasto.core.errors import OptionError
from impasto.encoders.table import Encoder
from impasto.nets.blocks import Conv, Residual, doubled
from impasto.nets.colours import COLOURS, in_colours
from impasto.nets.moments import given_covariance, given_moments, moments
from impasto.nets.protocol import Code, Feats, Stats


class AdaINDecoder(nn.Module):
    """AdaIN (Huang & Belongie 2017) and its relatives.

    The encoder's features at `relu4_1` are given the style's statistics; a decoder, the encoder backwards, makes a
    picture of them. `skips` are shallower layers whose features, given the style's statistics too, join the decoder
    where it has their size. `residual` puts a residual block before every doubling. `covariances`: whitening and
    colouring instead of means and deviations. `recolours`: the content is given the style's colours first, which
    `code` has in its entry "rgb".
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        skips: Sequence[str] = (),
        residual: bool = False,
        covariances: bool = False,
        recolours: bool = False,
    ) -> None:
        super().__init__()
        stages = encoder.stages
        if stages is None:
            raise OptionError(f"{encoder.name} is no plain sequence of convolutions; a mirrored decoder needs one.")
        self.encoder = encoder  # no module of its own: it is frozen, and its weights are saved with its own card
        self.covariances, self.recolours = covariances, recolours
        self.deepest = "relu4_1"
        self.code_layers = (*skips, self.deepest)
        self.stride = encoder.stride(self.deepest)
        widths = [width for width, _ in stages[:4]]
        self.first = Conv(widths[3], widths[2])
        self.stages, self.blocks, self.joins = nn.ModuleList(), nn.ModuleList(), nn.ModuleDict()
        for s in (2, 1, 0):
            width, count = widths[s], stages[s][1]
            after = widths[s - 1] if s else 3
            convs = [Conv(width, width) for _ in range(count - 1)] + [Conv(width, after)]
            self.stages.append(nn.ModuleList(convs))
            self.blocks.append(Residual(width) if residual else nn.Identity())
        for name in skips:
            width = encoder.width(name)
            self.joins[name] = nn.Conv2d(width, width, 1)
        self.reach_px = _reach([count for _, count in stages[:3]], residual=residual)

    def features(self, image: Tensor) -> Feats:
        """The encoder's features at the code layers, without gradients."""
        with torch.no_grad():
            return self.encoder(image, self.code_layers)

    def forward(self, image: Tensor, code: Code, *, feats: Feats | None = None) -> Tensor:
        """`image` `(b, 3, h, w)` painted whole by `code`; `feats` are its features, recoloured, if they are known."""
        if feats is None:
            if self.recolours:
                image = in_colours(image, code[COLOURS])
            feats = self.features(image)
        stats = {name: moments(feats[name], covariances=self.covariances) for name in self.code_layers}
        return self.render(feats, stats, code)

    def render(self, feats: Feats, stats: Stats, code: Code, *, strength: float = 1) -> Tensor:
        """See `OnePass`."""
        change = given_covariance if self.covariances else given_moments
        changed = {}
        for name in self.code_layers:
            styled = change(feats[name], stats[name], code[name])
            changed[name] = styled if strength == 1 else torch.lerp(feats[name], styled, strength)
        x = F.relu(self.first(changed[self.deepest]))
        for s, convs, block in zip((3, 2, 1), self.stages, self.blocks, strict=True):
            x = doubled(block(x))
            name = f"relu{s}_1"
            if name in self.joins:
                x = x + self.joins[name](changed[name])
            for conv in cast(nn.ModuleList, convs)[: None if s > 1 else -1]:
                x = F.relu(conv(x))
        last = cast(nn.ModuleList, self.stages[-1])[-1]
        with torch.autocast(x.device.type, enabled=False):  # bf16 has fewer steps than 8-bit pixels
            found: Tensor = last(x.float())
        return found


def _reach(counts: Sequence[int], *, residual: bool) -> int:
    """Pixels to each side that encoder and decoder look at, rounded up to whole pixels of the deepest layer."""
    strides = [1, 2, 4]
    convs = sum(2 * count * stride for count, stride in zip(counts, strides, strict=True))
    ends = 2 * 8 + sum(strides)  # the deepest convolution of each, and the way to the corner of the deepest pixel
    blocks = sum(2 * stride for stride in (8, 4, 2)) if residual else 0
    return -(-(convs + ends + blocks) // 8) * 8
