"""The network of one learned style (Johnson et al. 2016), with instance norms (Ulyanov et al. 2016)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from impasto.core.errors import UnknownName

PADDINGS = ("reflect", "same")
"""`same`: zeros, one more at the bottom and right where their number is odd, as TensorFlow has it."""

UPSAMPLINGS = ("nearest", "transposed")

PART_PX = 1 << 18
"""Pixels of a layer that are padded and convolved at once, which bounds the memory and changes nothing else."""


class Residual(nn.Module):
    """Convolutions that halve the picture, residual blocks, and convolutions that double it again.

    `widths` are the channels of the layers on the way down, the first of full size; the first and last convolution are
    `outer_px` a side, all others 3. `eps` is added to variances. `last_norm` puts an instance norm before the output,
    `tanh` `(scale, offset)` makes that `scale · tanh + offset`; `biases` says whether convolutions have some.
    """

    def __init__(
        self,
        *,
        widths: Sequence[int],
        blocks: int,
        outer_px: int = 9,
        padding: str = "reflect",
        upsampling: str = "nearest",
        eps: float = 1e-5,
        biases: bool = True,
        last_norm: bool = False,
        tanh: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        if padding not in PADDINGS:
            raise UnknownName.of("padding", padding, PADDINGS)
        if upsampling not in UPSAMPLINGS:
            raise UnknownName.of("upsampling", upsampling, UPSAMPLINGS)
        self.tanh = None if tanh is None else (float(tanh[0]), float(tanh[1]))
        self.smallest_px = max(outer_px // 2, 2 ** (len(widths) - 1)) + 1  # reflection needs more than the padding

        def layer(into: int, out: int, *, side: int = 3, stride: int = 1, doubles: bool = False) -> Layer:
            conv = Conv(into, out, side, stride=stride, padding=padding, doubles=doubles, bias=biases)
            return Layer(conv, Norm(out, eps))

        def upward(into: int, out: int) -> Layer:
            if upsampling == "nearest":
                return layer(into, out, doubles=True)
            return Layer(Transposed(into, out, offset=int(padding == "reflect"), bias=biases), Norm(out, eps))

        steps = list(pairwise(widths))
        first = layer(3, widths[0], side=outer_px)
        self.down = nn.ModuleList([first, *(layer(into, out, stride=2) for into, out in steps)])
        self.blocks = nn.ModuleList(Block(*(layer(widths[-1], widths[-1]) for _ in range(2))) for _ in range(blocks))
        self.up = nn.ModuleList(upward(out, into) for into, out in reversed(steps))
        last = Conv(widths[0], 3, outer_px, padding=padding, bias=biases)
        self.last = Layer(last, Norm(3, eps) if last_norm else None)

    def forward(self, image: Tensor) -> Tensor:
        """`image` `(b, 3, h, w)` in the range and colour order that the weights were trained for, to their output's."""
        x = image
        for layer in self.down:
            x = F.relu_(layer(x))
        for block in self.blocks:
            x = block(x)
        for layer in self.up:
            x = F.relu_(layer(x))
        with torch.autocast(x.device.type, enabled=False):  # bf16 has fewer steps than 8-bit pixels
            x = self.last(x.float())
        x = x[..., : image.shape[-2], : image.shape[-1]]  # what is doubled is as large as the next multiple
        return x if self.tanh is None else self.tanh[0] * torch.tanh(x) + self.tanh[1]


class Layer(nn.Module):
    """A convolution, and a norm after it."""

    def __init__(self, conv: nn.Module, norm: nn.Module | None) -> None:
        super().__init__()
        self.conv, self.norm = conv, norm

    def forward(self, x: Tensor) -> Tensor:
        """`(b, c, h, w)` to `(b, c', h', w')`."""
        found: Tensor = self.conv(x)
        return found if self.norm is None else self.norm(found)


class Block(nn.Module):
    """Two layers beside a straight way, no ReLU after the sum (Gross & Wilber 2016)."""

    def __init__(self, one: Layer, two: Layer) -> None:
        super().__init__()
        self.one, self.two = one, two

    def forward(self, x: Tensor) -> Tensor:
        """`(b, c, h, w)` to the same shape."""
        found: Tensor = x + self.two(F.relu_(self.one(x)))
        return found


