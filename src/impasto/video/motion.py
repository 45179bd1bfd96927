"""Motion between two frames: its flow, how far it can be trusted, and whether there is a cut."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.flow.estimators import Estimator, estimator, luma, resized_flow
from impasto.flow.warping import agreement, blurred, warped
from impasto.image.resize import fit, resized

SEARCH_PX = 640  # the long side at which motion is searched
STILL = 0.006
"""Zero motion is used where its mean absolute difference exceeds the flow's by less than about this: in flat areas any
flow fits, and strokes must not follow its noise."""
STILL_SIGMA_PX = 4.0
CHANGED = 0.15  # difference of the warped content at which trust falls to 1/e

BINS = 32
CUT_HISTOGRAM, CUT_UNEXPLAINED = 0.25, 0.6
"""A cut: this much of the luminance histogram changes and the flow does not explain this much of the picture, or it
explains hardly anything (`CUT_LOST`)."""
CUT_LOST = 0.85
UNEXPLAINED = 0.06  # mean absolute difference above which a pixel is not explained


@dataclass(frozen=True, eq=False)
class Motion:
    """From a frame to the previous one: `flow` `(1, 2, h, w)` in pixels and `trust` `(1, 1, h, w)` in `[0, 1]`."""

    flow: Tensor
    trust: Tensor


@dataclass(frozen=True)
class Tracker:
    """Estimates the motion between two frames by `search`, with a long side of `search_px`."""

    search: Estimator
    search_px: int = SEARCH_PX

    @classmethod
    def named(cls, name: str = "dis", *, search_px: int = SEARCH_PX) -> Tracker:
        """A tracker with an estimator of `flow.estimators.ESTIMATORS`. Raises `UnknownName`, `MissingExtra`."""
        return cls(estimator(name), search_px)

    def __call__(self, frame: Tensor, before: Tensor) -> Motion | None:
        """The motion from `frame` to `before`, both `(1, 3, h, w)` in `[0, 1]`; None across a cut."""
        size_hw = (frame.shape[-2], frame.shape[-1])
        search_hw = fit(size_hw, long_side_px=self.search_px, enlarge=False)
        now, then = (resized(image, search_hw, mode="bilinear") for image in (frame, before))
        flow, reverse = self.search(now, then), self.search(then, now)
        if is_cut(now, then, flow):
            return None
        flow, reverse = at_rest(now, then, flow), at_rest(then, now, reverse)
        changed = blurred((now - warped(then, flow, mode="linear")).abs().mean(1, keepdim=True), 1.0)
        trust = agreement(flow, reverse) * torch.exp(-((changed / CHANGED) ** 2))
        return Motion(resized_flow(flow, size_hw), resized(trust, size_hw, mode="bilinear"))


def at_rest(frame: Tensor, before: Tensor, flow: Tensor) -> Tensor:
    """`flow` `(1, 2, h, w)` from `frame` to `before`, set to zero where zero explains the picture equally well.

    In flat or still areas the flow is mostly noise. The absolute differences of the two pictures without motion and
    along the flow are compared, both smoothed by a Gaussian.
    """
    still, moved = (
        blurred((frame - other).abs().mean(1, keepdim=True), STILL_SIGMA_PX)
        for other in (before, warped(before, flow, mode="linear"))
    )
    excess = (still - moved).clamp(min=0)
    moves: Tensor = 1 - torch.exp(-((excess / STILL) ** 2))
    return flow * moves


def is_cut(frame: Tensor, before: Tensor, flow: Tensor) -> bool:
    """Whether there is a cut between two frames: their histograms differ and the flow does not explain the change."""
    unexplained = (frame - warped(before, flow, mode="linear")).abs().mean(1) > UNEXPLAINED
    share = float(unexplained.float().mean())
    moved = _histogram_distance(luma(frame), luma(before))
    return share > CUT_LOST or (share > CUT_UNEXPLAINED and moved > CUT_HISTOGRAM)


def _histogram_distance(one: Tensor, other: Tensor) -> float:
    """Half the sum of absolute differences of two histograms of sum 1, in `[0, 1]`."""
    counts = [torch.histc(image, BINS, 0.0, 1.0) / image.numel() for image in (one, other)]
    return float((counts[0] - counts[1]).abs().sum() / 2)
