"""How steady a repainted film is: its error along the source's motion, near and far in time, flicker, sharpness, drift.

Scored with a flow that steadying does not use: scored with its own, a film looks better than it is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.core.errors import OptionError
from impasto.flow.estimators import Estimator, estimator, luma
from impasto.flow.warping import trusted, warped

LAGS = (1, 5, 10)
STILL = 0.008  # a change of the source, of 2 levels in 8 bits, below which a place stands still
BORDER_SHARE = 10  # the first and the last tenth of the frames are compared for drift


FramePair = tuple[Tensor, Tensor]
"""A frame of the source and its painting, `(1, 3, h, w)` each."""


@dataclass(frozen=True)
class Steadiness:
    """The measures of one film; all but the ratio are 0 for a film that is perfectly steady.

    `warping` holds the error by lag in frames (those that the film is long enough for), `flicker` is none where nothing
    stands still. `sharpness` and `edges` are the mean absolute Laplacian and the mean length of the gradient of
    luminance, to be compared with the same film painted frame by frame. `drift` is the change of mean
    luminance from the first to the last tenth of the frames, minus the change in the source.
    """

    warping: dict[int, float]
    flicker: float | None
    sharpness: float
    edges: float
    drift: float
    frames: int


def steadiness(pairs: Iterable[FramePair], *, flow: Estimator | None = None, lags: Sequence[int] = LAGS) -> Steadiness:
    """The measures of the frames `(content, output)`, each `(1, 3, h, w)` in `[0, 1]` and of one size.

    `flow` is Farnebäck's by default. Raises `OptionError` for fewer than two frames.
    """
    search = flow or estimator("farneback")
    tally = _Tally()
    kept: deque[FramePair] = deque(maxlen=max(lags) + 1)
    for index, pair in enumerate(pairs):
        kept.append(pair)
        tally.add_frame(*pair)
        for lag in lags:
            if len(kept) > lag and index % lag == 0:
                error = warping_error(kept[-1], kept[-1 - lag], flow=search)
                tally.warping.setdefault(lag, []).append(error)
        if len(kept) > 1:
            tally.add_flicker(kept[-1], kept[-2])
    return tally.result()


def warping_error(now: FramePair, earlier: FramePair, *, flow: Estimator) -> float:
    """Lai et al. 2018 (Learning Blind Video Temporal Consistency, equations 5 and 6) of one pair of frames.

    `sum M ||O_t - W(O_s)||² / sum M`: `O_s`, the `before` of any earlier frame, is warped bilinearly by the flow of the
    contents; the norm is over the three channels, and `M` leaves out what is occluded or at motion boundaries
    (`flow.warping.trusted`, as Ruder et al. 2016). NaN where all is occluded. Times 1000 it is in the range of papers.
    """
    (content, output), (content_before, before) = now, earlier
    there, back = flow(content, content_before), flow(content_before, content)
    mask = trusted(there, back)
    apart = (output - warped(before, there, mode="linear")).square().sum(1, keepdim=True)
    return float(apart[mask].mean())


def sharpness_of(image: Tensor) -> tuple[float, float]:
    """Mean absolute Laplacian (4 neighbours) and mean length of the gradient of the luminance of `(b, 3, h, w)`."""
    plane = luma(image)
    kernel = plane.new_tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])[None, None]
    across = plane[..., 1:, 1:] - plane[..., 1:, :-1]
    down = plane[..., 1:, 1:] - plane[..., :-1, 1:]
    return float(F.conv2d(plane, kernel).abs().mean()), float((across**2 + down**2).sqrt().mean())


@dataclass
class _Tally:
    warping: dict[int, list[float]] = field(default_factory=dict)
    flickers: list[tuple[float, float]] = field(default_factory=list)  # sum of changes, and number of still places
    sharpness: list[tuple[float, float]] = field(default_factory=list)
    levels: list[tuple[float, float]] = field(default_factory=list)  # mean luminance of content and output

    def add_frame(self, content: Tensor, output: Tensor) -> None:
        self.sharpness.append(sharpness_of(output))
        self.levels.append((float(luma(content).mean()), float(luma(output).mean())))

    def add_flicker(self, now: FramePair, earlier: FramePair) -> None:
        (content, output), (content_before, before) = now, earlier
        still = F.avg_pool2d((content - content_before).abs().amax(1, keepdim=True), 5, 1, 2) < STILL
        changes = (output - before).abs().mean(1, keepdim=True)[still]
        self.flickers.append((float(changes.sum()), float(changes.numel())))

    def result(self) -> Steadiness:
        count = len(self.levels)
        if count < 2:
            raise OptionError(f"the film has {count} frames; steadiness needs 2 or more.")
        edge = max(1, count // BORDER_SHARE)
        content, output = (torch.tensor(column) for column in zip(*self.levels, strict=True))
        drift = [float(levels[-edge:].mean() - levels[:edge].mean()) for levels in (content, output)]
        still = sum(number for _, number in self.flickers)
        detail = [sum(column) / count for column in zip(*self.sharpness, strict=True)]
        return Steadiness(
            warping={lag: float(torch.tensor(errors).nanmean()) for lag, errors in self.warping.items()},
            flicker=sum(total for total, _ in self.flickers) / still if still else None,
            sharpness=detail[0],
            edges=detail[1],
            drift=drift[1] - drift[0],
            frames=count,
        )
