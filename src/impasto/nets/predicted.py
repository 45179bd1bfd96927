"""A fast network whose rows of scales and shifts are predicted from a style picture (Ghiasi et al. 2017)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from impasto.nets.colours import COLOURS
from impasto.nets.protocol import Code, Feats
from impasto.nets.residual import PALETTE, Residual, is_style_param
from impasto.weights.card import fill

PAINTER = "painter."
"""What the painter's tensors begin with in the state of a network."""

ROW_GAIN = 0.3
"""How far rows of different styles lie apart at first, against the scales, which are 1, or the rows of known styles."""

FAR = 4.0  # deviations from the usual that a number of a style may have
SMALL = 0.05  # of layers whose mean is about 1: numbers that hardly vary do not become loud


class EqualizedLinear(nn.Module):
    """A linear layer whose learning rate depends little on its width (Karras et al. 2018, section 4.1).

    Weights are of deviation 1 and are divided by the square root of their number when they are used. A step of Adam
    moves each weight by the learning rate; of 1500 inputs a plain layer's sum then moves by a thousand times that, this
    one's by 30 times. Rows that jump so teach the painter one texture that stands them all.
    """

    def __init__(self, into: int, out: int, *, gain: float = 1.0) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(out, into)), nn.Parameter(torch.zeros(out))
        self.scale = gain * into**-0.5

    def forward(self, x: Tensor) -> Tensor:
        """`(b, into)` to `(b, out)`."""
        return F.linear(x, self.weight * self.scale, self.bias)


class Predicted(nn.Module):
    """A network of trained styles, `painter`, and a small one that says what its row is for any style.

    As Ghiasi et al. 2017 (arXiv 1705.06830) a second network turns a style picture into the scales and shifts of every
    norm; here it sees the statistics of an encoder's features, as in AdaIN, and of the colours. What it says is added
    to the row that the painter has. So any style becomes one of `FastNetwork`, painted, blended and kept as those are.
    """

    code_mean: Tensor
    code_std: Tensor
    row_unit: Tensor

    def __init__(
        self,
        code_widths: Mapping[str, int],
        *,
        widths: Sequence[int],
        blocks: int,
        rank: int = 128,
        **numbers: Any,
    ) -> None:
        """`code_widths` are the encoder's channels by layer; `numbers` more of those of `Residual`."""
        super().__init__()
        self.code_layers = tuple(code_widths)
        self.covariances, self.recolours = False, True
        self.numbers: dict[str, Any] = {
            "widths": list(widths), "blocks": blocks, "outer_px": 3, "skips": True, "recolours": True, **numbers
        }  # fmt: skip
        self.painter = Residual(**self.numbers)
        self.stride = self.painter.stride
        count = 2 * sum(code_widths.values()) + 12
        self.register_buffer("code_mean", torch.zeros(count))
        self.register_buffer("code_std", torch.ones(count))
        self.squeeze = EqualizedLinear(count, rank)
        self.bent = nn.Sequential(EqualizedLinear(rank, 2 * rank), nn.GELU(), EqualizedLinear(2 * rank, rank))
        self.shapes = {key: value.numel() for key, value in self.painter.named_parameters() if is_style_param(key)}
        self.spread = EqualizedLinear(rank, sum(self.shapes.values()), gain=ROW_GAIN)
        self.register_buffer("row_unit", torch.ones(sum(self.shapes.values())))

    @torch.no_grad()
    def measure(self, codes: Code) -> None:
        """Learn from the codes of many styles what is usual, so that every number weighs alike."""
        found = self._numbers(codes)
        self.code_mean.copy_(found.mean(0))
        self.code_std.copy_(found.std(0, correction=0) + SMALL)

    @torch.no_grad()
    def begin(self, tensors: Mapping[str, Tensor], name: str) -> None:
        """Take the painter from the `tensors` of a network of trained styles.

        Its own row is the mean of theirs, and rows are as far from it at first as theirs are, times `ROW_GAIN`. Raises
        `WeightsMismatch` where the numbers of the network are not those of the painter.
        """
        tables = {key: value.float() for key, value in tensors.items() if is_style_param(key) and value.ndim == 2}
        silent = {key: value for key, value in self.painter.state_dict().items() if key.endswith(".noise")}
        fill(self.painter, {**silent, **tensors, **{key: value.mean(0) for key, value in tables.items()}}, name)
        if tables:
            self.row_unit.copy_(torch.cat([tables[key].std(0, correction=0) for key in self.shapes]) + SMALL)

    def rows(self, code: Code) -> dict[str, Tensor]:
        """The rows `(b, c)` of styles by their keys in the painter, from their codes; in float32."""
        with torch.autocast(self.code_mean.device.type, enabled=False):
            told = ((self._numbers(code) - self.code_mean) / self.code_std).clamp(-FAR, FAR)
            style = self.squeeze(told)
            deltas = (self.row_unit * self.spread(style + self.bent(style))).split(list(self.shapes.values()), dim=1)
            own = dict(self.painter.named_parameters())
            found = {key: own[key] + delta for key, delta in zip(self.shapes, deltas, strict=True)}
            return found | {PALETTE: code[COLOURS].float().flatten(1)}

    def _numbers(self, code: Code) -> Tensor:
        return torch.cat([code[name].float().flatten(1) for name in (*self.code_layers, COLOURS)], dim=1)

    def row_of(self, code: Code) -> dict[str, Tensor]:
        """The row of one style, each tensor `(c,)`, as `FastNetwork.with_rows` takes it."""
        return {key: value[0] for key, value in self.rows(code).items()}

    def forward(self, image: Tensor, code: Code, *, feats: Feats | None = None) -> Tensor:
        """`image` `(b, 3, h, w)` painted whole, each in the style of its `code`; features are of no use here."""
        rows = self.rows(code)
        shares = torch.eye(len(rows[PALETTE]), device=image.device)
        found: Tensor = functional_call(self.painter, rows, (image, shares))
        return found
