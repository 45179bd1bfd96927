"""The network of trained styles, of one or several (Johnson et al. 2016), with instance norms (Ulyanov et al. 2016)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from impasto.core.errors import OptionError, UnknownName
from impasto.encoders.padding import reflected
from impasto.nets.blocks import blurred_double, doubled
from impasto.nets.colours import in_colours
from impasto.nets.noise import with_noise
from impasto.nets.norms import instance_norm

PADDINGS = ("reflect", "same")
"""`same`: zeros, one more at the bottom and right where their number is odd, as TensorFlow has it."""

UPSAMPLINGS = ("nearest", "bilinear", "transposed")
"""`bilinear`: after a binomial blur, against aliasing of the smaller grid (Karras et al. 2021, StyleGAN3)."""

PALETTE = "palette"
"""The colours of the styles in a network's state: mean and covariance, 12 numbers each."""


def is_style_param(key: str) -> bool:
    """Whether a tensor of a network's state has a row for each style: scales, shifts, colours."""
    return ".norm." in key or key == PALETTE


class Residual(nn.Module):
    """Convolutions that halve the picture, residual blocks, and convolutions that double it again.

    `widths` are the channels of the layers on the way down, the first of full size; the first and last convolution are
    `outer_px` a side, all others 3. `eps` is added to variances. `last_norm` puts an instance norm before the output,
    `tanh` `(scale, offset)` makes that `scale · tanh + offset`; `biases` says whether convolutions have some. With more
    than one of `styles` the norms have a row of scales and shifts for each (Dumoulin et al. 2017). `skips` adds to each
    layer on the way up the one of its size on the way down (Ronneberger et al. 2015, there joined), so that edges need
    not be learned again. `recolours` gives the picture the colours of the style first, and adds what the network paints
    to that, so that only strokes and forms are to be learned; such a network works in RGB of `[0, 1]`. With `unshuffle`
    2 the first layer sees squares of 2 × 2 pixels as one place each, and the last one paints such squares, smoothed so
    that their grid cannot show. `noise` adds white noise to the convolutions of the blocks and of the way up, before
    their norms, scaled by a learned strength per channel (Karras et al. 2019, StyleGAN): texture in flat areas then
    grows from the noise and not from the sampling grid.
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
        styles: int = 1,
        skips: bool = False,
        recolours: bool = False,
        unshuffle: int = 1,
        noise: bool = False,
    ) -> None:
        super().__init__()
        if styles < 1:
            raise OptionError(f"the network is to have {styles} styles; 1 or more are needed.")
        if unshuffle not in (1, 2):
            raise OptionError(f"the network is to unshuffle {unshuffle} pixels; 1 or 2 are known.")
        if padding not in PADDINGS:
            raise UnknownName.of("padding", padding, PADDINGS)
        if upsampling not in UPSAMPLINGS:
            raise UnknownName.of("upsampling", upsampling, UPSAMPLINGS)
        self.styles, self.skips, self.recolours, self.unshuffle = styles, skips, recolours, unshuffle
        self.stride = unshuffle * 2 ** (len(widths) - 1)
        if recolours:
            self.register_buffer(PALETTE, torch.zeros(12 if styles == 1 else (styles, 12)))
        self.tanh = None if tanh is None else (float(tanh[0]), float(tanh[1]))
        reach = max(outer_px // 2, 2 ** (len(widths) - 1))
        self.smallest_px = unshuffle * (reach + 1)  # reflection needs more than the padding

        def layer(
            into: int, out: int, *, side: int = 3, stride: int = 1, doubles: str | None = None, noisy: bool = False
        ) -> Layer:
            conv = Conv(into, out, side, stride=stride, padding=padding, doubles=doubles, bias=biases)
            return Layer(conv, Norm(out, eps, styles=styles), noise=out if noisy else 0)

        def upward(into: int, out: int) -> Layer:
            if upsampling != "transposed":
                return layer(into, out, doubles=upsampling, noisy=noise)
            conv = Transposed(into, out, offset=int(padding == "reflect"), bias=biases)
            return Layer(conv, Norm(out, eps, styles=styles), noise=out if noise else 0)

        steps = list(pairwise(widths))
        colours = 3 * unshuffle**2
        first = layer(colours, widths[0], side=outer_px)
        self.down = nn.ModuleList([first, *(layer(into, out, stride=2) for into, out in steps)])
        self.blocks = nn.ModuleList(
            Block(*(layer(widths[-1], widths[-1], noisy=noise) for _ in range(2))) for _ in range(blocks)
        )
        self.up = nn.ModuleList(upward(out, into) for into, out in reversed(steps))
        last = Conv(widths[0], colours, outer_px, padding=padding, bias=biases)
        if recolours:
            nn.init.zeros_(last.weight)  # the first picture is the content in other colours
        self.last = Layer(last, Norm(colours, eps, styles=styles) if last_norm else None)
        for index, noisy in enumerate(module for module in self.modules() if isinstance(module, Layer)):
            noisy.index = index

    def forward(self, image: Tensor, shares: Tensor | None = None) -> Tensor:
        """`image` `(b, 3, h, w)` in the range and colour order that the weights were trained for, to their output's.

        `shares` `(b, styles)`: how much of each style there is in each picture. A network of one style needs none.
        """
        if shares is None and self.styles > 1:
            raise OptionError(f"this network has {self.styles} styles; it needs the share of each.")
        image = self.recoloured(image, shares)
        x, passed = unshuffled(image, self.unshuffle), []
        for layer in self.down:
            x = rectified(layer(x, shares))
            passed.append(x)
        passed.pop()
        for block in self.blocks:
            x = block(x, shares)
        for layer in self.up:
            x, beside = rectified(layer(x, shares)), passed.pop()
            x = joined(x, beside) if self.skips else x
        with torch.autocast(x.device.type, enabled=False):  # bf16 has fewer steps than 8-bit pixels
            x = shuffled(self.last(x.float(), shares), self.unshuffle)
            x = x if self.unshuffle == 1 else smoothed(F.pad(x, (1, 1, 1, 1), mode="replicate"))
        x = x[..., : image.shape[-2], : image.shape[-1]]  # what is doubled is as large as the next multiple
        x = x if self.tanh is None else self.tanh[0] * torch.tanh(x) + self.tanh[1]
        return x + image if self.recolours else x

    def recoloured(self, image: Tensor, shares: Tensor | None = None) -> Tensor:
        """What is painted on: `image` `(b, 3, h, w)`, in the colours of the style where the network `recolours`."""
        if not self.recolours:
            return image
        return in_colours(image, self.colours(shares))

    def colours(self, shares: Tensor | None = None) -> Tensor:
        """Mean and covariance `(1|b, 4, 3)` of the styles' colours by their `shares`; only where it `recolours`."""
        palette = self.get_buffer(PALETTE)
        with torch.autocast(palette.device.type, enabled=False):
            rows = palette[None] if shares is None or palette.ndim == 1 else shares @ palette
        found: Tensor = rows.view(-1, 4, 3)
        return found


