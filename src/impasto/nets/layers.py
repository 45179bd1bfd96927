"""Layers of one-pass networks: convolutions that keep or change the size, norms per style, and noise between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from impasto.encoders.padding import reflected
from impasto.image.resize import SizeHW
from impasto.nets.bands import BANDS
from impasto.nets.colours import COLOURS
from impasto.nets.noise import Noise, SeededNoise, with_noise
from impasto.nets.norms import instance_norm
from impasto.nets.shared import shared

PALETTE = "palette"
"""The colours of the styles in a network's state: mean and covariance, 12 numbers each."""


NORMS = ("instance", "batch")

RUNNING = ("running_mean", "running_var")
"""The statistics of a batch norm in a network's state, which all its styles share."""


def is_style_param(key: str) -> bool:
    """Whether a tensor of a network's state belongs to the styles: norm scales, norm shifts, colours, contrast."""
    return (".norm." in key and not key.endswith(RUNNING)) or key in (PALETTE, BANDS)


def mixed_entry(key: str, mix: Callable[[Tensor], Tensor], *, weights: Tensor) -> Tensor:
    """An entry of codes or style parameters, mixed: `mix(weights)` is its weighted sum, `weights` are `(…, styles)`.

    Of covariances, only the styles with positive weights are mixed: with negative weights they would not remain
    positive, and have no root. Means are extrapolated like all other parameters.
    """
    if key not in (PALETTE, COLOURS, BANDS):
        return mix(weights)
    positive = weights.clamp(min=0)
    spread = mix(positive * (weights.sum(-1, keepdim=True) / positive.sum(-1, keepdim=True).clamp(min=1e-12)))
    if key == BANDS:
        return spread
    means = mix(weights).reshape(-1, 12)[:, :3]
    return torch.cat([means, spread.reshape(-1, 12)[:, 3:]], dim=1).view(spread.shape)


def mixed_params(key: str, entries: Sequence[Tensor], *, weights: Sequence[float]) -> Tensor:
    """`mixed_entry` of tensors of one shape, one a style."""

    def summed(shares: Tensor) -> Tensor:
        parts = [entry * share for entry, share in zip(entries, shares.tolist(), strict=True)]
        total: Tensor = reduce(torch.add, parts)
        return total

    return mixed_entry(key, summed, weights=torch.tensor(weights, dtype=torch.float64))


