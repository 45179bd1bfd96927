"""Every loss by name. A new style loss is one function and one row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from impasto.losses import gaussians, neighbours, statistics, transport
from impasto.losses.distances import (
    Distance,
    StatisticDistance,
    coral,
    gatys_style,
    huber,
    joined,
    l1,
    l2,
    of_first,
    relative,
    relative_l2,
)
from impasto.losses.joins import Join, joined_covariances, joined_deviations, joined_means
from impasto.losses.smoothness import laplacian_match, total_variation
from impasto.losses.statistics import Statistic


class StatisticOf(Protocol):
    """A function in `statistics`."""

    def __call__(self, feats: Tensor, weights: Tensor | None = None) -> Statistic:
        """The statistic of `feats (b, c, h, w)` under spatial `weights (b|1, 1, h, w)`."""


@dataclass(frozen=True, kw_only=True)
class StyleLoss:
    """A statistic and the distance between two of them.

    Rows of `STYLE_LOSSES` are relative: 0 is equal, about 1 is the distance of all-zero features. `join`
    computes the statistic of a picture from the statistics of its parts; a loss without one needs the whole picture in
    memory.
    """

    name: str
    statistic: StatisticOf
    distance: StatisticDistance
    about: str
    paper: str
    prepare: Callable[[Statistic], Statistic] | None = None
    join: Join | None = None

    def ready(self, target: Statistic) -> Statistic:
        """The target's statistic (or a mixture of several), with all computations that depend on it only."""
        return target if self.prepare is None else self.prepare(target)

    def target(self, feats: Tensor, weights: Tensor | None = None) -> Statistic:
        """The ready statistic of a style picture's features, without gradient."""
        with torch.no_grad():
            return self.ready(self.statistic(feats, weights))

    def __call__(self, feats: Tensor, target: Statistic, *, weights: Tensor | None = None) -> Tensor:
        """The loss of `feats` against a ready `target`, a scalar."""
        return self.distance(self.statistic(feats, weights), target)


_ROWS = (
    StyleLoss(
        name="gram",
        statistic=statistics.gram,
        join=joined_means,
        distance=joined(relative(l2)),
        about="which features occur together; the classic",
        paper="Gatys et al. 2016",
    ),
    StyleLoss(
        name="mean-std",
        statistic=statistics.mean_std,
        join=joined_deviations,
        distance=joined(relative(l2)),
        about="mean and spread of each feature; cheap, softer textures",
        paper="Huang & Belongie 2017",
    ),
    StyleLoss(
        name="covariance",
        statistic=statistics.covariance,
        join=joined_covariances,
        distance=gaussians.relative_moments,
        about="features that vary together, and their means apart",
        paper="Li et al., Demystifying Neural Style Transfer, 2017",
    ),
    StyleLoss(
        name="wasserstein2",
        statistic=statistics.covariance,
        join=joined_covariances,
        distance=gaussians.relative_bures,
        prepare=gaussians.prepared,
        about="transport between Gaussians of the same mean and covariance; fewer washed-out patches than gram",
        paper="Olkin & Pukelsheim 1982",
    ),
    StyleLoss(
        name="coral",
        statistic=statistics.covariance,
        join=joined_covariances,
        distance=of_first(relative(coral)),
        about="features that vary together, means left free",
        paper="Sun & Saenko 2016",
    ),
    StyleLoss(
        name="histogram",
        statistic=statistics.histogram,
        distance=joined(relative(l2)),
        about="the whole distribution of each feature alone",
        paper="Risser et al. 2017",
    ),
    StyleLoss(
        name="sliced",
        statistic=statistics.sliced,
        distance=joined(relative(l2)),
        about="the whole joint distribution, along many directions; slow on large pictures",
        paper="Heitz et al. 2021",
    ),
    StyleLoss(
        name="remd",
        statistic=transport.columns,
        distance=transport.relaxed_transport,
        prepare=transport.with_axes,
        about="each place by the nearest of the style and the other way round; for joined layers",
        paper="Kolkin et al. 2019, relaxed earth mover's distance",
    ),
    StyleLoss(
        name="strotss",
        statistic=transport.moments_and_columns,
        distance=transport.moments_and_transport,
        prepare=transport.moments_with_axes,
        about="remd, and means and covariances; for joined layers",
        paper="Kolkin et al. 2019",
    ),
)

STYLE_LOSSES: dict[str, StyleLoss] = {row.name: row for row in _ROWS}

GATYS = StyleLoss(
    name="gatys",
    statistic=statistics.gram,
    join=joined_means,
    distance=lambda output, target: gatys_style(output[0], target[0]),
    about="the paper's own absolute style loss; its content loss is distances.gatys_content",
    paper="Gatys et al. 2016, eq. 4",
)
"""Absolute, so not part of the table: weights tuned for its rows do not fit."""

NEAREST = StyleLoss(
    name="nearest",
    statistic=transport.columns,
    distance=transport.nearest_distance,
    prepare=transport.with_axes,
    about="each place by the nearest of the style; parts of the style may be left out",
    paper="Kolkin et al. 2022, Neural Neighbor Style Transfer, final pass",
)
"""Not a distance, so not part of the table: zero for a picture that repeats a single patch of the style."""


@dataclass(frozen=True, kw_only=True)
class MatchedLoss:
    """The distance from style features rearranged to match the content."""

    name: str
    match: Callable[[Tensor, Sequence[Tensor]], Statistic]
    distance: Callable[..., Tensor]
    about: str
    paper: str

    def __call__(self, feats: Tensor, target: Statistic, *, weights: Tensor | None = None) -> Tensor:
        """The loss of `feats` against a target of `match`, a scalar."""
        return self.distance(feats, target, weights=weights)


MATCHED_LOSSES: dict[str, MatchedLoss] = {
    "neighbours": MatchedLoss(
        name="neighbours",
        match=neighbours.matched,
        distance=neighbours.cosine_distance,
        about="each place of the content replaced by the most similar one of the style; for joined layers",
        paper="Kolkin et al. 2022, Neural Neighbor Style Transfer",
    )
}
"""Losses whose target depends on the content and is computed for each scale."""

CONTENT_LOSSES: dict[str, Distance] = {
    "l2": relative_l2,
    "l1": relative(l1),
    "huber": relative(huber),
    "self-similarity": transport.self_similarity,
}
"""Distances of features `(b, c, h, w)` relative to the content's magnitude: 1 is the distance of all-zero features."""

SMOOTHNESS_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "total-variation": lambda image, content: total_variation(image),
    "total-variation-l1": lambda image, content: total_variation(image, power=1),
    "laplacian": lambda image, content: laplacian_match(image, content),
}
"""Losses `(image, content) -> scalar` of pixels `(b, 3, h, w)`; total variation uses the image only."""
