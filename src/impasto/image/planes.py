"""Swatches built of bounded shapes: prints, glass, geometry, facets."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw
from numpy.typing import NDArray

from impasto.image.brushwork import (
    LEVELS,
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
)
from impasto.image.resize import SizeHW

_OUTLINE, _FOAM = "#14233f", "#f4ead2"
_WATERS = ("#16386b", "#1f4f86", "#2d6a9f", "#123057")


def woodblock(size_hw: SizeHW, rng: np.random.Generator) -> Bytes:
    """Curling waves in indigo and cream, with dark outlines and clawed foam, on fibrous paper."""
    x, y = axes(size_hw)
    aspect = size_hw[1] / size_hw[0]
    sky = ramp(1.6 * y + 0.04 * noise(size_hw, rng, cells=3), colours("#3c6a94", "#c9cfb8", "#ecd9b0", "#e9c79a"))
    sun = np.hypot(x - 0.72 * aspect, y - 0.2) - 0.11
    sky = blended(sky, np.broadcast_to(colours("#c8472f"), sky.shape), edge(sun, 0.006))
    h, w = enlarged(size_hw)
    image = Image.fromarray(quantised(sky)).resize((w, h), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(image)
    for _ in range(9):
        _cloud(pen, aspect=aspect, scale=h, rng=rng)
    for row, base in enumerate((0.5, 0.64, 0.79, 0.95, 1.12)):
        size = 0.27 + 0.05 * row
        shift = rng.uniform(0, 0.5)
        for place in np.arange(-0.6, aspect / size + 0.6, 1.15):
            grown = size * rng.uniform(0.8, 1.2)
            _wave(pen, at=((place + shift) * size, base + rng.uniform(-0.02, 0.02)), size=grown, scale=h, rng=rng)
        _swell(pen, base=base + 0.02, scale=h, width=w, rng=rng)
    small = np.asarray(image.resize((size_hw[1], size_hw[0]), Image.Resampling.BOX), np.float32) / LEVELS
    return quantised(papered(small, rng, strength=0.018, fibres=0.02))


def _cloud(pen: ImageDraw.ImageDraw, *, aspect: float, scale: int, rng: np.random.Generator) -> None:
    """A band of mist with round ends and a line along it."""
    left, top, long, thick = rng.uniform(-0.3, aspect), rng.uniform(0.02, 0.4), rng.uniform(0.2, 0.6), rng.uniform(0.014, 0.026)
    box = np.array([left, top, left + long, top + thick]) * scale
    fill, dark = ink(colours(str(rng.choice(("#efe0bd", "#dfa98a", "#9db7c0"))))[0]), ink(colours(_OUTLINE)[0])
    pen.rounded_rectangle(box.tolist(), radius=thick * scale / 2, fill=fill, outline=dark, width=max(1, round(0.0022 * scale)))


def _wave(
    pen: ImageDraw.ImageDraw, *, at: tuple[float, float], size: float, scale: int, rng: np.random.Generator
) -> None:
    """One curling wave whose left foot is `at` (x, y in heights of the picture); `size` is its height."""
    t = np.linspace(0, 1, 40)[:, None]
    corners = np.array([[0, 0], [0.62, -0.1], [0.35, -1.15], [1.12, -0.78]])
    inner = np.array([[1.12, 0.0], [0.72, -0.2], [0.62, -0.85], [1.12, -0.78]])
    back, front = (
        (1 - t) ** 3 * c[0] + 3 * t * (1 - t) ** 2 * c[1] + 3 * t**2 * (1 - t) * c[2] + t**3 * c[3]
        for c in (corners, inner)
    )
    place = np.array(at)
    dark, line = ink(colours(_OUTLINE)[0]), max(1, round(0.0045 * scale))
    body = np.concatenate([back, front[::-1]])
    pen.polygon(_flat(body, place, size, scale), fill=ink(colours(_WATERS[int(rng.integers(len(_WATERS)))])[0]))
    for part, width in ((0.18, 0.05), (0.4, 0.035), (0.6, 0.05), (0.8, 0.025)):
        stripe = np.concatenate([_between(back, front, part), _between(back, front, part + width + 0.05 * t)[::-1]])
        pen.polygon(_flat(stripe, place, size, scale), fill=ink(colours(_FOAM if width > 0.03 else "#7fa6bf")[0]))
    pen.line(_flat(body, place, size, scale), fill=dark, width=line)
    _foam(pen, np.concatenate([back[18:], front[:22:-1]]), place=place, size=size, scale=scale, rng=rng)


def _foam(
    pen: ImageDraw.ImageDraw, crest: Floats, *, place: Floats, size: float, scale: int, rng: np.random.Generator
) -> None:
    """Lumps along `crest` `(n, 2)` and claws that hang from it."""
    dark, cream = ink(colours(_OUTLINE)[0]), ink(colours(_FOAM)[0])
    line = max(1, round(0.003 * scale))
    for point in crest[rng.permutation(len(crest))[: len(crest) // 2]]:
        reach, lean = size * rng.uniform(0.1, 0.16), rng.uniform(-0.1, 1.1)
        t = np.linspace(0, 1, 8)
        hook = np.stack([np.sin(lean + 2.4 * t) * t, (0.25 + 0.9 * t) * t], axis=1)
        claw = np.concatenate([hook, (hook + np.stack([-0.45 * (1 - t), 0.1 * (1 - t)], axis=1))[::-1]])
        root = place + point * size
        pen.polygon(_flat(claw, root, reach, scale), fill=cream, outline=dark, width=line)
    for point in crest[rng.permutation(len(crest))]:
        middle = (place + point * size + rng.normal(0, 0.016, 2) * size) * scale
        radius = size * rng.choice((0.018, 0.026, 0.04)) * scale
        pen.ellipse([*(middle - radius), *(middle + radius)], fill=cream, outline=dark, width=line)
    for _ in range(9):
        middle = (place + np.array([1.1, -0.85]) * size + rng.normal(0, 0.13 * size, 2)) * scale
        radius = 0.008 * scale * rng.uniform(0.4, 1)
        pen.ellipse([*(middle - radius), *(middle + radius)], fill=cream)


def _swell(pen: ImageDraw.ImageDraw, *, base: float, scale: int, width: int, rng: np.random.Generator) -> None:
    """The water in front of a row of waves: parallel lines that rise and fall."""
    x = np.linspace(0, width / scale, 60)
    sway = rng.uniform(0, 6.28)
    bands = ("#1f4f86", "#f0e4c6", "#2d6a9f", "#16386b", "#86abc0", "#123057")
    for index, name in enumerate(bands):
        y = base + 0.03 * index + 0.022 * np.sin(8 * x + sway + 0.35 * index)
        points = np.concatenate([np.stack([x, y], axis=1), [[width / scale, 2.0], [0.0, 2.0]]]) * scale
        pen.polygon(points.reshape(-1).tolist(), fill=ink(colours(name)[0]))
        pen.line(points[:-2].reshape(-1).tolist(), fill=ink(colours(_OUTLINE)[0]), width=max(1, round(0.003 * scale)))


def _between(back: Floats, front: Floats, part: Floats | float) -> Floats:
    mixed: Floats = back * (1 - part) + front * part
    return mixed


def _flat(points: Floats, place: Floats, size: float, scale: int) -> list[float]:
    flat: list[float] = ((place + points * size) * scale).reshape(-1).tolist()
    return flat


_JEWELS = ("#a3122a", "#d4381f", "#f0a31c", "#f7d34a", "#0f3f9e", "#1c6fd0", "#0b7a4b", "#5bb548", "#5a1d85", "#c4388a", "#19a3b0")


def leaded_glass(size_hw: SizeHW, rng: np.random.Generator) -> Bytes:
    """Pieces of jewel-coloured glass in dark lead, around a rose."""
    from scipy.spatial import cKDTree  # type: ignore[import-untyped]

    x, y = axes(size_hw)
    aspect = size_hw[1] / size_hw[0]
    sites, hue = _panes(aspect, rng)
    points = np.stack([x, y], axis=-1).reshape(-1, 2)
    distance, nearest = cKDTree(sites).query(points, k=2)
    first, second = nearest[:, 0], nearest[:, 1]
    apart = np.linalg.norm(sites[second] - sites[first], axis=1)
    to_lead = ((distance[:, 1] ** 2 - distance[:, 0] ** 2) / (2 * apart)).reshape(size_hw)
    cell = first.reshape(size_hw)
    jewels = colours(*_JEWELS)
    pane = np.clip(jewels[hue] * rng.uniform(0.8, 1.2, (len(hue), 1)), 0, 1)[cell]
    tilt = rng.uniform(0, 6.28, len(hue))[cell]
    inside = points.reshape(*size_hw, 2) - sites[cell]
    glow = (inside[..., 0] * np.cos(tilt) + inside[..., 1] * np.sin(tilt)) * 7
    across = inside[..., 0] * -np.sin(tilt) + inside[..., 1] * np.cos(tilt)
    streaks = np.sin(170 * across + 5 * noise(size_hw, rng, cells=10, octaves=2) + tilt)
    light = 1.0 + 0.3 * np.tanh(glow) + 0.1 * streaks + 0.08 * noise(size_hw, rng, cells=50) - 0.35 * np.exp(-to_lead / 0.008)
    glass = np.clip(pane * light[..., None] + 0.10 * np.maximum(light - 1.1, 0)[..., None], 0, 1)
    came = ramp(np.clip(to_lead / 0.0075, 0, 1), colours("#3a3836", "#1f1e20", "#08080a"))
    lead = edge(to_lead - 0.0065, 1.5 / size_hw[0])
    return quantised(papered(blended(glass.astype(np.float32), came, lead), rng, strength=0.012))


def _panes(aspect: float, rng: np.random.Generator) -> tuple[Floats, NDArray[np.int64]]:
    """Sites of the panes `(n, 2)` and the jewel of each: rings around a rose, small pieces elsewhere."""
    middle = np.array([0.46 * aspect, 0.47])
    sites, hues = [middle[None]], [np.array([3])]
    wheel = ((2, 3), (0, 1), (4, 5), (8, 9), (2, 0), (6, 7), (4, 10))
    for ring, pair in enumerate(wheel):
        count = 8 + 4 * (ring // 2) * 2
        around = (np.arange(count) + 0.5 * (ring % 2)) * 2 * np.pi / count + rng.normal(0, 0.02, count)
        radius = 0.075 + 0.066 * ring
        sites.append(middle + radius * np.stack([np.cos(around), np.sin(around)], axis=1))
        hues.append(np.array(pair)[np.arange(count) % 2])
    rest = rng.uniform((-0.1, -0.1), (aspect + 0.1, 1.1), (2000, 2))
    kept = [middle * 0]
    for point in rest[np.hypot(*(rest - middle).T) > 0.53]:
        gap = np.hypot(*(np.array(kept) - point).T).min()
        if gap > 0.045 + 0.03 * np.sin(9 * point[0]) ** 2:
            kept.append(point)
    sites.append(np.array(kept))
    hues.append(rng.choice((4, 5, 4, 10, 6, 0, 8, 2), len(kept)))
    return np.concatenate(sites), np.concatenate(hues)


_GAY = colours("#16181d", "#c8281e", "#1f4aa8", "#f0c419", "#efe6d0", "#2f7f86", "#7b2f6f", "#e88a2c", "#e7a7a0", "#4f8a3c")


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
        for place in _spread(count, aspect, rng):
            draw(pen, place * h, reach * rng.uniform(0.7, 1.25) * h, rng)
    small = np.asarray(image.resize((size_hw[1], size_hw[0]), Image.Resampling.BOX), np.float32) / LEVELS
    return quantised(papered(Paint(small, painted.height).lit(0.16), rng, strength=0.02))


def _spread(count: int, aspect: float, rng: np.random.Generator) -> Floats:
    """`count` places `(n, 2)` in heights, each the farthest of some tries from those before."""
    found = rng.uniform((0, 0), (aspect, 1), (1, 2))
    while len(found) < count:
        tries = rng.uniform((0, 0), (aspect, 1), (8, 2))
        gaps = np.linalg.norm(tries[:, None] - found[None], axis=2).min(axis=1)
        found = np.concatenate([found, tries[[int(np.argmax(gaps))]]])
    return found.astype(np.float32)


def _gay(rng: np.random.Generator, cover: float = 1.0) -> tuple[int, ...]:
    return ink(np.append(_GAY[int(rng.integers(len(_GAY)))], cover))


def _rings(pen: ImageDraw.ImageDraw, at: Floats, reach: float, rng: np.random.Generator) -> None:
    halo = reach * 1.35
    pen.ellipse([*(at - halo), *(at + halo)], fill=_gay(rng, 0.35))
    for part in np.linspace(1, 0.15, int(rng.integers(3, 7))):
        radius = reach * part
        pen.ellipse([*(at - radius), *(at + radius)], fill=_gay(rng), outline=ink(_GAY[0]), width=max(1, round(0.05 * reach)))


def _wedge(pen: ImageDraw.ImageDraw, at: Floats, reach: float, rng: np.random.Generator) -> None:
    turn, slim = rng.uniform(0, 6.28), rng.uniform(0.2, 0.6)
    corners = np.array([turn, turn + np.pi - slim, turn + np.pi + slim])
    points = at + reach * np.stack([np.cos(corners), np.sin(corners)], axis=1)
    pen.polygon(points.reshape(-1).tolist(), fill=_gay(rng, 0.75))
    pen.line([*points[1], *points[0], *points[2]], fill=ink(_GAY[0]), width=max(1, round(0.015 * reach)))


def _ray(pen: ImageDraw.ImageDraw, at: Floats, reach: float, rng: np.random.Generator) -> None:
    turn = float(rng.choice((0.5, 0.62, 2.3, -0.75, 1.5))) + rng.normal(0, 0.08)
    along = reach * np.array([np.cos(turn), np.sin(turn)])
    beside = 0.05 * reach * np.array([-np.sin(turn), np.cos(turn)])
    for index in range(int(rng.integers(1, 5))):
        ends = [*(at - along + index * beside), *(at + along * rng.uniform(0.6, 1) + index * beside)]
        pen.line(ends, fill=ink(_GAY[0]), width=max(1, round(reach * rng.uniform(0.006, 0.02))))


def _arcs(pen: ImageDraw.ImageDraw, at: Floats, reach: float, rng: np.random.Generator) -> None:
    start, sweep = rng.uniform(0, 360), rng.uniform(80, 220)
    for index in range(int(rng.integers(2, 5))):
        radius = reach * (1 - 0.2 * index)
        pen.arc([*(at - radius), *(at + radius)], start, start + sweep, fill=_gay(rng), width=max(1, round(0.07 * reach)))


def _chequer(pen: ImageDraw.ImageDraw, at: Floats, reach: float, rng: np.random.Generator) -> None:
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
    label, lines = _laid(pieces, size_hw, rng)
    middles = np.array([piece.mean(axis=0) for piece in pieces])
    reach = np.array([np.linalg.norm(np.ptp(piece, axis=0)) / 2 for piece in pieces])
    tilt = rng.choice((0.5, 1.25, 2.6, 3.7, 5.3), len(pieces)) + rng.normal(0, 0.15, len(pieces))
    central = np.exp(-(((middles[:, 0] / aspect - 0.5) / 0.25) ** 2) - ((middles[:, 1] - 0.5) / 0.45) ** 2)
    odds = 0.15 + np.where(np.arange(len(_EARTHS)) < 6, central[:, None], 1 - central[:, None])
    base = colours(*_EARTHS)[[int(rng.choice(len(_EARTHS), p=row / row.sum())) for row in odds]]
    across = (x - middles[label, 0]) * np.cos(tilt[label]) + (y - middles[label, 1]) * np.sin(tilt[label])
    shade = 1.0 + 0.72 * np.clip(across / reach[label] * 1.3, -1, 1)
    plan = base[label] * shade[..., None] + 0.02
    for place in _spread(26, aspect, rng):  # planes that one sees through, open on one side
        turn, wide = float(rng.choice((0.3, 1.2, 2.5, 4.0, 5.4))), rng.uniform(0.12, 0.3)
        u = (x - place[0]) * np.cos(turn) + (y - place[1]) * np.sin(turn)
        v = (y - place[1]) * np.cos(turn) - (x - place[0]) * np.sin(turn)
        veil = edge(np.maximum(-u, np.abs(v) - wide / 2 + 0.3 * u), 1.5 / size_hw[0]) * np.clip(1 - u / wide, 0, 1)
        plan = blended(plan, np.broadcast_to(base[int(rng.integers(len(base)))], plan.shape), 0.75 * veil)
    grey = np.full((*size_hw, 3), 0.5, np.float32)
    angle = (tilt[label] + 1.57 + 0.2 * noise(size_hw, rng, cells=6)).astype(np.float32)
    dabs = brushed(grey, angle, rng=rng, brushes=_DABS)
    plan = np.clip(plan * 2 * dabs.colour, 0, 1)
    painted = blended(Paint(plan, dabs.height).lit(0.22), lines[..., :3], lines[..., 3])
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
        pieces += [half for half in (_clipped(piece, across, at), _clipped(piece, -across, -at)) if len(half) > 2]
    return pieces


def _area(piece: Floats) -> float:
    x, y = piece.T
    return abs(float(x @ np.roll(y, 1) - y @ np.roll(x, 1))) / 2


def _clipped(piece: Floats, across: Floats, at: float) -> Floats:
    """The part of a convex polygon where `point @ across` is at least `at`."""
    kept: list[Floats] = []
    for here, there in zip(piece, np.roll(piece, -1, axis=0), strict=True):
        a, b = float(here @ across) - at, float(there @ across) - at
        if a >= 0:
            kept.append(here)
        if a * b < 0:
            kept.append(here + (there - here) * (a / (a - b)))
    return np.array(kept, np.float32)


def _laid(pieces: list[Floats], size_hw: SizeHW, rng: np.random.Generator) -> tuple[NDArray[np.int32], Floats]:
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
    small = np.asarray(lines.resize((size_hw[1], size_hw[0]), Image.Resampling.BOX), np.float32) / LEVELS
    return np.asarray(labels, np.int32), small
