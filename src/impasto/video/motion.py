"""Motion between two frames: its flow, how far it can be trusted, and whether there is a cut."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.flow.estimators import Estimator, estimator, luma, resized_flow
from impasto.flow.warping import agreement, blurred, vanishing, warped
from impasto.image.resize import SizeHW, fit, resized

SEARCH_PX = 640  # the long side at which motion is searched
STILL = 0.006
"""Zero motion is used where its mean absolute difference exceeds the flow's by less than about this: in flat areas any
flow fits, and strokes must not follow its noise."""
STILL_SIGMA_PX = 4.0
CHANGED = 0.1  # difference of the warped content at which trust falls to 1/e; with 0.15 wheels leave ghosts
LIT, LIT_SIGMA_PX = 0.04, 8.0
"""The same for a difference of the light, which is smooth: what is carried through a fade lags behind it."""

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

    def reduced(self, frame: Tensor) -> Tensor:
        """The frame `(1, 3, h, w)` at the size at which motion is searched."""
        size_hw = (frame.shape[-2], frame.shape[-1])
        return resized(frame, fit(size_hw, long_side_px=self.search_px, enlarge=False), mode="bilinear")

    def __call__(self, frame: Tensor, before: Tensor) -> Motion | None:
        """The motion from `frame` to `before`, both `(1, 3, h, w)` in `[0, 1]`; None across a cut."""
        size_hw = (frame.shape[-2], frame.shape[-1])
        return self.between(self.reduced(frame), self.reduced(before), size_hw=size_hw)

    def between(self, now: Tensor, then: Tensor, *, size_hw: SizeHW) -> Motion | None:
        """The motion between two `reduced` frames, at the size of the frames themselves; None across a cut."""
        flow, reverse = self.search(now, then), self.search(then, now)
        moved = warped(then, flow, mode="linear")
        if is_cut(now, then, moved=moved):
            return None
        flow = _rested(now, then, flow=flow, moved=moved)
        reverse = at_rest(then, now, reverse)
        apart = now - warped(then, flow, mode="linear")
        changed = blurred(apart.abs().mean(1, keepdim=True), 1.0) / CHANGED
        lit = blurred(apart, LIT_SIGMA_PX).abs().mean(1, keepdim=True) / LIT
        trust = agreement(flow, reverse) * vanishing(changed.square() + lit.square())
        return Motion(resized_flow(flow, size_hw), resized(trust, size_hw, mode="bilinear"))


def at_rest(frame: Tensor, before: Tensor, flow: Tensor) -> Tensor:
    """`flow` `(1, 2, h, w)` from `frame` to `before`, set to zero where zero explains the picture equally well.

    In flat or still areas the flow is mostly noise. The absolute differences of the two pictures without motion and
    along the flow are compared, both smoothed by a Gaussian.
    """
    return _rested(frame, before, flow=flow, moved=warped(before, flow, mode="linear"))


def _rested(frame: Tensor, before: Tensor, *, flow: Tensor, moved: Tensor) -> Tensor:
    """`at_rest`; `moved` is `before` warped by `flow`."""
    apart = (frame - before).abs_().sub_((frame - moved).abs_()).mean(1, keepdim=True)
    excess = blurred(apart, STILL_SIGMA_PX).clamp(min=0)
    return flow * (1 - vanishing((excess / STILL).square()))


def is_cut(frame: Tensor, before: Tensor, *, moved: Tensor) -> bool:
    """Whether there is a cut between two frames: their histograms differ and the flow does not explain the change.

    `moved` is `before` warped by the flow.
    """
    unexplained = (frame - moved).abs().mean(1) > UNEXPLAINED
    share = float(unexplained.float().mean())
    if share <= CUT_UNEXPLAINED:
        return False
    return share > CUT_LOST or _histogram_distance(luma(frame), luma(before)) > CUT_HISTOGRAM


def _histogram_distance(one: Tensor, other: Tensor) -> float:
    """Half the sum of absolute differences of two histograms of sum 1, in `[0, 1]`."""
    counts = [torch.histc(image, BINS, 0.0, 1.0) / image.numel() for image in (one, other)]
    return float((counts[0] - counts[1]).abs().sum() / 2)
