"""Swatches of flat colours within dark outlines: a print of waves, leaded glass."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from impasto.image.resize import SizeHW
from tools.swatches.brushwork import (
    Bytes,
    Floats,
    axes,
    blended,
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

_OUTLINE, _FOAM = "#14233f", "#f4ead2"
_WATERS = ("#16386b", "#1f4f86", "#2d6a9f", "#123057")


def woodblock(size_hw: SizeHW, rng: np.random.Generator) -> Bytes:
    """Curling waves in indigo and cream, with dark outlines and clawed foam, on fibrous paper."""
    x, y = axes(size_hw)
    aspect = size_hw[1] / size_hw[0]
    sky = ramp(1.6 * y + 0.04 * noise(size_hw, rng, cells=3), colours("#3c6a94", "#c9cfb8", "#ecd9b0", "#e9c79a"))
    sun = np.hypot(x - 0.72 * aspect, y - 0.2) - 0.11
    sky = blended(sky, np.broadcast_to(colours("#c8472f"), sky.shape), cover=edge(sun, 0.006))
    h, w = enlarged(size_hw)
    image = Image.fromarray(quantised(sky)).resize((w, h), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(image)
    for _ in range(9):
        _cloud(pen, aspect=aspect, scale=h, rng=rng)
    for row, base in enumerate((0.52, 0.72, 0.94, 1.2)):
        size = 0.36 + 0.07 * row
        shift = rng.uniform(0, 0.5)
        for place in np.arange(-0.6, aspect / size + 0.6, 1.15):
            grown = size * rng.uniform(0.8, 1.2)
            _wave(pen, at=((place + shift) * size, base + rng.uniform(-0.02, 0.02)), size=grown, scale=h, rng=rng)
        _swell(pen, base=base + 0.02, scale=h, width=w, rng=rng)
    small = reduced(image)
    return quantised(papered(small, rng, strength=0.018, fibres=0.02))


def _cloud(pen: ImageDraw.ImageDraw, *, aspect: float, scale: int, rng: np.random.Generator) -> None:
    """A band of mist with round ends and a line along it."""
    left, top = rng.uniform(-0.3, aspect), rng.uniform(0.02, 0.4)
    long, thick = rng.uniform(0.2, 0.6), rng.uniform(0.014, 0.026)
    box = np.array([left, top, left + long, top + thick]) * scale
    fill, dark = ink(colours(str(rng.choice(("#efe0bd", "#dfa98a", "#9db7c0"))))[0]), ink(colours(_OUTLINE)[0])
    line = max(1, round(0.0022 * scale))
    pen.rounded_rectangle(box.tolist(), radius=thick * scale / 2, fill=fill, outline=dark, width=line)


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
    pen.polygon(
        _flat(body, place, size=size, scale=scale), fill=ink(colours(_WATERS[int(rng.integers(len(_WATERS)))])[0])
    )
    for part, width in ((0.18, 0.05), (0.4, 0.035), (0.6, 0.05), (0.8, 0.025)):
        stripe = np.concatenate(
            [_between(back, front, part=part), _between(back, front, part=part + width + 0.05 * t)[::-1]]
        )
        pen.polygon(
            _flat(stripe, place, size=size, scale=scale), fill=ink(colours(_FOAM if width > 0.03 else "#7fa6bf")[0])
        )
    pen.line(_flat(body, place, size=size, scale=scale), fill=dark, width=line)
    _foam(pen, np.concatenate([back[18:], front[:22:-1]]), place=place, size=size, scale=scale, rng=rng)


def _foam(
    pen: ImageDraw.ImageDraw, crest: Floats, *, place: Floats, size: float, scale: int, rng: np.random.Generator
) -> None:
    """Lumps along `crest` `(n, 2)` and claws that hang from it."""
    dark, cream = ink(colours(_OUTLINE)[0]), ink(colours(_FOAM)[0])
    line = max(1, round(0.003 * scale))
    for point in crest[rng.permutation(len(crest))[: len(crest) // 3]]:
        reach, lean = size * rng.uniform(0.1, 0.16), rng.uniform(-0.1, 1.1)
        t = np.linspace(0, 1, 8)
        hook = np.stack([np.sin(lean + 2.4 * t) * t, (0.25 + 0.9 * t) * t], axis=1)
        claw = np.concatenate([hook, (hook + np.stack([-0.45 * (1 - t), 0.1 * (1 - t)], axis=1))[::-1]])
        root = place + point * size
        pen.polygon(_flat(claw, root, size=reach, scale=scale), fill=cream, outline=dark, width=line)
    for point in crest[rng.permutation(len(crest))[: 2 * len(crest) // 3]]:
        middle = (place + point * size + rng.normal(0, 0.016, 2) * size) * scale
        radius = size * rng.choice((0.024, 0.034, 0.048)) * scale
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


def _between(back: Floats, front: Floats, *, part: Floats | float) -> Floats:
    mixed: Floats = back * (1 - part) + front * part
    return mixed


def _flat(points: Floats, place: Floats, *, size: float, scale: int) -> list[float]:
    flat: list[float] = ((place + points * size) * scale).reshape(-1).tolist()
    return flat


_JEWELS = (
    "#a3122a", "#d4381f", "#f0a31c", "#f7d34a", "#0f3f9e", "#1c6fd0", "#0b7a4b", "#5bb548", "#5a1d85", "#c4388a",
    "#19a3b0",
)  # fmt: skip


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
    light = (
        1.0
        + 0.3 * np.tanh(glow)
        + 0.1 * streaks
        + 0.08 * noise(size_hw, rng, cells=50)
        - 0.35 * np.exp(-to_lead / 0.008)
    )
    glass = np.clip(pane * light[..., None] + 0.10 * np.maximum(light - 1.1, 0)[..., None], 0, 1)
    came = ramp(np.clip(to_lead / 0.0075, 0, 1), colours("#3a3836", "#1f1e20", "#08080a"))
    lead = edge(to_lead - 0.0065, 1.5 / size_hw[0])
    return quantised(papered(blended(glass.astype(np.float32), came, cover=lead), rng, strength=0.012))


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
