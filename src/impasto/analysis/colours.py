"""Published, perceptually uniform colour maps for numbers."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from impasto.core.errors import UnknownName
from impasto.image.pixels import from_bytes

_ANCHORS: dict[str, tuple[str, ...]] = {
    # viridis (van der Walt & Smith 2015) at ten equally spaced points
    "sequential": ("440154", "482878", "3e4989", "31688e", "26828e", "1f9e89", "35b779", "6ece58", "b5de2b", "fde725"),
    # RdBu: ColorBrewer, Harrower & Brewer 2003; blue below the middle, red above
    "diverging": (
        "053061",
        "2166ac",
        "4393c3",
        "92c5de",
        "d1e5f0",
        "f7f7f7",
        "fddbc7",
        "f4a582",
        "d6604d",
        "b2182b",
        "67001f",
    ),
}


def coloured(values: Tensor, *, kind: str) -> Tensor:
    """Colour values `(h, w)` in `[0, 1]` by the map `sequential` or `diverging` (middle at 0.5); `(1, 3, h, w)`."""
    if kind not in _ANCHORS:
        raise UnknownName.of("colour map", kind, known=_ANCHORS)
    anchors = _anchors(kind).to(values.device)  # (n, 3)
    place = values.float().clamp(0, 1) * (len(anchors) - 1)
    below = place.floor().long().clamp(max=len(anchors) - 2)
    mixed = torch.lerp(anchors[below], anchors[below + 1], (place - below)[..., None])
    return mixed.permute(2, 0, 1)[None]


def to_unit(values: Tensor, *, scale: str = "linear", signed: bool | None = None) -> tuple[Tensor, str]:
    """Scale `values` to `[0, 1]`; returns them with the kind of colour map that suits them.

    `scale` is `linear` or `log`: sign(v) log(1 + |v|/m), where m is a hundredth of the largest |v|: linear near
    zero. Values are signed if one is below zero, or as `signed` says; zero is then at 0.5.
    """
    signed = bool((values < 0).any()) if signed is None else signed
    size = values.abs().max().clamp(min=torch.finfo(torch.float32).tiny)
    scaled = values / size
    if scale == "log":
        scaled = scaled.sign() * torch.log1p(scaled.abs() * 100) / np.log1p(100)
    return (scaled / 2 + 0.5, "diverging") if signed else (scaled.clamp(min=0), "sequential")


def pixel_doubled(image: Tensor, *, long_side_px: int) -> Tensor:
    """Enlarge `(1, c, h, w)` by the largest whole factor that keeps it within `long_side_px`, without interpolation."""
    times = max(1, long_side_px // max(image.shape[-2:]))
    return image.repeat_interleave(times, dim=-2).repeat_interleave(times, dim=-1)


def _anchors(kind: str) -> Tensor:
    levels = np.frombuffer(bytes.fromhex("".join(_ANCHORS[kind])), dtype=np.uint8).reshape(1, -1, 3)
    return from_bytes(levels)[0, :, 0].T
