"""Swatches whose marks follow a field: thick strokes, wavy bands, dots, hatching."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from impasto.image.resize import SizeHW
from tools.swatches.brushwork import (
    OVERSAMPLING,
    Brush,
    Bytes,
    Floats,
    Paint,
    axes,
    blended,
    brushed,
    colours,
    edge,
    enlarged,
    ink,
    noise,
    papered,
    quantised,
    ramp,
    reduced,
    sampled,
    scattered,
    traced,
    unit_px,
)

_THICK = (
    Brush(count=700, length=95, width=26, bristles=7),
    Brush(count=2200, length=62, width=14, bristles=5),
    Brush(count=2600, length=44, width=8, bristles=3, value_jitter=0.12, hue_jitter=0.05),
)


def night_strokes(size_hw: SizeHW, rng: np.random.Generator) -> Bytes:
    """Short thick strokes around eddies of light, over a field of wheat."""
    x, y = axes(size_hw)
    aspect = size_hw[1] / size_hw[0]
    swell = noise(size_hw, rng, cells=3, octaves=2)
    down = 0.7 * noise(size_hw, rng, cells=2.5)
    along = np.ones_like(down)
    tone = 0.36 + 0.17 * np.sin(22 * (y + 0.06 * swell)) + 0.2 * swell
    sky = ramp(tone, colours("#0a1440", "#132a75", "#1f4fa3", "#3f7dbd", "#86b3cf", "#c4d9c9"))
    for at_x, at_y, radius in _eddies(aspect, rng):
        dx, dy = x - at_x, y - at_y
        distance = np.sqrt(dx**2 + dy**2) / radius
        pull = 3.2 * np.exp(-((distance / 1.9) ** 2)) / np.maximum(distance * radius, 1e-3)
        along, down = along - dy * pull, down + dx * pull
        rings = ramp(
            distance / 1.9, colours("#fff9dc", "#fbdf6b", "#f0ac27", "#a9cbd3", "#f2d770", "#5f97c4", "#24529f")
        )
        sky = blended(sky, rings, cover=edge(distance - 1.6 + 0.3 * swell, 0.9))
    wheat = ramp(
        0.5 + 0.5 * noise(size_hw, rng, cells=6, octaves=2), colours("#25391f", "#7d7a24", "#cf9a24", "#f3cf5c")
    )
    grove = ramp(0.5 + 0.6 * noise(size_hw, rng, cells=9, octaves=2), colours("#071a26", "#0f3d3a", "#2c6a4b"))
    ground = y - 0.78 + 0.05 * np.sin(5 * x + 1) + 0.03 * swell
    trees = ground + 0.05 + 0.05 * np.abs(noise(size_hw, rng, cells=7))
    plan = blended(blended(sky, grove, cover=edge(-trees, 0.01)), wheat, cover=edge(-ground, 0.01))
    angle = np.arctan2(down, along)
    angle = np.where(trees > 0, -1.35 + 0.7 * noise(size_hw, rng, cells=8), angle)
    angle = np.where(ground > 0, -0.55 + 0.8 * noise(size_hw, rng, cells=4), angle).astype(np.float32)
    return quantised(brushed(plan, angle, rng=rng, brushes=_THICK).lit(0.42))


def _eddies(aspect: float, rng: np.random.Generator) -> list[tuple[float, float, float]]:
    """x, y and radius of the lights: each new one far from those before."""
    found: list[tuple[float, float, float]] = []
    for radius in (0.115, 0.085, 0.07, 0.06, 0.055, 0.045, 0.045, 0.04):
        tries = rng.uniform((0.05 * aspect, 0.06), (0.95 * aspect, 0.6), (40, 2))
        gaps = [min([np.hypot(px - fx, py - fy) - 1.6 * fr for fx, fy, fr in found], default=1.0) for px, py in tries]
        px, py = tries[int(np.argmax(gaps))]
        found.append((float(px), float(py), radius))
    return found


_LONG = (
    Brush(count=420, length=260, width=26, bristles=8, steps=6, value_jitter=0.05),
    Brush(count=900, length=210, width=13, bristles=5, steps=6, value_jitter=0.09),
    Brush(count=700, length=150, width=6, bristles=2, steps=5, value_jitter=0.14, hue_jitter=0.05),
)


def fire_bands(size_hw: SizeHW, rng: np.random.Generator) -> Bytes:
    """Long wavy bands of a burning sky over dark water."""
    x, y = axes(size_hw)
    swell = noise(size_hw, rng, cells=1.6, octaves=2)
    sway = rng.uniform(0, 6.28, 3)
    level = y + 0.05 * np.sin(4.3 * x + sway[0]) + 0.035 * np.sin(9 * x + 3 * y + sway[1]) + 0.05 * swell
    sky_at = np.mod(level * 6.5 + 0.25 * np.sin(2.2 * x + sway[2]), 2.0)
    sky_at = np.abs(sky_at - 1)  # there and back: bands without a seam
    sky = ramp(
        sky_at,
        colours("#8e1f1a", "#c93a1b", "#e8641c", "#f39a2b", "#f8c957", "#ef7d1f", "#b22a1c"),
    )
    cool = edge(np.abs(np.mod(level * 4.1 + 0.3, 1.0) - 0.5) - 0.035, 0.05)
    sky = blended(sky, np.broadcast_to(colours("#2f6f78"), sky.shape), cover=0.8 * cool)
    shore = level - 0.56 - 0.1 * np.sin(2.4 * x - 0.6)
    eddy = np.hypot((x - 0.72 * size_hw[1] / size_hw[0]) * 0.7, (y - 0.86) * 1.3)
    depth = shore + 0.6 * np.exp(-((eddy / 0.28) ** 2))  # parallel to the shore, and round an eddy
    water = ramp(
        np.abs(np.mod(depth * 8 + 0.3 * swell, 2.0) - 1),
        colours("#081820", "#0f3540", "#1b5f66", "#2f8080", "#79a68c", "#d9ae48", "#8a3a20"),
    )
    plan = blended(sky, water, cover=edge(-shore, 0.012))
    down, along = np.gradient(np.where(shore > 0, depth, level))
    angle = np.arctan2(along, -down).astype(np.float32)  # along the level lines
    return quantised(brushed(plan, angle, rng=rng, brushes=_LONG).lit(0.25))


def dots(size_hw: SizeHW, rng: np.random.Generator) -> Bytes:
    """Dots of neighbouring and opposite colours: a riverbank at noon."""
    plan = _riverbank(size_hw, rng)
    unit = unit_px(size_hw)
    under = np.dstack([0.75 * plan + 0.1, np.full(size_hw, 0.2, np.float32)])
    h, w = enlarged(size_hw)
    image = Image.fromarray(quantised(under), "RGBA").resize((w, h), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(image)
    for count, radius, stray in ((1100, 18.0, 0.10), (1900, 13.0, 0.16), (1500, 9.5, 0.2)):
        points = scattered(size_hw, rng, count=count)
        dabs = sampled(plan, points) + rng.normal(0, stray / 2, (len(points), 3))
        opposite = rng.uniform(0, 1, len(points)) < 0.16
        grey = dabs[opposite].mean(axis=1, keepdims=True)
        dabs[opposite] = 0.5 + 0.5 * (grey - 0.5) - 1.3 * (dabs[opposite] - grey)
        inks = quantised(np.column_stack([dabs, rng.uniform(0.4, 1, len(points))])).tolist()
        size = radius * unit * rng.uniform(0.75, 1.25, (len(points), 1))
        boxes = np.concatenate([points - size, points + size * (1, 0.85)], axis=1) * OVERSAMPLING
        for box, fill in zip(boxes.tolist(), inks, strict=True):
            pen.ellipse(box, fill=tuple(fill))
    small = reduced(image)
    return quantised(Paint(small[..., :3], small[..., 3]).lit(0.18))


def _riverbank(size_hw: SizeHW, rng: np.random.Generator) -> Floats:
    """The colours that the dots mix to, `(h, w, 3)`."""
    x, y = axes(size_hw)
    soft = noise(size_hw, rng, cells=4, octaves=3)
    sky = ramp(y / 0.42 + 0.15 * soft, colours("#6fa8dc", "#a8c9ea", "#f4d9c6", "#fbe6a2"))
    water = ramp(
        (y - 0.42) / 0.35 + 0.12 * np.sin(60 * y + 6 * soft), colours("#f6e3a8", "#7fb2d9", "#4a7fc1", "#3b4f9e")
    )
    plan = blended(sky, water, cover=edge(0.42 - y, 0.01))
    leaves = 0.5 + 0.5 * noise(size_hw, rng, cells=11, octaves=2)
    trees = ramp(leaves, colours("#4b2f7a", "#17473f", "#2a7a3c", "#9cc03a", "#f0d24a"))
    tops = 0.07 + 0.05 * np.sin(3.1 * x + 0.4) + 0.13 * np.maximum(np.sin(19 * x), 0) ** 3 * (np.sin(2.3 * x) > 0.1)
    crown = tops + 0.03 * soft
    plan = blended(
        plan,
        ramp(0.4 * leaves, colours("#3b2f86", "#2f6f6a", "#8bb05a")),
        cover=0.8 * edge(np.abs(y - 0.41) - 0.8 * crown, 0.05),
    )
    plan = blended(plan, trees, cover=edge(np.maximum(0.4 - crown - y, y - 0.42), 0.015))
    bank = y - 0.74 - 0.2 * (x - 0.6) + 0.03 * soft
    grass = 0.5 + 0.6 * noise(size_hw, rng, cells=9, octaves=2)
    meadow = ramp(grass, colours("#2c6b38", "#6fae3c", "#f2d74a", "#e8743b"))
    shade = ramp(leaves, colours("#22305f", "#2e5f57", "#6a3f8f"))
    meadow = blended(meadow, shade, cover=edge(0.35 - noise(size_hw, rng, cells=4, octaves=2), 0.3))
    return blended(plan, meadow, cover=edge(-bank, 0.01))


_HATCHES = ((0.0, 0.08, 6500, 36), (1.1, 0.45, 5200, 30), (-0.6, 0.66, 5200, 26), (0.5, 0.82, 5200, 22))


def hatching(size_hw: SizeHW, rng: np.random.Generator) -> Bytes:
    """Reed pen in sepia: hills under a low sun, modelled by hatches that cross where it is dark."""
    tone, angle, ridges = _hills(size_hw, rng)
    h, w = enlarged(size_hw)
    stains = 0.12 + 0.3 * tone + 0.2 * noise(size_hw, rng, cells=3, octaves=3)
    paper = ramp(stains, colours("#f6ead0", "#e3c594", "#c39a63"))
    image = Image.fromarray(quantised(paper)).resize((w, h), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(image)
    for turn, above, count, length in _HATCHES:
        _hatch(pen, tone, angle=(angle + turn).astype(np.float32), rng=rng, above=above, count=count, length=length)
    thick = 4 * unit_px(size_hw) * OVERSAMPLING
    for ridge in ridges:
        points = np.stack([np.arange(size_hw[1]), ridge], axis=1) * OVERSAMPLING
        for shift in (0.0, 0.6 * thick):
            wobble = rng.normal((0, shift), 0.12 * thick, points.shape)
            line = (points + wobble)[:: max(1, size_hw[1] // 150)].reshape(-1).tolist()
            pen.line(line, fill=ink(colours("#24120a")[0]), width=max(1, round(0.6 * thick)))
    small = reduced(image)
    return quantised(papered(small, rng, strength=0.015))


def _hills(size_hw: SizeHW, rng: np.random.Generator) -> tuple[Floats, Floats, list[Floats]]:
    """Darkness and direction of the hatches, `(h, w)` each, and the outline of each hill as y in pixels by column."""
    x, y = axes(size_hw)
    sun = 0.62 * size_hw[1] / size_hw[0], 0.2
    away = np.hypot(x - sun[0], y - sun[1])
    tone = np.clip(0.7 * away - 0.1 + 0.12 * np.sin(38 * away), 0, 0.44)
    angle = np.arctan2(x - sun[0], sun[1] - y)
    ridges = []
    for index, top in enumerate((0.36, 0.43, 0.5, 0.58, 0.67, 0.77, 0.88)):
        sway = rng.uniform(0, 6.28, 3)
        rise = 0.06 * np.sin(2.6 * x[0] + sway[0]) + 0.035 * np.sin(5.7 * x[0] + sway[1])
        rise = rise + 0.008 * np.sin(31 * x[0] + sway[2])
        ridge = (top + rise * (0.6 + top)).astype(np.float32)
        depth = y - ridge
        lean = np.gradient(ridge)[None] * size_hw[0]
        falling = 0.2 + 5.5 * depth if index % 2 else 0.8 - 5 * depth
        shade = np.clip(falling + 0.55 * lean, 0.07, 1)
        bend = (0.9 if index % 3 else -1.2) * np.clip(1.2 - 5 * depth, 0.2, 1.2)
        tone = np.where(depth > 0, shade, tone)
        angle = np.where(depth > 0, np.arctan(lean) + bend, angle)
        ridges.append(ridge * size_hw[0])
    return tone.astype(np.float32), angle.astype(np.float32), ridges


def _hatch(
    pen: ImageDraw.ImageDraw,
    tone: Floats,
    *,
    angle: Floats,
    rng: np.random.Generator,
    above: float,
    count: int,
    length: float,
) -> None:
    """Draw one direction of hatches where the tone is darker than `above`; darker places get broader lines."""
    size_hw = (tone.shape[0], tone.shape[1])
    unit = unit_px(size_hw)
    middles = scattered(size_hw, rng, count=count, stray=0.4)
    path = traced(
        angle, middles, length_px=(length * unit * rng.uniform(0.7, 1.3, len(middles))).astype(np.float32), steps=3
    )
    dark = sampled(tone, middles)
    kept = dark > above + rng.normal(0, 0.04, len(dark))
    sepia = colours("#2a160c", "#3d2314", "#5b3a20")
    lines = (path[kept] * OVERSAMPLING).reshape(int(kept.sum()), -1).tolist()
    widths = np.maximum(1, np.round((1.4 + 2.0 * dark[kept]) * unit * OVERSAMPLING)).astype(int).tolist()
    fills = [ink(sepia[i]) for i in rng.integers(0, len(sepia), len(lines))]
    for line, width, fill in zip(lines, widths, fills, strict=True):
        pen.line(line, fill=fill, width=width)
