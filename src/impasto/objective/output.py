"""Losses of a network's output: what the trainings of one-pass networks have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from impasto.losses.smoothness import total_variation
from impasto.objective.perceptual import FeatureTerm, PixelTerm, out_of_range

Distance = Callable[[Tensor, Tensor], Tensor]
"""`distance(features, target) -> scalar`."""

NOISE_STD = 0.02
"""Standard deviation of the noise of the stability losses, in pixel values."""

MOTION_PX = 8.0
"""Standard deviation of the motion of the stability loss under motion, in pixels."""
SMOOTH_PX = 64
"""Distance of the places whose motion is drawn; between them it changes smoothly."""

COMMON_SHARE, OWN_SHARE = 0.9, 0.4  # of the deviation: of the whole picture, and of its parts
PLACES = 64  # that are drawn in each picture
TEMPERATURE = 0.07
AROUND = tuple((y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0))


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


def coherence(feats: Tensor, target: Tensor) -> Tensor:
    """Wu et al. 2022 (CCPL, equation 3), without their projection: `feats` and `target` are of one encoder.

    At random places of features `(b, c, h, w)` the differences to the 8 neighbours are taken. Each difference of the
    painting should be more like that of the content at the same place than like those at all other places: the mean
    cross-entropy of their cosines over the temperature. Features of fewer than 3 places a side have no neighbours: 0.
    """
    height, width = feats.shape[-2:]
    if min(height, width) < 3:
        return feats.sum() * 0
    y = torch.randint(1, height - 1, (PLACES,), device=feats.device)
    x = torch.randint(1, width - 1, (PLACES,), device=feats.device)
    painted, seen = (_differences(values.float(), y, x=x) for values in (feats, target))
    cosines = painted @ seen.mT / TEMPERATURE  # (b, n, n)
    same = torch.arange(cosines.shape[-1], device=feats.device).expand(len(cosines), -1)
    return F.cross_entropy(cosines.flatten(0, 1), same.flatten())


def _differences(feats: Tensor, y: Tensor, *, x: Tensor) -> Tensor:
    """Unit vectors from each place to each of its neighbours, `(b, 8 n, c)`."""
    centre = feats[:, :, y, x]
    apart = torch.cat([feats[:, :, y + down, x + right] - centre for down, right in AROUND], dim=-1)
    return F.normalize(apart, dim=1).mT


def random_flow(image: Tensor, *, std_px: float) -> Tensor:
    """A smooth flow `(b, 2, h, w)` in pixels for pictures `(b, 3, h, w)`, each component of about `std_px`."""
    batch, _, height, width = image.shape
    grid = [max(2, round(side / SMOOTH_PX) + 1) for side in (height, width)]
    common = torch.randn(batch, 2, 1, 1, device=image.device)
    own = F.interpolate(torch.randn(batch, 2, *grid, device=image.device), (height, width), mode="bicubic")
    return std_px * (COMMON_SHARE * common + OWN_SHARE * own)


def moved(image: Tensor, flow: Tensor) -> Tensor:
    """`image` `(b, c, h, w)` sampled bilinearly at `p + flow(p)`, with gradients; the border is repeated."""
    at = _aims(flow) / (flow.new_tensor((flow.shape[-1] - 1, flow.shape[-2] - 1)).clamp(min=1) / 2) - 1
    return F.grid_sample(image, at.to(image.dtype), mode="bilinear", padding_mode="border", align_corners=True)


def stability(
    output: Tensor, *, contents: Tensor, paint: Callable[[Tensor], Tensor], std_px: float, noise_std: float
) -> Tensor:
    """How much painting differs from moving what is painted, both `(b, 3, h, w)` (Wang et al. 2020, ReReVST).

    The mean squared distance of `paint(moved(contents) + noise)` from `moved(output)`, where the flow stays inside.
    """
    flow = random_flow(contents, std_px=std_px)
    frame = moved(contents, flow)
    frame = (frame + noise_std * torch.randn_like(frame)).clamp(0, 1)
    apart = (paint(frame) - moved(output, flow)).square().mean(1, keepdim=True)
    aims, last = _aims(flow), flow.new_tensor((flow.shape[-1] - 1, flow.shape[-2] - 1))
    inside = ((aims >= 0) & (aims <= last)).all(-1)[:, None].to(apart.dtype)
    return (apart * inside).sum() / inside.sum().clamp(min=1)


def _aims(flow: Tensor) -> Tensor:
    """Where each pixel is sampled, `(b, h, w, 2)`, x before y."""
    y = torch.arange(flow.shape[-2], dtype=flow.dtype, device=flow.device)[:, None].expand(flow.shape[-2:])
    x = torch.arange(flow.shape[-1], dtype=flow.dtype, device=flow.device).expand(flow.shape[-2:])
    return torch.stack([x, y], dim=-1) + flow.permute(0, 2, 3, 1)