class Norm(nn.Module):
    """An instance norm with a learned scale and shift. It works in place where no gradient is asked for."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """`(b, c, h, w)` to the same shape; statistics are of the whole picture, in float32."""
        with torch.autocast(x.device.type, enabled=False):
            wide = x.float()
            var, mean = torch.var_mean(wide, dim=(2, 3), keepdim=True, correction=0)
            scale = self.weight[:, None, None] * torch.rsqrt(var + self.eps)
            shift = self.bias[:, None, None] - mean * scale
            if wide.requires_grad or scale.requires_grad:
                return torch.addcmul(shift, wide, scale).to(x.dtype)
            return torch.addcmul(shift, wide, scale, out=wide).to(x.dtype)


class Conv(nn.Module):
    """A convolution that keeps the size (divided by `stride`); `doubles`: of the picture doubled by nearest neighbour.

    Large pictures are padded and convolved a part at a time.
    """

    def __init__(
        self,
        into: int,
        out: int,
        side: int,
        *,
        stride: int = 1,
        padding: str,
        doubles: bool = False,
        bias: bool = True,
    ) -> None:
        super().__init__()
        made = nn.Conv2d(into, out, side, bias=bias)
        self.weight, self.bias = made.weight, made.bias
        self.side, self.stride, self.padding, self.doubles = side, stride, padding, doubles

    def forward(self, x: Tensor) -> Tensor:
        """`(b, c, h, w)` to `(b, c', ceil(h / stride), ceil(w / stride))`, or to twice the size."""
        height, width = (size * (2 if self.doubles else 1) for size in x.shape[-2:])
        top, left = self._before(height), self._before(width)
        rows_out, across = -(-height // self.stride), -(-width // self.stride)
        right = (across - 1) * self.stride + self.side - left

        def part(start: int, stop: int) -> Tensor:
            rows = start * self.stride - top, (stop - 1) * self.stride - top + self.side
            seen = self._seen(x, rows, (-left, right))
            return F.conv2d(seen, self.weight, self.bias, stride=self.stride)

        return _by_parts(part, rows_out, across)

    def _before(self, length: int) -> int:
        """The padding at the top or left."""
        if self.padding == "reflect":
            return self.side // 2
        after = -(-length // self.stride)
        return int(max((after - 1) * self.stride + self.side - length, 0) // 2)

    def _seen(self, x: Tensor, rows: tuple[int, int], columns: tuple[int, int]) -> Tensor:
        """Rows and columns of the (doubled) picture, padded where they lie outside."""
        if self.padding == "reflect":
            factor = 2 if self.doubles else 1
            across, down = (_reflected(span, factor * x.shape[d], x.device) for span, d in ((columns, 3), (rows, 2)))
            return x.index_select(2, down // factor).index_select(3, across // factor)
        height, width = x.shape[-2:]
        inside = x[:, :, max(rows[0], 0) : min(rows[1], height), : min(columns[1], width)]
        margins = (-columns[0], max(columns[1] - width, 0), max(-rows[0], 0), max(rows[1] - height, 0))
        return F.pad(inside, margins)


class Transposed(nn.Module):
    """A transposed 3×3 convolution that doubles the size; its full result begins `offset` pixels early."""

    def __init__(self, into: int, out: int, *, offset: int, bias: bool = True) -> None:
        super().__init__()
        made = nn.ConvTranspose2d(into, out, 3, bias=bias)
        self.weight, self.bias, self.offset = made.weight, made.bias, offset

    def forward(self, x: Tensor) -> Tensor:
        """`(b, c, h, w)` to `(b, c', 2h, 2w)`."""
        height, width = x.shape[-2:]

        def part(start: int, stop: int) -> Tensor:
            begin = max(start - 1, 0)
            full = F.conv_transpose2d(x[:, :, begin : stop + 1], self.weight, self.bias, stride=2)
            at = 2 * (start - begin) + self.offset
            return full[:, :, at : at + 2 * (stop - start), self.offset : self.offset + 2 * width]

        return _by_parts(part, height, 4 * width)


def _reflected(span: tuple[int, int], length: int, device: torch.device) -> Tensor:
    """The places from `span[0]` to `span[1]` of a line of `length`, those outside reflected into it."""
    places = torch.arange(*span, device=device).abs()
    return (length - 1) - ((length - 1) - places).abs()


def _by_parts(part: Callable[[int, int], Tensor], rows: int, across: int) -> Tensor:
    """`part(0, rows)`, computed for about `PART_PX` at a time; whole where gradients are asked for."""
    step = rows if torch.is_grad_enabled() else max(1, PART_PX // across)
    if step >= rows:
        return part(0, rows)
    found: Tensor | None = None
    for start in range(0, rows, step):
        stop = min(start + step, rows)
        piece = part(start, stop)
        each = piece.shape[2] // (stop - start)
        if found is None:
            found = piece.new_empty((*piece.shape[:2], each * rows, piece.shape[3]))
        found[:, :, each * start : each * stop] = piece
    assert found is not None
    return found
