"""Contrast by scale: an output's bands of detail get the covariances of the style's colours in the same bands.

Strokes lower the contrast of some scales more than of others, and one affine map of colours (`colours.in_colours`)
cannot give it back. Here a Laplacian pyramid (Burt & Adelson 1983) splits the picture at half size into four bands of
detail and the rest; each gets the covariance that it has in the style, by the linear map that moves colours least.
Heeger & Bergen 1995, "Pyramid-based texture analysis/synthesis", match whole histograms of more bands, again and again.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.encoders.padding import exported
from impasto.image.tiling import NO_WRAPS, Wraps, bilinear
from impasto.nets.colours import limited, root, transport
from impasto.nets.moments import moments
from impasto.nets.shared import shared

BANDS = "bands"
"""The entry of a code and of style parameters that holds the covariances of the bands, `(b, 45)`."""

LEVELS = 4
"""Bands of detail below half size: of about 4, 8, 16 and 32 px. What is finer stays as it is."""

BAND_NUMBERS = 9 * (LEVELS + 1)

LIMIT = 2.5
"""The largest gain of a band, and the inverse of the smallest: noise in flat pictures does not become texture."""

FLOOR = 1e-5  # added to variances
ROWS = 256  # of a picture that are copied as float32 at a time


def halved(image: Tensor) -> Tensor:
    """Means of 2 × 2 pixels: `(b, c, h, w)` to `(b, c, ceil(h / 2), ceil(w / 2))`; an odd last row is repeated."""
    if exported():  # a row and column more are never too many: those of an even size are dropped
        return F.avg_pool2d(F.pad(image, (0, 1, 0, 1), mode="replicate"), 2)
    return F.avg_pool2d(image, 2, ceil_mode=True)


def doubled(image: Tensor, like: Tensor, *, wraps: Wraps = NO_WRAPS) -> Tensor:
    """Bilinear upsampling by 2, cut to the size of `like`."""
    return upsampled(image, wraps)[..., : like.shape[-2], : like.shape[-1]]


def upsampled(image: Tensor, wraps: Wraps = NO_WRAPS) -> Tensor:
    """Bilinear upsampling by 2."""
    if wraps == NO_WRAPS:
        return F.interpolate(image, scale_factor=2, mode="bilinear")
    return bilinear(image, (2 * image.shape[-2], 2 * image.shape[-1]), wraps=wraps)


def bands_of(image: Tensor, count: int, *, wraps: Wraps = NO_WRAPS) -> list[Tensor]:
    """The first `count` bands of a Laplacian pyramid of `image` `(b, c, h, w)`, fine to coarse, and the rest."""
    bands = []
    for _ in range(count):
        small = halved(image)
        bands.append(image - doubled(small, image, wraps=wraps))
        image = small
    return [*bands, image]


def covariances(bands: Sequence[Tensor]) -> Tensor:
    """The covariances `(b, bands, 3, 3)` of the colours of `bands`, each `(b, 3, h, w)`."""
    return torch.stack([moments(band, covariances=True)[:, 1:] for band in bands], dim=1)


@torch.no_grad()
def band_covariances(picture: Tensor, wraps: Wraps = NO_WRAPS) -> Tensor:
    """The covariances of the bands of `picture` `(b, 3, h, w)`, fine to coarse, the rest last: `(b, 45)`, float32."""
    parts = (picture,) if exported() else torch.split(picture, ROWS, dim=2)
    half = torch.cat([halved(part.float()) for part in parts], dim=2)
    return covariances(bands_of(half, LEVELS, wraps=wraps)).flatten(1)


def by_band(covariances: Tensor) -> Tensor:
    """The entry `BANDS` `(b, 45)` as matrices `(b, bands, 3, 3)`."""
    return covariances.view(-1, LEVELS + 1, 3, 3)


def band_changes(here: Tensor, target: Tensor) -> Tensor:
    """The maps `(…, 3, 3)` of bands to what is added to them, from their covariances to the `target` ones.

    The gains are taken to the power 1.25, by two square roots, since few engines compute eigenvalues. Bands overlap, so
    that a gain of each changes the contrast by less than itself. By trial on eight pictures of 512 px: patches of the
    style at .103 with 1, .097 with 1.3, .095 with 1.6; drawn patterns overshoot by a quarter at coarse scales with 1.4.
    """
    wide = torch.float32 if exported() else torch.float64
    eye = torch.eye(3, dtype=wide, device=here.device)
    linear = transport(here.to(wide) + FLOOR * eye, target.to(wide) + FLOOR * eye)
    return (limited(linear @ root(root(linear)), least=1 / LIMIT, most=LIMIT) - eye).float()


def changed(band: Tensor, change: Tensor) -> Tensor:
    """The product of `change` `(b, 3, 3)` and the colours of `band` `(b, 3, h, w)`."""
    with torch.autocast(band.device.type, enabled=False):
        product: Tensor = torch.einsum("bij,bjhw->bihw", change, band)
        return product


def contrast_change(x: Tensor, targets: Tensor, *, wraps: Wraps = NO_WRAPS) -> Tensor:
    """What is added to `x` `(b, 3, h, w)` for the covariances `targets` `(b, bands, 3, 3)`, the rest last.

    `x` is a whole picture, halved as often as there are bands above it. Its mean stays.
    """
    bands = bands_of(x, targets.shape[1] - 1, wraps=wraps)
    changes = band_changes(shared(covariances(bands)), targets).unbind(1)
    rest = bands.pop()
    change = changed(rest - rest.mean((2, 3), keepdim=True), changes[-1])
    for band, own in zip(reversed(bands), reversed(changes[:-1]), strict=True):
        change = changed(band, own) + doubled(change, band, wraps=wraps)
    return change


def in_bands(image: Tensor, targets: Tensor) -> Tensor:
    """`image` `(b, 3, h, w)`, a whole picture, with the `band_covariances` `(b, 45)`, in `[0, 1]` and float32."""
    with torch.autocast(image.device.type, enabled=False):
        image = image.float()
        change = contrast_change(halved(image), by_band(targets))
        matched = (image + doubled(change, image)).clamp(0, 1)
        return torch.where(targets.abs().sum() > 0, matched, image) if exported() else matched
