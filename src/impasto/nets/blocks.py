"""Parts that networks are built from."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from impasto.encoders.padding import reflected


class Conv(nn.Conv2d):
    """A convolution that keeps the size (divided by `stride`), padded by reflection: borders look like the rest."""

    def __init__(self, width_in: int, width_out: int, size: int = 3, *, stride: int = 1) -> None:
        super().__init__(width_in, width_out, size, stride=stride, padding=size // 2, padding_mode="reflect")

    def forward(self, x: Tensor) -> Tensor:
        """`(b, c, h, w)` to the same size, divided by the stride."""
        if self.kernel_size != (3, 3):
            return super().forward(x)
        return F.conv2d(reflected(x), self.weight, self.bias, self.stride)


def levelled(x: Tensor) -> Tensor:
    """`x` `(b, c, h, w)` over the root mean square of its channels, pixel by pixel (Karras et al. 2018, section 4.2).

    It keeps features from growing out of bounds, and looks at one pixel only: there is nothing to know of the whole
    picture.
    """
    size = x.float().square().mean(1, keepdim=True)
    return x * torch.rsqrt(size + 1e-4).to(x.dtype)


class Residual(nn.Module):
    """Two convolutions beside a straight way (He et al. 2015), without norms."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.one, self.two = Conv(width, width), Conv(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """`(b, c, h, w)` to the same shape."""
        found: Tensor = x + self.two(F.relu(self.one(x)))
        return found


def doubled(x: Tensor) -> Tensor:
    """Twice as high and wide, nearest neighbour: a convolution after it leaves no checkerboard (Odena et al. 2016)."""
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


class Scaled(nn.Module):
    """Features times a scale plus a shift that a style decides (Perez et al. 2018, without a norm).

    Without a norm there is nothing to know of the whole picture. At first it changes nothing.
    """

    def __init__(self, rank: int, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(rank, 2 * width)
        nn.init.normal_(self.linear.weight, std=0.3 * rank**-0.5)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor, style: Tensor, stats: Tensor | None = None) -> Tensor:
        """`x` `(b, c, h, w)` by the style's numbers `(b, rank)`, less its own moments `stats` `(b, 2, c)` if given."""
        with torch.autocast(x.device.type, enabled=False):
            scale, shift = self.linear(style.float()).chunk(2, dim=1)
            scale = 1 + torch.tanh(scale)  # within 0 and 2: a rare style does not blow the features up
            if stats is not None:
                scale = scale / stats[:, 1]
                shift = shift - stats[:, 0] * scale
        return torch.addcmul(shift[:, :, None, None].to(x.dtype), x, scale[:, :, None, None].to(x.dtype))
