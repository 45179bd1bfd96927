"""A fast network whose norm parameters are predicted from a style picture (Ghiasi et al. 2017)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from impasto.nets.bands import BANDS
from impasto.nets.colours import COLOURS
from impasto.nets.layers import PALETTE, is_style_param, with_own_defaults
from impasto.nets.noise import Noise
from impasto.nets.painting import with_params
from impasto.nets.protocol import Code, Feats, StyleParams
from impasto.nets.residual import Residual
from impasto.nets.statistics import DEVIATIONS
from impasto.weights.card import fill

PAINTER = "painter."
"""Prefix of the painter's tensors in the state of a network."""

PARAMS_GAIN = 0.3
"""Initial deviation of the predicted norm parameters, against scales of 1 or the parameters of known styles."""

FAR = 4.0  # limit of a code's numbers, in standard deviations from the usual
SMALL = 0.05  # added to deviations: numbers that hardly vary are not amplified


def at_half_size(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a network without `unshuffle`, for one with `unshuffle` 2 that paints as it does at half the size.

    The first layer receives the mean of each 2 × 2 pixels, the last one paints equal squares.
    """
    found = dict(tensors)
    first, last = (f"{PAINTER}{name}.conv.weight" for name in ("down.0", "last"))
    found[first] = (tensors[first].float() / 4).repeat_interleave(4, dim=1)
    for key in (last, last.replace("weight", "bias")):
        found[key] = tensors[key].repeat_interleave(4, dim=0)
    return found


class EqualizedLinear(nn.Module):
    """A linear layer whose learning rate depends little on its width (Karras et al. 2018, section 4.1).

    Weights have deviation 1 and are divided by the square root of the number of inputs when they are used. A step of
    Adam moves each weight by the learning rate; the sum over 1500 inputs of a plain layer moves by 1000 times that,
    this one's by 30 times. Norm parameters that jump so far make the painter learn one texture for all styles.
    """

    def __init__(self, into: int, out: int, *, gain: float = 1.0) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(out, into)), nn.Parameter(torch.zeros(out))
        self.scale = gain * into**-0.5

    def forward(self, x: Tensor) -> Tensor:
        """`(b, into)` to `(b, out)`."""
        return F.linear(x, self.weight * self.scale, self.bias)


class Predicted(nn.Module):
    """A residual network, `painter`, and a small one that predicts its norm parameters for any style.

    As in Ghiasi et al. 2017 (arXiv 1705.06830) a second network maps a style picture to the scales and shifts of every
    norm; here its input are the statistics of an encoder's features, as in AdaIN, and of the colours. Its output is
    added to the painter's own norm parameters. So any style becomes a style of a fast network. Satisfies
    `protocol.AnyStyle`.
    """

    code_mean: Tensor
    code_std: Tensor
    row_unit: Tensor

    def __init__(
        self, code_widths: Mapping[str, int], *, widths: Sequence[int], blocks: int, rank: int = 128, **numbers: Any
    ) -> None:
        """`code_widths`: the encoder's channels by layer; `numbers`: more options of `Residual`."""
        super().__init__()
        self.code_layers = tuple(code_widths)
        self.statistic, self.recolours = DEVIATIONS, True
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
        self.spread = EqualizedLinear(rank, sum(self.shapes.values()), gain=PARAMS_GAIN)
        self.register_buffer("row_unit", torch.ones(sum(self.shapes.values())))

    @property
    def fast_network(self) -> tuple[nn.Module, Mapping[str, Any]]:
        """See `protocol.AnyStyle`."""
        return self.painter, {"architecture": "residual", **self.numbers}

    @torch.no_grad()
    def measure(self, codes: Code) -> None:
        """Set the mean and deviation by which codes are normalised, from the codes `(b, …)` of many styles."""
        numbers = self._numbers(codes)
        self.code_mean.copy_(numbers.mean(0))
        self.code_std.copy_(numbers.std(0, correction=0) + SMALL)

    @torch.no_grad()
    def begin(self, tensors: Mapping[str, Tensor], name: str) -> None:
        """Take the painter from the `tensors` of a fast network.

        Its own norm parameters become the mean of the trained styles', and predictions deviate from it as theirs do,
        times `PARAMS_GAIN`. Raises `WeightsMismatch` for a network of another shape.
        """
        tables = {key: value.float() for key, value in tensors.items() if is_style_param(key) and value.ndim == 2}
        means = {key: value.mean(0) for key, value in tables.items()}
        fill(self.painter, with_own_defaults(self.painter, {**tensors, **means}), where=name)
        if tables:
            self.row_unit.copy_(torch.cat([tables[key].std(0, correction=0) for key in self.shapes]) + SMALL)

    def style_params(self, code: Code) -> dict[str, Tensor]:
        """The norm parameters and colours `(b, c)` of styles, by their keys in the painter, in float32."""
        with torch.autocast(self.code_mean.device.type, enabled=False):
            normalised = ((self._numbers(code) - self.code_mean) / self.code_std).clamp(-FAR, FAR)
            style = self.squeeze(normalised)
            deltas = (self.row_unit * self.spread(style + self.bent(style))).split(list(self.shapes.values()), dim=1)
            own = dict(self.painter.named_parameters())
            params = {key: own[key] + delta for key, delta in zip(self.shapes, deltas, strict=True)}
            contrast = {BANDS: code[BANDS].float()} if self.painter.matches_bands and BANDS in code else {}
            return params | {PALETTE: code[COLOURS].float().flatten(1)} | contrast

    def of_style(self, params: StyleParams) -> Residual:
        """See `protocol.AnyStyle`."""
        return with_params(
            lambda: Residual(**self.numbers), self.painter, params={key: value[0] for key, value in params.items()}
        )

    def _numbers(self, code: Code) -> Tensor:
        return torch.cat([code[name].float().flatten(1) for name in (*self.code_layers, COLOURS)], dim=1)

    def forward(self, image: Tensor, code: Code, *, feats: Feats | None = None, noise: Noise | None = None) -> Tensor:
        """`image` `(b, 3, h, w)` painted whole, each in the style of its `code`; `feats` are not needed here."""
        params = self.style_params(code)
        style_weights = torch.eye(len(params[PALETTE]), device=image.device)
        painted: Tensor = functional_call(self.painter, params, (image, style_weights), {"noise": noise})
        return painted