def with_own_defaults(net: nn.Module, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`tensors`, with the noise strengths and contrasts of `net` where they have none, as older networks."""
    own = {key: value for key, value in net.state_dict().items() if key.endswith((".noise", BANDS))}
    return {**own, **tensors}


class Layer(nn.Module):
    """A convolution and a norm after it; with `noise` channels, noise between the two.

    `index` is the layer's place in its network, since every layer has its own noise; a place of its output covers
    `px` × `px` pixels of the picture.
    """

    def __init__(self, conv: nn.Module, norm: nn.Module | None, *, noise: int = 0, px: int = 1) -> None:
        super().__init__()
        self.conv, self.norm, self.index, self.px = conv, norm, 0, px
        self.noise = nn.Parameter(torch.zeros(noise)) if noise else None

    def forward(self, x: Tensor, style_weights: Tensor | None, noise: Noise | None = None) -> Tensor:
        """`(b, c, h, w)` to `(b, c', h', w')`. In training the noise is drawn anew where none is given."""
        x = self.noised(self.conv(x), noise)
        return x if self.norm is None else self.norm(x, style_weights)

    def noised(self, x: Tensor, noise: Noise | None, *, first_row: int = 0) -> Tensor:
        """`x` `(b, c, h, w)`, rows of the convolution's output from `first_row`, with the layer's noise."""
        if self.noise is None:
            return x
        height, width = x.shape[-2:]
        if noise is None and self.training:
            return with_noise(x, self.noise, plane=torch.randn((len(x), 1, height, width), device=x.device))
        source = noise or SeededNoise()
        plane = source.plane(self.index, first_row, first_row + height, width, stride=self.px, device=x.device)
        return with_noise(x, self.noise, plane=plane)


class Block(nn.Module):
    """A residual block: two or three layers and a skip connection, without a ReLU after the sum (Gross & Wilber 2016).

    Of layers without padding the skip connection is cropped to what remains.
    """

    def __init__(self, *layers: Layer) -> None:
        super().__init__()
        self.one, self.two = layers[:2]
        self.three = layers[2] if len(layers) > 2 else None

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers, in order."""
        return (self.one, self.two) if self.three is None else (self.one, self.two, self.three)

    def forward(self, x: Tensor, style_weights: Tensor | None, noise: Noise | None = None) -> Tensor:
        """`(b, c, h, w)` to the same shape, or to a smaller one without padding."""
        *before, last = self.layers
        change = x
        for layer in before:
            change = rectified(layer(change, style_weights, noise))
        change = cast(Tensor, last(change, style_weights, noise))
        x = cropped(x, (change.shape[-2], change.shape[-1]))
        return x + change if torch.is_grad_enabled() else change.add_(x)


class Norm(nn.Module):
    """An instance norm with a learned scale and shift, or with one of each per style (Dumoulin et al. 2017).

    With `kind` "batch" a batch norm (Ioffe & Szegedy 2015): it normalises by the statistics of the batch in training,
    and later by their running mean.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, width: int, eps: float, *, styles: int = 1, kind: str = "instance") -> None:
        super().__init__()
        self.eps, self.kind = eps, kind
        shape = (width,) if styles == 1 else (styles, width)
        self.weight, self.bias = nn.Parameter(torch.ones(shape)), nn.Parameter(torch.zeros(shape))
        if kind == "batch":
            self.register_buffer("running_mean", torch.zeros(width))
            self.register_buffer("running_var", torch.ones(width))

    def forward(self, x: Tensor, style_weights: Tensor | None) -> Tensor:
        """`(b, c, h, w)` to the same shape by `style_weights` `(b, styles)`; `x` is the whole picture."""
        scale, shift = self.mixed(style_weights)
        if self.kind == "instance":
            return instance_norm(x, scale, shift=shift, eps=self.eps)
        unit = F.batch_norm(x, self.running_mean, self.running_var, training=self.training, eps=self.eps)
        return torch.addcmul(shift[..., None, None], unit, scale[..., None, None]).to(x.dtype)

    def statistics(self, mean: Tensor, var: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance that normalise a picture with these statistics `(c,)` after training."""
        if self.kind == "batch":
            return self.running_mean, self.running_var
        mean, var = shared(torch.stack([mean, var]))
        return mean, var

    def mixed(self, style_weights: Tensor | None) -> tuple[Tensor, Tensor]:
        """Scale and shift `(1|b, c)` of the styles in float32, mixed by `style_weights`."""
        if self.weight.ndim == 1:
            return self.weight[None], self.bias[None]
        assert style_weights is not None
        with torch.autocast(self.weight.device.type, enabled=False):
            return style_weights @ self.weight, style_weights @ self.bias


class Conv(nn.Module):
    """A convolution that keeps the size (divided by `stride`), or one of the input upsampled by 2 as `doubles` says.

    `padding` is "reflect", "zero", "same" (zeros, as TensorFlow has them) or "none", which takes `side - 1` off the
    size and has no stride.
    """

    def __init__(
        self,
        into: int,
        out: int,
        *,
        side: int,
        stride: int = 1,
        padding: str,
        doubles: str | None = None,
        bias: bool = True,
    ) -> None:
        super().__init__()
        conv = nn.Conv2d(into, out, side, bias=bias)
        self.weight, self.bias = conv.weight, conv.bias
        self.side, self.stride, self.padding, self.doubles = side, stride, padding, doubles

    def forward(self, x: Tensor) -> Tensor:
        """`(b, c, h, w)` to `(b, c', *size_of((h, w)))`."""
        return F.conv2d(self._padded(self.enlarged(x)), self.weight, self.bias, stride=self.stride)

    def enlarged(self, x: Tensor) -> Tensor:
        """The input of the convolution: upsampled by 2 where it `doubles`."""
        if self.doubles is None:
            return x
        return doubled_nearest(x) if self.doubles == "nearest" else blurred_double(x)

    def _padded(self, x: Tensor) -> Tensor:
        if self.padding == "reflect" and self.side == 3:
            return reflected(x)
        margins = [margin for length in reversed(x.shape[-2:]) for margin in self.margins(length)]
        return F.pad(x, margins, mode="reflect" if self.padding == "reflect" else "constant")

    def size_of(self, size_hw: SizeHW) -> SizeHW:
        """The size of the result: divided by `stride`, or twice that of the input; smaller without padding."""
        height, width = (side if self.doubles is None else 2 * side for side in size_hw)
        if self.padding == "none":
            return height - self.side + 1, width - self.side + 1
        return -(-height // self.stride), -(-width // self.stride)

    def margins(self, length: int) -> tuple[int, int]:
        """The padding before and after a side of `length` (after upsampling)."""
        if self.padding == "none":
            return 0, 0
        reach = (-(-length // self.stride) - 1) * self.stride + self.side
        before = max(reach - length, 0) // 2 if self.padding == "same" else self.side // 2
        return before, max(reach - before - length, 0)


class Transposed(nn.Module):
    """A transposed 3×3 convolution that doubles the size; its full result begins `offset` pixels early."""

    def __init__(self, into: int, out: int, *, offset: int, bias: bool = True) -> None:
        super().__init__()
        conv = nn.ConvTranspose2d(into, out, 3, bias=bias)
        self.weight, self.bias, self.offset = conv.weight, conv.bias, offset

    def forward(self, x: Tensor) -> Tensor:
        """`(b, c, h, w)` to `(b, c', 2h, 2w)`."""
        rows, columns = (slice(self.offset, self.offset + 2 * length) for length in x.shape[-2:])
        return F.conv_transpose2d(x, self.weight, self.bias, stride=2)[..., rows, columns]


def doubled_nearest(x: Tensor) -> Tensor:
    """Twice as high and wide, nearest neighbour: a convolution after it leaves no checkerboard (Odena et al. 2016)."""
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def blurred_double(x: Tensor) -> Tensor:
    """Twice as high and wide: blurred by 1 2 1 down and across, edges replicated, then bilinear.

    The blur is zero at the highest frequency of the smaller grid, which rectified features would otherwise alias into
    lines at a period of 4 pixels (measured: 47 to 74 times their neighbourhood without it).
    """
    x = F.avg_pool2d(F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 2, stride=1), 2, stride=1)
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


def rectified(x: Tensor) -> Tensor:
    """ReLU, in place without gradients."""
    return F.relu(x, inplace=not torch.is_grad_enabled())


def unshuffled(image: Tensor, side: int) -> Tensor:
    """Space to depth: squares of `side` × `side` pixels become channels (the inverse of Shi et al. 2016).

    `(b, c, h, w)` to `(b, side² · c, ceil(h / side), ceil(w / side))`; the last row and column are repeated as needed.
    """
    if side == 1:
        return image
    missing = [-length % side for length in image.shape[-2:]]
    if any(missing):
        image = F.pad(image, (0, missing[1], 0, missing[0]), mode="replicate")
    return F.pixel_unshuffle(image, side).contiguous(memory_format=torch.channels_last)


def shuffled(x: Tensor, side: int) -> Tensor:
    """Depth to space: `(b, side² · c, h, w)` to `(b, c, side · h, side · w)` (Shi et al. 2016)."""
    return x if side == 1 else F.pixel_shuffle(x, side)


def smoothed(x: Tensor) -> Tensor:
    """Each pixel averaged with its neighbours by 1, 2, 1 down and across: no pattern of 2 pixels remains.

    `(b, c, h, w)` to `(b, c, h - 2, w - 2)`. Sugawara et al. 2018 smooth sub-pixel convolutions, too, with a shift.
    """
    for axis in (2, 2, 3, 3):
        length = x.shape[axis] - 1
        x = torch.lerp(x.narrow(axis, 0, length), x.narrow(axis, 1, length), 0.5)
    return x


def cropped(x: Tensor, size_hw: SizeHW) -> Tensor:
    """The middle of `x` `(b, c, h, w)`, of `size_hw`."""
    top, left = (x.shape[-2] - size_hw[0]) // 2, (x.shape[-1] - size_hw[1]) // 2
    return x[..., top : top + size_hw[0], left : left + size_hw[1]]


def with_skip(x: Tensor, skip: Tensor) -> Tensor:
    """The sum of `x` and a skip connection, which may be a row or column smaller; as large as the latter."""
    x = x[..., : skip.shape[-2], : skip.shape[-1]]
    return x + skip if torch.is_grad_enabled() else x.add_(skip)
