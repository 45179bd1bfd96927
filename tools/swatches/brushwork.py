"""Tools to draw pictures with: random fields, colour ramps, brush strokes that follow a field, relief, paper.

Pictures under work are floats `(h, w, 3)` in `[0, 1]`; fields are `(h, w)`; points are `(…, 2)` as x, y. A length
without a unit is in thousandths of the picture's root area, so that a drawing is the same at every size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw

from impasto.image.resize import SizeHW

Floats = NDArray[np.floating[Any]]
Bytes = NDArray[np.uint8]

LEVELS = int(np.iinfo(np.uint8).max)
OVERSAMPLING = 2  # shapes are drawn so many times larger, and averaged: Pillow's pen has hard edges


def unit_px(size_hw: SizeHW) -> float:
    """Pixels of one thousandth of the picture's root area."""
    return math.sqrt(size_hw[0] * size_hw[1]) / 1000


def enlarged(size_hw: SizeHW) -> SizeHW:
    """The size at which shapes are drawn."""
    return size_hw[0] * OVERSAMPLING, size_hw[1] * OVERSAMPLING


def reduced(image: Image.Image) -> Floats:
    """A picture that was drawn enlarged, at its own size: `(h, w, c)` in `[0, 1]`."""
    size = (image.width // OVERSAMPLING, image.height // OVERSAMPLING)
    return np.asarray(image.resize(size, Image.Resampling.BOX), np.float32) / LEVELS


def axes(size_hw: SizeHW) -> tuple[Floats, Floats]:
    """x and y of each pixel's centre, `(h, w)` each; the height is 1, the width the aspect."""
    h, w = size_hw
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    return (x + 0.5) / h, (y + 0.5) / h


def noise(size_hw: SizeHW, rng: np.random.Generator, *, cells: float, octaves: int = 1) -> Floats:
    """A smooth random field, roughly in `[-1, 1]`, with `cells` bumps along the short side; octaves add finer ones."""
    h, w = size_hw
    total, gain = np.zeros(size_hw, np.float32), 1.0
    for octave in range(octaves):
        across = cells * 2**octave
        grid = (math.ceil(across * h / min(h, w)) + 2, math.ceil(across * w / min(h, w)) + 2)
        bumps = Image.fromarray(rng.uniform(-1.4, 1.4, grid).astype(np.float32))
        total += gain * np.asarray(bumps.resize((w, h), Image.Resampling.BICUBIC))
        gain *= 0.5
    return total


def colours(*names: str) -> Floats:
    """`#rrggbb` names as `(n, 3)` in `[0, 1]`."""
    return np.array([ImageColor.getrgb(name)[:3] for name in names], np.float32) / LEVELS


def ramp(position: Floats, palette: Floats) -> Floats:
    """Colours along a palette `(n, 3)`: 0 is its first, 1 its last. Any shape to that shape + `(3,)`."""
    at = np.clip(position, 0, 1) * (len(palette) - 1)
    low = np.minimum(at.astype(np.int64), len(palette) - 2)
    part = (at - low)[..., None].astype(np.float32)
    mixed: Floats = palette[low] * (1 - part) + palette[low + 1] * part
    return mixed


def blended(below: Floats, above: Floats, *, cover: Floats) -> Floats:
    """`above` laid over `below` `(h, w, 3)` where `cover` `(h, w)` is 1."""
    part = np.clip(cover, 0, 1)[..., None]
    laid: Floats = (below * (1 - part) + above * part).astype(np.float32)
    return laid


def edge(distance: Floats, width: float) -> Floats:
    """1 where `distance` is negative, 0 where positive, smooth over `width`."""
    soft: Floats = np.clip(0.5 - distance / width, 0, 1).astype(np.float32)
    return soft


def sampled(field: NDArray[Any], points: Floats) -> NDArray[Any]:
    """Values of `(h, w, …)` at the pixels nearest to `points`; outside, those of the border."""
    h, w = field.shape[:2]
    x = np.clip(points[..., 0], 0, w - 1).astype(np.int64)
    y = np.clip(points[..., 1], 0, h - 1).astype(np.int64)
    found: NDArray[Any] = field[y, x]
    return found


def scattered(size_hw: SizeHW, rng: np.random.Generator, *, count: int, stray: float = 0.75) -> Floats:
    """About `count` points `(n, 2)` in random order: a lattice whose points stray by that part of its step."""
    h, w = size_hw
    rows = max(1, round(math.sqrt(count * h / w)))
    columns = max(1, math.ceil(count / rows))
    y, x = np.mgrid[0:rows, 0:columns].reshape(2, -1)
    jitter = rng.uniform(-stray, stray, (2, x.size))
    points = np.stack([(x + 0.5 + jitter[0]) * w / columns, (y + 0.5 + jitter[1]) * h / rows], axis=1)
    return points[rng.permutation(len(points))].astype(np.float32)


def traced(angle: Floats, middles: Floats, *, length_px: Floats, steps: int) -> Floats:
    """Paths `(n, 2 * steps + 1, 2)` through `middles` `(n, 2)` along the directions `angle` `(h, w)` in radians."""
    halves = []
    for sign in (-1, 1):
        here, path = middles, []
        for _ in range(steps):
            turn = sampled(angle, here)
            here = here + np.stack([np.cos(turn), np.sin(turn)], axis=-1) * (sign * length_px / (2 * steps))[:, None]
            path.append(here)
        halves.append(path)
    return np.stack([*halves[0][::-1], middles, *halves[1]], axis=1).astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class Brush:
    """A layer of strokes: how many, how long and wide, of how many bristles, and how far their colours stray."""

    count: int
    length: float
    width: float
    bristles: int = 5
    value_jitter: float = 0.07  # of a stroke's lightness
    hue_jitter: float = 0.04  # of each of a stroke's channels
    bristle_jitter: float = 0.05
    steps: int = 3


@dataclass(frozen=True)
class Paint:
    """A picture `(h, w, 3)` and the height `(h, w)` of its paint, both in `[0, 1]`."""

    colour: Floats
    height: Floats

    def lit(self, strength: float) -> Floats:
        """The picture with its relief lit from the upper left; `strength` 0 is flat."""
        down, right = np.gradient(self.height)
        slope = np.tanh((down + right) * 2.0)
        shade = 1 + strength * slope[..., None]
        shine = 0.35 * strength * np.maximum(slope, 0)[..., None] ** 2
        lit: Floats = np.clip(self.colour * shade + shine, 0, 1).astype(np.float32)
        return lit


def brushed(plan: Floats, angle: Floats, *, rng: np.random.Generator, brushes: Sequence[Brush]) -> Paint:
    """`plan` `(h, w, 3)` painted with strokes along `angle` `(h, w)`, in radians, brush after brush."""
    size_hw = (plan.shape[0], plan.shape[1])
    base = np.dstack([plan, np.full(size_hw, 0.3, np.float32)])
    h, w = enlarged(size_hw)
    image = Image.fromarray(quantised(base), "RGBA").resize((w, h), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(image)
    for brush in brushes:
        _lay(pen, plan, angle=angle, rng=rng, brush=brush)
    small = reduced(image)
    return Paint(small[..., :3], small[..., 3])


def _lay(pen: ImageDraw.ImageDraw, plan: Floats, *, angle: Floats, rng: np.random.Generator, brush: Brush) -> None:
    """Draw one brush's strokes; the fourth channel of the pen's picture takes the height of the paint."""
    size_hw = (plan.shape[0], plan.shape[1])
    unit = unit_px(size_hw)
    middle = scattered(size_hw, rng, count=brush.count)
    length = (brush.length * unit * rng.uniform(0.6, 1.3, len(middle))).astype(np.float32)
    path = traced(angle, middle, length_px=length, steps=brush.steps)
    value = rng.normal(0, brush.value_jitter, (len(path), 1, 1)) + rng.normal(0, brush.hue_jitter, (len(path), 1, 3))
    bristle = rng.normal(0, brush.bristle_jitter, (len(path), brush.bristles, 1))
    colour = sampled(plan, middle)[:, None, :] + value + bristle
    height = rng.uniform(0.35, 1, (len(path), brush.bristles, 1)) * (0.6 + 0.4 * _crown(brush.bristles))[:, None]
    inks = quantised(np.concatenate([colour, height], axis=2)).tolist()
    hairs = _hairs(path, brush.width * unit, rng=rng, bristles=brush.bristles) * OVERSAMPLING
    thick = max(1, round(1.25 * brush.width * unit * OVERSAMPLING / brush.bristles))
    for lines, fills in zip(hairs.reshape(*hairs.shape[:2], -1).tolist(), inks, strict=True):
        for line, ink in zip(lines, fills, strict=True):
            pen.line(line, fill=tuple(ink), width=thick)


def _crown(bristles: int) -> Floats:
    """Height across a stroke: its edges lie lower than its middle."""
    across = np.linspace(-1, 1, bristles) if bristles > 1 else np.zeros(1)
    return (1 - across**2).astype(np.float32)


def _hairs(path: Floats, width_px: float, *, rng: np.random.Generator, bristles: int) -> Floats:
    """Paths of the bristles, `(n, bristles, points, 2)`: beside the stroke's path, with ragged ends."""
    along = np.gradient(path, axis=1)
    along /= np.maximum(np.linalg.norm(along, axis=2, keepdims=True), 1e-6)
    normal = np.stack([-along[..., 1], along[..., 0]], axis=-1)[:, None]
    offsets = (np.arange(bristles) - (bristles - 1) / 2) * width_px / bristles
    taper = np.sin(np.linspace(0.25, 0.9, path.shape[1]) * np.pi)[None, None, :, None]
    lines = path[:, None] + normal * offsets[None, :, None, None] * (0.35 + 0.65 * taper)
    ragged = rng.uniform(0, 0.12, (len(path), bristles, 2, 1))
    reach = lines[:, :, -1] - lines[:, :, 0]
    lines[:, :, 0] += reach * ragged[:, :, 0]
    lines[:, :, -1] -= reach * ragged[:, :, 1]
    return lines.astype(np.float32)


def quantised(picture: NDArray[Any]) -> Bytes:
    """`[0, 1]` to 8 bits, clamped and rounded."""
    levels: Bytes = np.floor(np.clip(picture, 0, 1) * LEVELS + 0.5).astype(np.uint8)
    return levels


def ink(colour: NDArray[Any]) -> tuple[int, ...]:
    """A colour `(3,)` or `(4,)` in `[0, 1]` as Pillow's pen takes it."""
    return tuple(quantised(colour).tolist())


def papered(picture: Floats, rng: np.random.Generator, *, strength: float, fibres: float = 0.0) -> Floats:
    """The picture on paper: grain of one pixel, softer mottles, and level fibres where `fibres` is above 0."""
    size_hw = (picture.shape[0], picture.shape[1])
    grain = rng.normal(0, strength, size_hw) + strength * noise(size_hw, rng, cells=60)
    if fibres > 0:
        rows = rng.normal(0, 1, (max(2, size_hw[0]), max(2, size_hw[1] // 40)))
        image = Image.fromarray(rows.astype(np.float32)).resize((size_hw[1], size_hw[0]), Image.Resampling.BICUBIC)
        grain = grain + fibres * np.asarray(image)
    laid: Floats = np.clip(picture * (1 + grain[..., None]), 0, 1).astype(np.float32)
    return laid
