"""Gram matrices as pictures: the correlations between the channels of a layer (Gatys, Ecker & Bethge 2015)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.analysis.colours import coloured, pixel_doubled, to_unit
from impasto.analysis.sheet import contact_sheet
from impasto.config.analysis import GramOptions
from impasto.core.errors import OptionError, UnknownName
from impasto.encoders.table import Encoder
from impasto.losses.statistics import gram

ORDERS = ("index", "strongest", "clustered")


@dataclass(frozen=True)
class GramMatrix:
    """The Gram matrix `(c, c)` of a layer, with its channels in the order `channels`."""

    layer: str
    values: Tensor
    channels: tuple[int, ...]

    @property
    def strength(self) -> tuple[float, float]:
        """Root mean square of the weakest and the strongest channel."""
        root = self.values.diagonal().clamp(min=0).sqrt()
        return float(root.min()), float(root.max())


@torch.no_grad()
def gram_matrices(
    picture: Tensor, layers: Sequence[str], *, encoder: Encoder, order: str = "index"
) -> list[GramMatrix]:
    """Mean over the pixels of f fᵀ for each of `layers`, of a picture `(1, 3, h, w)` in `[0, 1]`.

    `order` is one of `ORDERS`. Raises `UnknownName` for a layer or order, `ImageTooSmall`.
    """
    if not layers:
        raise OptionError("no layer is named; name one or more: `layers=relu1_1` `layers=relu3_1`")
    feats = encoder(picture, layers)
    matrices = []
    for layer in layers:
        values = gram(feats[layer])[0][0]
        channels = channel_order(values, order)
        matrices.append(GramMatrix(layer, values[channels][:, channels], tuple(channels.tolist())))
    return matrices


def channel_order(values: Tensor, order: str) -> Tensor:
    """Channel numbers `(c,)` of a Gram matrix `(c, c)` in the given order, one of `ORDERS`."""
    if order == "index":
        return torch.arange(len(values))
    if order == "strongest":
        return values.diagonal().argsort(descending=True, stable=True)
    if order == "clustered":
        return _clustered(values)
    raise UnknownName.of("order", order, known=ORDERS)


def cosine(values: Tensor) -> Tensor:
    """The Gram matrix `(c, c)` normalised by the strengths of both channels; 0 for channels that are all zero."""
    size = values.diagonal().clamp(min=0).sqrt()
    both = size[:, None] * size[None, :]
    return torch.where(both > 0, values / both.clamp(min=torch.finfo(both.dtype).tiny), 0).clamp(-1, 1)


def _clustered(values: Tensor) -> Tensor:
    """Average linkage of 1 - cosine with optimal leaf ordering (Bar-Joseph et al. 2001)."""
    from scipy.cluster.hierarchy import leaves_list, linkage  # type: ignore[import-untyped]
    from scipy.spatial.distance import squareform  # type: ignore[import-untyped]

    if len(values) < 3:
        return torch.arange(len(values))
    apart = (1 - cosine(values.double())).clamp(min=0)
    apart = (apart + apart.T) / 2
    apart.fill_diagonal_(0)
    tree = linkage(squareform(apart.numpy(), checks=False), method="average", optimal_ordering=True)
    return torch.from_numpy(leaves_list(tree)).long()


def gram_picture(matrix: GramMatrix, *, scale: str = "log") -> Tensor:
    """The matrix as `(1, 3, c, c)`, one pixel for each pair of channels; `scale` is a name in `GramOptions`."""
    values = cosine(matrix.values) if scale == "cosine" else matrix.values
    scaled, kind = to_unit(values, scale="log" if scale == "log" else "linear")
    return coloured(scaled, kind=kind)


def gram_sheet(picture: Tensor, *, encoder: Encoder, options: GramOptions | None = None, name: str = "") -> Tensor:
    """The Gram matrices of all layers side by side, `(1, 3, H, W)`; the colours of each are scaled separately."""
    options = options or GramOptions()
    matrices = gram_matrices(picture, options.layers, encoder=encoder, order=options.order)
    images = [pixel_doubled(gram_picture(m, scale=options.scale), long_side_px=options.cell_px) for m in matrices]
    labels = [
        f"{m.layer}\n{len(m.channels)} channels\nstrength {m.strength[0]:.2g} to {m.strength[1]:.2g}" for m in matrices
    ]
    of = f" of {name}" if name else ""
    scale = {"log": "logarithmic", "linear": "linear", "cosine": "cosine"}[options.scale]
    order = {"index": "by number", "strongest": "strongest first", "clustered": "clustered"}[options.order]
    return contact_sheet(
        [[picture, *images]],
        cell_labels=[["picture", *labels]],
        cell_px=options.cell_px,
        caption=f"Gram matrices{of}: {scale}, channels {order}",
    )
