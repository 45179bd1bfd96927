"""Feature columns compared by direction: nearest neighbours, and the relaxed earth mover's distance.

A column is the feature vector of one position. Cosine distance is `1 - u·v` of unit columns; each column is first given
one more, small coordinate, so that a column of zeros is equal to zeros only, and has a gradient.
Kolkin, Salavon & Shakhnarovich, Style Transfer by Relaxed Optimal Transport and Self-Similarity, CVPR 2019.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from impasto.losses import gaussians
from impasto.losses.distances import NOTHING, Reduction, reduced
from impasto.losses.precision import full_precision
from impasto.losses.statistics import Statistic, covariance, flattened

COLUMNS = 2**13
"""Maximum number of columns per picture; the time is quadratic."""

NEIGHBOUR_AXES = 64
"""Principal axes of the target for the neighbour search; distances then use all channels."""

PLACES = 1024
"""Maximum number of positions that `self_similarity` compares; the number of pairs is quadratic."""

SMALL = 1e-2
"""The additional coordinate, as a share of the root mean square length of the target's columns."""

PALETTE_PX = 48  # sides of the picture whose colours are compared
TINY = 1e-8
CHUNK = 2**22  # number of distances in memory at a time


@full_precision
def columns(feats: Tensor, weights: Tensor | None = None) -> Statistic:
    """Columns `(b, n, c)` and their mass `(b, n)` of sum 1.

    Of a map with several times as many places as `COLUMNS` means over small areas are taken, and of more than `COLUMNS`
    a random subset of that size, the same at each call.
    """
    pixels, mass = flattened(*_pooled(feats, weights))
    if mass is None:
        mass = pixels.new_full((1, 1, pixels.shape[-1]), 1 / pixels.shape[-1])
    mass = mass.expand(len(pixels), 1, -1).squeeze(1)
    if pixels.shape[-1] > COLUMNS:
        chosen = _subset(pixels.shape[-1], COLUMNS).to(pixels.device)
        pixels, mass = pixels[..., chosen], mass[..., chosen]
        mass = mass / mass.sum(-1, keepdim=True).clamp_min(torch.finfo(mass.dtype).tiny)
    return pixels.mT, mass


@full_precision
def with_axes(target: Statistic) -> Statistic:
    """The target's columns and mass, its principal axes `(b, c + 1, k)` and its size `(b, 1, 1)`."""
    pixels, mass = (part.detach() for part in target)
    size = SMALL * pixels.square().sum(-1).mean(-1).sqrt().view(-1, 1, 1)
    size = torch.where(size < NOTHING, 1, size)
    return pixels, mass, axes_of(unit_columns(pixels, size)), size


@full_precision
def relaxed_transport(output: Statistic, target: Statistic) -> Tensor:
    """The relaxed earth mover's distance of columns under the cosine distance (eq. 4 to 6), the mean over the batch.

    The larger of two means: of each column of the output to the nearest of the target, and vice versa. Exact
    but for the search of neighbours, which looks in `NEIGHBOUR_AXES` directions.
    """
    return _each(output, target, both=True)


@full_precision
def nearest_distance(output: Statistic, target: Statistic) -> Tensor:
    """The mean cosine distance of each column of the output to the nearest of the target, in one direction only."""
    return _each(output, target, both=False)


def moments_and_columns(feats: Tensor, weights: Tensor | None = None) -> Statistic:
    """Covariance `(b, c, c)`, mean `(b, c)`, columns `(b, n, c)` and their mass `(b, n)`."""
    return (*covariance(feats, weights), *columns(feats, weights))


@full_precision
def moments_with_axes(target: Statistic) -> Statistic:
    """`with_axes` of the columns, behind the moments."""
    return (*target[:2], *with_axes(target[2:]))


@full_precision
def moments_and_transport(output: Statistic, target: Statistic) -> Tensor:
    """The mean of the relaxed transport of columns and the distance of their moments (eq. 8).

    Departs from the paper, which takes absolute differences of the moments: these are squared and relative, so that the
    two parts have one size for every encoder.
    """
    return (gaussians.relative_moments(output[:2], target[:2]) + relaxed_transport(output[2:], target[2:])) / 2


@full_precision
def colours(image: Tensor, weights: Tensor | None = None) -> Statistic:
    """The colours `(b, n, 3)` of areas of a picture `(b, 3, h, w)`, at most `PALETTE_PX` a side, and their mass."""
    size = [min(PALETTE_PX, side) for side in image.shape[-2:]]
    area = functional.interpolate(image, size, mode="area")
    return columns(area, None if weights is None else functional.interpolate(weights, size, mode="area"))


@full_precision
def palette_transport(output: Statistic, target: Statistic) -> Tensor:
    """The relaxed earth mover's distance of colours under the Euclidean distance, the mean over the batch.

    Departs from the paper, which takes decorrelated axes: these are red, green and blue.
    """
    theirs = [part.expand(len(output[0]), *part.shape[1:]) for part in target]
    return torch.stack([_palette_distance(*parts) for parts in zip(*output, *theirs, strict=True)]).mean()


