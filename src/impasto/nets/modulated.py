"""A light network whose layers a style decides: the encoder is asked about styles only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from impasto.nets.blocks import Conv, Scaled, doubled, levelled
from impasto.nets.moments import moments
from impasto.nets.protocol import Code, Feats, Stats

FAR = 4.0  # deviations from the usual that a number of a style may have
SMALL = 0.05  # of layers whose mean is about 1: numbers that hardly vary do not become loud


class Modulated(nn.Module):
    """A residual encoder-decoder with instance norm on what its own encoder sees, and scales and shifts from the style.

    As Ghiasi et al. 2017 (arXiv 1705.06830) a second network turns a style picture into the scales and shifts of every
    layer; here this is a linear map of the statistics of an encoder's features (as in AdaIN), so that codes mix, and
    only the features of the content are normalised, so that one look at the whole picture is enough.
    """

    code_mean: Tensor
    code_std: Tensor

    def __init__(
        self,
        code_widths: Mapping[str, int],
        *,
        widths: Sequence[int] = (16, 32, 64, 128),
        blocks: int = 4,
        rank: int = 128,
    ) -> None:
        super().__init__()
        self.code_layers = tuple(code_widths)
        self.covariances = self.recolours = False
        self.stride = 2 ** (len(widths) - 1)
        numbers = 2 * sum(code_widths.values())
        self.register_buffer("code_mean", torch.zeros(numbers))
        self.register_buffer("code_std", torch.ones(numbers))
        self.squeeze = nn.Linear(numbers, rank)
        self.down = nn.ModuleList(
            Conv(before, width, stride=1 if i == 0 else 2)
            for i, (before, width) in enumerate(zip((3, *widths), widths, strict=False))
        )
        self.even = nn.ModuleList(Conv(width, width) for width in widths[-1:])
        deep = widths[-1]
        self.styles = nn.ModuleDict({f"level{i}": Scaled(rank, width) for i, width in enumerate(widths)})
        self.blocks = nn.ModuleList(Block(deep, rank) for _ in range(blocks))
        self.joins = nn.ModuleList(nn.Conv2d(width, width, 1) for width in widths[:-1])
        self.up = nn.ModuleList(Conv(deeper, width) for width, deeper in pairwise(widths))
        self.ups = nn.ModuleList(Scaled(rank, width) for width in widths[:-1])
        self.last = Conv(widths[0], 3)
        self.reach_px = _reach(self.stride, blocks)

    @torch.no_grad()
    def measure(self, codes: Code) -> None:
        """Learn from the codes `(n, 2, c)` of many styles what is usual, so that every number weighs alike."""
        rows = torch.cat([codes[name].flatten(1) for name in self.code_layers], dim=1).float()
        self.code_mean.copy_(rows.mean(0))
        self.code_std.copy_(rows.std(0, correction=0) + SMALL)

    def features(self, image: Tensor) -> Feats:
        """What the network's own encoder sees at each level."""
        x, found = image - 0.5, {}
        for i, conv in enumerate(self.down):
            found[f"level{i}"] = x = conv(x)  # before the ReLU: after it, rare peaks stand many deviations high
            x = F.relu(x)
        for conv in self.even:
            found[f"level{len(self.down) - 1}"] = x = conv(x)
            x = F.relu(x)
        return found

    def style(self, code: Code) -> Tensor:
        """The style's numbers `(b, rank)`."""
        row = torch.cat([code[name].flatten(1) for name in self.code_layers], dim=1).float()
        with torch.autocast(row.device.type, enabled=False):
            found: Tensor = self.squeeze(((row - self.code_mean) / self.code_std).clamp(-FAR, FAR))
        return found

    def forward(self, image: Tensor, code: Code, *, feats: Feats | None = None) -> Tensor:
        """`image` `(b, 3, h, w)` painted whole by `code`; features of the encoder are of no use here."""
        feats = self.features(image)
        return self.render(feats, {name: moments(value) for name, value in feats.items()}, code)

    def render(self, feats: Feats, stats: Stats, code: Code, *, own: Code | None = None, strength: float = 1) -> Tensor:
        """See `OnePass`; `own` is the content's code in the encoder."""
        style = self.style(code)
        if strength != 1:
            assert own is not None
            style = torch.lerp(self.style(own), style, strength)
        levels = {n: F.relu(self.styles[n](feats[n], style, stats[n])) for n in feats}
        deepest = len(self.down) - 1
        x = levels[f"level{deepest}"]
        for block in self.blocks:
            x = block(x, style)
        for i in range(deepest - 1, -1, -1):
            x = self.up[i](doubled(levelled(x))) + self.joins[i](levels[f"level{i}"])
            x = F.relu(self.ups[i](x, style))
        with torch.autocast(x.device.type, enabled=False):  # bf16 has fewer steps than 8-bit pixels
            found: Tensor = 0.5 + self.last(levelled(x.float()))
        return found


def _reach(stride: int, blocks: int) -> int:
    """Pixels to each side that the network looks at, rounded up to whole pixels of the deepest level."""
    halvings = 1 + (stride - 1)  # convolutions of 1, 1, 2, 4 … pixels a side
    doublings = 2 * (stride - 1) + 1  # the same back, the last one, and the way to the corner of the deepest pixel
    deep = stride * (1 + 2 * blocks)
    return -(-(halvings + doublings + deep) // stride) * stride


class Block(nn.Module):
    """A residual block whose two convolutions a style scales and shifts."""

    def __init__(self, width: int, rank: int) -> None:
        super().__init__()
        self.one, self.two = Conv(width, width), Conv(width, width)
        self.style_one, self.style_two = Scaled(rank, width), Scaled(rank, width)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """`x` `(b, c, h, w)` by the style's numbers `(b, rank)`."""
        y = F.relu(self.style_one(self.one(levelled(x)), style))
        found: Tensor = x + self.style_two(self.two(y), style)
        return found
