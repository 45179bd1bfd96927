"""Parts that networks are built from."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from impasto.encoders.padding import reflected


class Conv(nn.Conv2d):
    """A convolution that keeps the size (divided by `stride`), padded by reflection: borders look like the rest."""

    def __init__(self, width_in: int, width_out: int, *, size: int = 3, stride: int = 1) -> None:
        super().__init__(width_in, width_out, size, stride=stride, padding=size // 2, padding_mode="reflect")

    def forward(self, x: Tensor) -> Tensor:
        """`(b, c, h, w)` to the same size, divided by the stride."""
        if self.kernel_size != (3, 3):
            return super().forward(x)
        return F.conv2d(reflected(x), self.weight, self.bias, self.stride)


class Residual(nn.Module):
    """Two convolutions and a skip connection (He et al. 2015), without norms."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.one, self.two = Conv(width, width), Conv(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """`(b, c, h, w)` to the same shape."""
        change: Tensor = self.two(F.relu(self.one(x)))
        return x + change


def doubled(x: Tensor) -> Tensor:
    """Twice as high and wide, nearest neighbour: a convolution after it leaves no checkerboard (Odena et al. 2016)."""
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def blurred_double(x: Tensor) -> Tensor:
    """Twice as high and wide: blurred by 1 2 1 down and across, edges replicated, then bilinear.

    The blur is zero at the highest frequency of the smaller grid, which rectified features would otherwise alias into
    lines at a period of 4 pixels (measured: 47 to 74 times their neighbourhood without it).
    """
    x = F.avg_pool2d(F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 2, stride=1), 2, stride=1)
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