@full_precision
def self_similarity(output: Tensor, target: Tensor, *, reduction: Reduction = "mean") -> Tensor:
    """Distance of the self-similarities of two feature maps `(b, c, h, w)`: 0 is equal, 1 the distance from zero.

    The cosine distances between all pairs of positions, each row divided by its sum, and the mean over rows of the
    summed absolute difference (section 2.2 of the paper, which divides once more by the number of positions). Of many
    positions a random subset of `PLACES` is compared, the same at each call.
    """
    target = target.detach()
    size = SMALL * target.flatten(2).square().sum(1).mean(-1).sqrt().view(-1, 1, 1)
    size = torch.where(size < NOTHING, 1, size)
    rows = [_shares(maps, size) for maps in (output, target.expand_as(output))]
    return reduced((rows[0] - rows[1]).abs().sum(-1), reduction)


def unit_columns(pixels: Tensor, size: Tensor) -> Tensor:
    """Columns `(b, n, c)` with the coordinate `size` `(b, 1, 1)` added, of length 1: `(b, n, c + 1)`."""
    last = size.to(pixels).expand(len(pixels), pixels.shape[1], 1)
    return functional.normalize(torch.cat([pixels, last], dim=-1), dim=-1)


def axes_of(units: Tensor) -> Tensor:
    """Principal axes `(b, c, k)` of columns `(b, n, c)` around zero: the `NEIGHBOUR_AXES` largest, or all."""
    count = min(NEIGHBOUR_AXES, units.shape[-1])
    return gaussians.eigh((units.mT @ units).double())[1][..., -count:].to(units)


@torch.no_grad()
def neighbours(output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """For each row of `output` `(n, k)` the row of `target` `(m, k)` with the largest product, and vice versa.

    Indices `(n,)` and `(m,)`; a chunk of the products is held at a time. A product that is not a number wins.
    """
    rows = max(1, CHUNK // len(target))
    nearest, best = [], target.new_full((len(target),), -torch.inf)
    back = torch.zeros(len(target), dtype=torch.long, device=target.device)
    for start in range(0, len(output), rows):
        products = output[start : start + rows] @ target.mT
        nearest.append(products.argmax(1))
        top, at = products.max(0)
        better = ~(top <= best)
        best, back = torch.where(better, top, best), torch.where(better, at + start, back)
    return torch.cat(nearest), back


def _each(output: Statistic, target: Statistic, *, both: bool) -> Tensor:
    target = target if len(target) == 4 else with_axes(target)
    batch = len(output[0])
    theirs = [part.expand(batch, *part.shape[1:]) for part in target]
    distances = [
        _distance(output[0][i], output[1][i], *(part[i] for part in theirs), both=both)  # type: ignore[misc]
        for i in range(batch)
    ]
    return torch.stack(distances).mean()


def _distance(pixels: Tensor, mass: Tensor, *target: Tensor, both: bool) -> Tensor:
    """Of one picture: columns `(n, c)` of `mass` `(n,)`; positions without mass are excluded."""
    theirs, their_mass, axes, size = target
    counts, their_counts = mass > 0, their_mass > 0
    pixels, mass, theirs, their_mass = pixels[counts], mass[counts], theirs[their_counts], their_mass[their_counts]
    ours, others = unit_columns(pixels[None], size[None])[0], unit_columns(theirs[None], size[None])[0]
    nearest, back = neighbours(ours @ axes, others @ axes)
    there = (mass * (1 - (ours * others[nearest]).sum(-1))).sum()
    if not both:
        return there
    return torch.maximum(there, (their_mass * (1 - (ours[back] * others).sum(-1))).sum())


def _palette_distance(*parts: Tensor) -> Tensor:
    """Of one picture: colours `(n, 3)`, their mass `(n,)`, and both of the target."""
    ours, mass, theirs, their_mass = parts
    counts, their_counts = mass > 0, their_mass > 0
    ours, mass, theirs, their_mass = ours[counts], mass[counts], theirs[their_counts], their_mass[their_counts]
    nearest, back = neighbours(_with_squares(ours), _with_squares(theirs, of_target=True))
    there = (mass * _length(ours - theirs[nearest])).sum()
    return torch.maximum(there, (their_mass * _length(ours[back] - theirs)).sum())


def _shares(feats: Tensor, size: Tensor) -> Tensor:
    """Cosine distances `(b, n, n)` between places, each row of sum 1; zeros where all places are alike."""
    pixels = feats.flatten(2)
    if pixels.shape[-1] > PLACES:
        pixels = pixels[..., _subset(pixels.shape[-1], PLACES).to(pixels.device)]
    units = unit_columns(pixels.mT, size)
    distances = (1 - units @ units.mT).clamp_min(0)
    return distances / distances.sum(-1, keepdim=True).clamp_min(1e-6)


def _pooled(feats: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor | None]:
    factor = int((feats.shape[-2] * feats.shape[-1] / COLUMNS) ** 0.5)
    if factor < 2:
        return feats, weights
    size = [-(-side // factor) for side in feats.shape[-2:]]
    small = None if weights is None else functional.interpolate(weights.to(feats), size, mode="area")
    return functional.interpolate(feats, size, mode="area"), small


def _with_squares(points: Tensor, *, of_target: bool = False) -> Tensor:
    """Rows whose products with the rows of the other side are minus half the squared distances of the points."""
    half, one = -points.square().sum(-1, keepdim=True) / 2, torch.ones_like(points[:, :1])
    return torch.cat([points, one, half] if of_target else [points, half, one], dim=-1)


def _length(vectors: Tensor) -> Tensor:
    lengths: Tensor = (vectors.square().sum(-1) + TINY).sqrt() - TINY**0.5
    return lengths


def _subset(count: int, chosen: int) -> Tensor:
    draw = torch.Generator().manual_seed(0)
    return torch.randperm(count, generator=draw)[:chosen]
