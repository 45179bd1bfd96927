"""Swatches of shapes that lie over one another: circles and lines, splintered planes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from impasto.image.resize import SizeHW
from tools.swatches.brushwork import (
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
)

_GAY = colours(
    "#16181d", "#c8281e", "#1f4aa8", "#f0c419", "#efe6d0", "#2f7f86", "#7b2f6f", "#e88a2c", "#e7a7a0", "#4f8a3c"
)  # fmt: skip


def geometry(size_hw: SizeHW, rng: np.random.Generator) -> Bytes:
    """Circles within circles, wedges, chequers, arcs and lines on brushed ochre."""
    aspect = size_hw[1] / size_hw[0]
    soft = 0.5 + 0.55 * noise(size_hw, rng, cells=2.5, octaves=3)
    ground = ramp(soft, colours("#a8762c", "#d2a24a", "#ecd196", "#e9c892", "#cf8f57", "#9fae9a"))
    turns = np.pi * noise(size_hw, rng, cells=2)
    brushes = (
        Brush(count=1400, length=60, width=16, bristles=6, value_jitter=0.05, hue_jitter=0.025),
        Brush(count=2500, length=34, width=8, bristles=3, value_jitter=0.05, hue_jitter=0.03),
    )
    painted = brushed(ground, turns, rng=rng, brushes=brushes)
    h, w = enlarged(size_hw)
    image = Image.fromarray(quantised(painted.colour)).resize((w, h), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(image, "RGBA")
    for draw, count, reach in (
        (_wedge, 14, 0.34), (_rings, 9, 0.17), (_ray, 16, 0.6), (_chequer, 7, 0.16), (_wedge, 12, 0.14),
        (_rings, 22, 0.085), (_arcs, 14, 0.15), (_ray, 14, 0.25), (_rings, 26, 0.035),
    ):  # fmt: skip
        for place in _spread(count, aspect, rng=rng):
            draw(pen, place * h, reach=reach * rng.uniform(0.7, 1.25) * h, rng=rng)
    small = reduced(image)
    return quantised(papered(Paint(small, painted.height).lit(0.16), rng, strength=0.02))


def _spread(count: int, aspect: float, *, rng: np.random.Generator) -> Floats:
    """`count` places `(n, 2)` in heights, each the farthest of some tries from those before."""
    found = rng.uniform((0, 0), (aspect, 1), (1, 2))
    while len(found) < count:
        tries = rng.uniform((0, 0), (aspect, 1), (8, 2))
        gaps = np.linalg.norm(tries[:, None] - found[None], axis=2).min(axis=1)
        found = np.concatenate([found, tries[[int(np.argmax(gaps))]]])
    return found.astype(np.float32)


def _gay(rng: np.random.Generator, cover: float = 1.0) -> tuple[int, ...]:
    return ink(np.append(_GAY[int(rng.integers(len(_GAY)))], cover))


def _rings(pen: ImageDraw.ImageDraw, at: Floats, *, reach: float, rng: np.random.Generator) -> None:
    halo = reach * 1.35
    pen.ellipse([*(at - halo), *(at + halo)], fill=_gay(rng, 0.35))
    line = max(1, round(0.05 * reach))
    for part in np.linspace(1, 0.15, int(rng.integers(3, 7))):
        radius = reach * part
        pen.ellipse([*(at - radius), *(at + radius)], fill=_gay(rng), outline=ink(_GAY[0]), width=line)


def _wedge(pen: ImageDraw.ImageDraw, at: Floats, *, reach: float, rng: np.random.Generator) -> None:
    turn, slim = rng.uniform(0, 6.28), rng.uniform(0.2, 0.6)
    corners = np.array([turn, turn + np.pi - slim, turn + np.pi + slim])
    points = at + reach * np.stack([np.cos(corners), np.sin(corners)], axis=1)
    pen.polygon(points.reshape(-1).tolist(), fill=_gay(rng, 0.75))
    pen.line([*points[1], *points[0], *points[2]], fill=ink(_GAY[0]), width=max(1, round(0.015 * reach)))


def _ray(pen: ImageDraw.ImageDraw, at: Floats, *, reach: float, rng: np.random.Generator) -> None:
    turn = float(rng.choice((0.5, 0.62, 2.3, -0.75, 1.5))) + rng.normal(0, 0.08)
    along = reach * np.array([np.cos(turn), np.sin(turn)])
    beside = 0.05 * reach * np.array([-np.sin(turn), np.cos(turn)])
    for index in range(int(rng.integers(1, 5))):
        ends = [*(at - along + index * beside), *(at + along * rng.uniform(0.6, 1) + index * beside)]
        pen.line(ends, fill=ink(_GAY[0]), width=max(1, round(reach * rng.uniform(0.006, 0.02))))


def _arcs(pen: ImageDraw.ImageDraw, at: Floats, *, reach: float, rng: np.random.Generator) -> None:
    start, sweep = rng.uniform(0, 360), rng.uniform(80, 220)
    line = max(1, round(0.07 * reach))
    for index in range(int(rng.integers(2, 5))):
        radius = reach * (1 - 0.2 * index)
        pen.arc([*(at - radius), *(at + radius)], start, start + sweep, fill=_gay(rng), width=line)


def _chequer(pen: ImageDraw.ImageDraw, at: Floats, *, reach: float, rng: np.random.Generator) -> None:
    turn, rows, columns = rng.uniform(-0.8, 0.8), int(rng.integers(2, 5)), int(rng.integers(3, 7))
    right = reach / 3 * np.array([np.cos(turn), np.sin(turn)])
    down = reach / 3 * np.array([-np.sin(turn + 0.3), np.cos(turn + 0.3)])
    first, second = _gay(rng), _gay(rng)
    for row in range(rows):
        for column in range(columns):
            corner = at + right * (column - columns / 2) + down * (row - rows / 2)
            square = [*corner, *(corner + right), *(corner + right + down), *(corner + down)]
            pen.polygon(square, fill=first if (row + column) % 2 else second, outline=ink(_GAY[0]))


_EARTHS = (
    "#ecd9a6", "#d2b06a", "#c08a3c", "#a3a196", "#e0d3b8", "#9a6028",
    "#35332f", "#565a5c", "#7c8684", "#5d4630", "#3d6288", "#263c52", "#83694a", "#8aa6b8",
)  # fmt: skip
_DABS = (
    Brush(count=2600, length=36, width=14, bristles=6, value_jitter=0.035, hue_jitter=0.012, bristle_jitter=0.04),
    Brush(count=3800, length=26, width=9, bristles=4, value_jitter=0.05, hue_jitter=0.015, bristle_jitter=0.04),
)


def facets(size_hw: SizeHW, rng: np.random.Generator) -> Bytes:
    """Splintered planes in ochre, grey and blue, each shaded from one edge to the other and brushed across."""
    x, y = axes(size_hw)
    aspect = size_hw[1] / size_hw[0]
    pieces = _splinters(aspect, rng, count=110)
    label, lines = _laid(pieces, size_hw, rng=rng)
    middles = np.array([piece.mean(axis=0) for piece in pieces])
    reach = np.array([np.linalg.norm(np.ptp(piece, axis=0)) / 2 for piece in pieces])
    tilt = rng.choice((0.5, 1.25, 2.6, 3.7, 5.3), len(pieces)) + rng.normal(0, 0.15, len(pieces))
    central = np.exp(-(((middles[:, 0] / aspect - 0.5) / 0.25) ** 2) - ((middles[:, 1] - 0.5) / 0.45) ** 2)
    odds = 0.15 + np.where(np.arange(len(_EARTHS)) < 6, central[:, None], 1 - central[:, None])
    base = colours(*_EARTHS)[[int(rng.choice(len(_EARTHS), p=row / row.sum())) for row in odds]]
    across = (x - middles[label, 0]) * np.cos(tilt[label]) + (y - middles[label, 1]) * np.sin(tilt[label])
    shade = 1.0 + 0.72 * np.clip(across / reach[label] * 1.3, -1, 1)
    plan = base[label] * shade[..., None] + 0.02
    for place in _spread(26, aspect, rng=rng):  # planes that one sees through, open on one side
        turn, wide = float(rng.choice((0.3, 1.2, 2.5, 4.0, 5.4))), rng.uniform(0.12, 0.3)
        u = (x - place[0]) * np.cos(turn) + (y - place[1]) * np.sin(turn)
        v = (y - place[1]) * np.cos(turn) - (x - place[0]) * np.sin(turn)
        veil = edge(np.maximum(-u, np.abs(v) - wide / 2 + 0.3 * u), 1.5 / size_hw[0]) * np.clip(1 - u / wide, 0, 1)
        plan = blended(plan, np.broadcast_to(base[int(rng.integers(len(base)))], plan.shape), cover=0.75 * veil)
    grey = np.full((*size_hw, 3), 0.5, np.float32)
    angle = (tilt[label] + 1.57 + 0.2 * noise(size_hw, rng, cells=6)).astype(np.float32)
    dabs = brushed(grey, angle, rng=rng, brushes=_DABS)
    plan = np.clip(plan * 2 * dabs.colour, 0, 1)
    painted = blended(Paint(plan, dabs.height).lit(0.22), lines[..., :3], cover=lines[..., 3])
    return quantised(papered(painted, rng, strength=0.02))


def _splinters(aspect: float, rng: np.random.Generator, *, count: int) -> list[Floats]:
    """Convex polygons `(k, 2)` in heights that tile the picture: the largest is split across, again and again."""
    pieces = [np.array([[0, 0], [aspect, 0], [aspect, 1], [0, 1]], np.float32)]
    while len(pieces) < count:
        areas = [_area(piece) * rng.uniform(0.3, 1) ** 2 for piece in pieces]
        piece = pieces.pop(int(np.argmax(areas)))
        turns = rng.choice((0.25, 0.95, 1.35, 2.2, 2.75), 2) + rng.normal(0, 0.08, 2)
        spans = [np.ptp(piece @ np.array([-np.sin(turn), np.cos(turn)])) for turn in turns]
        turn = turns[int(np.argmax(spans))]
        across = np.array([-np.sin(turn), np.cos(turn)], np.float32)
        at = float(piece.mean(axis=0) @ across) + 0.18 * max(spans) * rng.uniform(-1, 1)
        pieces += [half for half in (_clipped(piece, across, at=at), _clipped(piece, -across, at=-at)) if len(half) > 2]
    return pieces


def _area(piece: Floats) -> float:
    x, y = piece.T
    return abs(float(x @ np.roll(y, 1) - y @ np.roll(x, 1))) / 2


def _clipped(piece: Floats, across: Floats, *, at: float) -> Floats:
    """The part of a convex polygon where `point @ across` is at least `at`."""
    kept: list[Floats] = []
    for here, there in zip(piece, np.roll(piece, -1, axis=0), strict=True):
        a, b = float(here @ across) - at, float(there @ across) - at
        if a >= 0:
            kept.append(here)
        if a * b < 0:
            kept.append(here + (there - here) * (a / (a - b)))
    return np.array(kept, np.float32)


def _laid(pieces: list[Floats], size_hw: SizeHW, *, rng: np.random.Generator) -> tuple[NDArray[np.int32], Floats]:
    """The piece of each pixel, `(h, w)`, and lines along some edges as `(h, w, 4)` with alpha."""
    h, w = enlarged(size_hw)
    dark, pale = "#1c1916", "#f0e6cc"
    labels = Image.new("I", (size_hw[1], size_hw[0]), 0)
    lines = Image.new("RGBA", (w, h), ink(np.append(colours(dark)[0], 0)))
    label_pen, line_pen = ImageDraw.Draw(labels), ImageDraw.Draw(lines)
    for index, piece in enumerate(pieces):
        label_pen.polygon((piece * size_hw[0]).reshape(-1).tolist(), fill=index)
        points = (piece * h).tolist()
        for here, there in zip(points, points[1:] + points[:1], strict=True):
            if rng.uniform() < 0.45:
                tone = ink(np.append(colours(dark if rng.uniform() < 0.8 else pale)[0], 0.85))
                line_pen.line([*here, *there], fill=tone, width=max(1, round(h * rng.uniform(0.002, 0.006))))
    small = reduced(lines)
    return np.asarray(labels, np.int32), small