class Layer(nn.Module):
    """A convolution and a norm after it; with `noise` channels, noise between the two.

    `index` is the place of the layer in its network: every layer has its own noise.
    """

    def __init__(self, conv: nn.Module, norm: nn.Module | None, *, noise: int = 0) -> None:
        super().__init__()
        self.conv, self.norm, self.index = conv, norm, 0
        self.noise = nn.Parameter(torch.zeros(noise)) if noise else None

    def forward(self, x: Tensor, shares: Tensor | None) -> Tensor:
        """`(b, c, h, w)` to `(b, c', h', w')`. While training the noise is drawn anew."""
        found: Tensor = self.conv(x)
        if self.noise is not None:
            found = with_noise(found, self.noise, layer=self.index, drawn=self.training)
        return found if self.norm is None else self.norm(found, shares)


class Block(nn.Module):
    """Two layers beside a straight way, no ReLU after the sum (Gross & Wilber 2016)."""

    def __init__(self, one: Layer, two: Layer) -> None:
        super().__init__()
        self.one, self.two = one, two

    def forward(self, x: Tensor, shares: Tensor | None) -> Tensor:
        """`(b, c, h, w)` to the same shape."""
        found: Tensor = x + self.two(rectified(self.one(x, shares)), shares)
        return found


class Norm(nn.Module):
    """An instance norm with a learned scale and shift, or a row of them for each style (Dumoulin et al. 2017)."""

    def __init__(self, width: int, eps: float, *, styles: int = 1) -> None:
        super().__init__()
        self.eps = eps
        shape = (width,) if styles == 1 else (styles, width)
        self.weight, self.bias = nn.Parameter(torch.ones(shape)), nn.Parameter(torch.zeros(shape))

    def forward(self, x: Tensor, shares: Tensor | None) -> Tensor:
        """`(b, c, h, w)` to the same shape by `shares` `(b, styles)`; statistics are of the whole picture."""
        scale, shift = self.mixed(shares)
        return instance_norm(x, scale, shift, eps=self.eps)

    def mixed(self, shares: Tensor | None) -> tuple[Tensor, Tensor]:
        """Scale and shift `(1|b, c)` in float32, of the styles by their `shares`."""
        if self.weight.ndim == 1:
            return self.weight[None], self.bias[None]
        assert shares is not None
        with torch.autocast(self.weight.device.type, enabled=False):
            return shares @ self.weight, shares @ self.bias


