"""Losses of a network's output: what the trainings of one-pass networks have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.losses.smoothness import total_variation
from impasto.objective.coherence import coherence
from impasto.objective.motion import stability
from impasto.objective.perceptual import FeatureTerm, PixelTerm, out_of_range

Distance = Callable[[Tensor, Tensor], Tensor]
"""`distance(features, target) -> scalar`."""

NOISE_STD = 0.02
"""Standard deviation of the noise of the stability losses, in pixel values."""

MOTION_PX = 8.0
"""Standard deviation of the motion of the stability loss under motion, in pixels."""


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Weights of the losses by part; a part of weight 0 is not computed.

    Content, style and features are relative to their targets (0 is equal, 1 the distance of all-zero features) unless
    a task says otherwise. The other parts are mean squares of pixel values.
    """

    content: float = 0.0
    style: float = 0.0
    pixels: float = 0.0
    features: float = 0.0
    identity: float = 0.0
    smoothness: float = 0.0
    noise: float = 0.0
    motion: float = 0.0
    coherence: float = 0.0
    range: float = 10.0

    @property
    def reads_content(self) -> bool:
        """Whether a part needs the features of the content."""
        return self.content > 0 or self.coherence > 0


def content_term_distance(distance: Distance, *, normalised: bool) -> Distance:
    """`distance`, or with `normalised` the distance after an instance norm, which leaves the output's contrast free."""
    if not normalised:
        return distance
    return lambda feats, target: distance(F.instance_norm(feats.float()), F.instance_norm(target.float()))


def content_terms(
    layers: Mapping[str, float], targets: Mapping[str, Tensor], *, weights: Weights, distance: Distance
) -> Iterable[FeatureTerm]:
    """The parts `content` and `coherence` of features with `targets`, `(b, c, h, w)` by layer; layers have weights.

    `content` is the distance of the features, `coherence` that of their differences between neighbours.
    """
    for layer, share in layers.items():
        target = targets[layer]
        yield FeatureTerm("content", layer, weights.content * share, lambda feats, to=target: distance(feats, to))  # type: ignore[misc]
        yield FeatureTerm("coherence", layer, weights.coherence * share, partial(coherence, target=target))


def output_terms(
    weights: Weights, output: Tensor, *, contents: Tensor, paint: Callable[[Tensor], Tensor]
) -> tuple[PixelTerm, ...]:
    """The parts `smoothness`, `noise`, `motion` and `range` of the `output` of `paint` for `contents`.

    Both are `(b, 3, h, w)`.

    `noise`: the output should not change with a little noise on the content (Gao et al. 2020, for stable video).
    `motion`: a content that moves should be painted as its painting moves (`motion.stability`).
    `range`: the mean squared distance of pixels from `[0, 1]`.
    """

    def noise(image: Tensor) -> Tensor:
        return F.mse_loss(paint(contents + NOISE_STD * torch.randn_like(contents)), image)

    def motion(image: Tensor) -> Tensor:
        return stability(image, contents=contents, paint=paint, std_px=MOTION_PX, noise_std=NOISE_STD)

    return (
        PixelTerm("smoothness", weights.smoothness, total_variation),
        PixelTerm("noise", weights.noise, noise),
        PixelTerm("motion", weights.motion, motion),
        PixelTerm("range", weights.range, out_of_range),
    )