class Conv(nn.Module):
    """A convolution that keeps the size (divided by `stride`), or of the input doubled as `doubles` says."""

    def __init__(
        self,
        into: int,
        out: int,
        side: int,
        *,
        stride: int = 1,
        padding: str,
        doubles: str | None = None,
        bias: bool = True,
    ) -> None:
        super().__init__()
        made = nn.Conv2d(into, out, side, bias=bias)
        self.weight, self.bias = made.weight, made.bias
        self.side, self.stride, self.padding, self.doubles = side, stride, padding, doubles

    def forward(self, x: Tensor) -> Tensor:
        """`(b, c, h, w)` to `(b, c', ceil(h / stride), ceil(w / stride))`, or to twice the size."""
        x = self.enlarged(x)
        return F.conv2d(self._padded(x), self.weight, self.bias, stride=self.stride)

    def enlarged(self, x: Tensor) -> Tensor:
        """The input of the convolution: twice as high and wide where it `doubles`."""
        if self.doubles is None:
            return x
        return doubled(x) if self.doubles == "nearest" else blurred_double(x)

    def _padded(self, x: Tensor) -> Tensor:
        if self.padding == "reflect" and self.side == 3:
            return reflected(x)
        margins = [margin for length in reversed(x.shape[-2:]) for margin in self.margins(length)]
        return F.pad(x, margins, mode="reflect" if self.padding == "reflect" else "constant")

    def margins(self, length: int) -> tuple[int, int]:
        """The padding before and after a side of `length`, that of the doubled picture where it is doubled."""
        reach = (-(-length // self.stride) - 1) * self.stride + self.side
        before = self.side // 2 if self.padding == "reflect" else max(reach - length, 0) // 2
        return before, max(reach - before - length, 0)


class Transposed(nn.Module):
    """A transposed 3×3 convolution that doubles the size; its full result begins `offset` pixels early."""

    def __init__(self, into: int, out: int, *, offset: int, bias: bool = True) -> None:
        super().__init__()
        made = nn.ConvTranspose2d(into, out, 3, bias=bias)
        self.weight, self.bias, self.offset = made.weight, made.bias, offset

    def forward(self, x: Tensor) -> Tensor:
        """`(b, c, h, w)` to `(b, c', 2h, 2w)`."""
        rows, columns = (slice(self.offset, self.offset + 2 * length) for length in x.shape[-2:])
        return F.conv_transpose2d(x, self.weight, self.bias, stride=2)[..., rows, columns]


def rectified(x: Tensor) -> Tensor:
    """ReLU, in place where no gradient is asked for."""
    return F.relu(x, inplace=not torch.is_grad_enabled())


def unshuffled(image: Tensor, side: int) -> Tensor:
    """Squares of `side` × `side` pixels as one place, `(b, side² · c, ceil(h / side), ceil(w / side))`.

    Shi et al. 2016 have it the other way round. The last row and column are repeated where there are too few.
    """
    if side == 1:
        return image
    missing = [-length % side for length in image.shape[-2:]]
    if any(missing):
        image = F.pad(image, (0, missing[1], 0, missing[0]), mode="replicate")
    return F.pixel_unshuffle(image, side).contiguous(memory_format=torch.channels_last)


def shuffled(x: Tensor, side: int) -> Tensor:
    """Places `(b, side² · c, h, w)` as squares of `side` × `side` pixels each."""
    return x if side == 1 else F.pixel_shuffle(x, side)


def smoothed(x: Tensor) -> Tensor:
    """Each pixel with its neighbours by 1, 2, 1 down and across, so that no pattern of 2 pixels is left.

    `(b, c, h, w)` to `(b, c, h - 2, w - 2)`. What Sugawara et al. 2018 do to sub-pixel convolutions, without a shift.
    """
    for axis in (2, 2, 3, 3):
        length = x.shape[axis] - 1
        x = torch.lerp(x.narrow(axis, 0, length), x.narrow(axis, 1, length), 0.5)
    return x


def joined(x: Tensor, beside: Tensor) -> Tensor:
    """The sum of what comes up and what went down, which may be a row or column smaller; as large as the latter."""
    return x[..., : beside.shape[-2], : beside.shape[-1]] + beside
