"""Lines over steps: panels with axes, numbers and a legend, as a picture."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw
from torch import Tensor

from impasto.analysis.lettering import clean, font_of, line_px, shortened, width_px
from impasto.analysis.sheet import INK, PAPER, SOFT
from impasto.image.pixels import from_bytes

Numbers = NDArray[np.float64]

FINE = 2  # drawn so many times larger, then brought down: smooth edges
FONT_PX, GAP_PX, TICK_PX = 13, 14, 4
LEFT_PX, RIGHT_PX, TOP_PX, BOTTOM_PX = 58, 14, 26, 40  # room around a panel's frame, for numbers and names
ALONE_HW, BESIDE_HW = (400, 880), (280, 560)  # a panel's frame where there is one, and where there are several
LOG_FROM = 20  # largest by smallest value from which a logarithm shows more
DEEPEST = 1e-6  # smaller parts of the largest value lie at the foot of a logarithmic axis
FAINT = 0.3  # strength of the line of values as they are, behind the smooth one


@dataclass(frozen=True)
class Theme:
    """Colours of a picture. `lines` are well apart for all kinds of sight (after Okabe & Ito 2008)."""

    paper: str
    ink: str
    soft: str
    rule: str
    lines: tuple[str, ...]

    def line(self, index: int, count: int) -> str:
        """The colour of line `index` of `count`; beyond those that are well apart, hues all around."""
        if count <= len(self.lines):
            return self.lines[index]
        light = 0.4 if self is LIGHT else 0.65
        r, g, b = (round(100 * v) for v in colorsys.hls_to_rgb(index / count, light, 0.65))
        return f"rgb({r}%, {g}%, {b}%)"


LIGHT = Theme(PAPER, INK, SOFT, "#e3e0d8",
              ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a6d00", "#56b4e9", "#7a4fbf", "#444444"))  # fmt: skip
DARK = Theme("#191817", "#ece9e3", "#98938a", "#373530",
             ("#5aa9e6", "#ff8a4c", "#3cc99b", "#e79ac4", "#e0c04c", "#9ad4f5", "#b79cf0", "#c9c5bd"))  # fmt: skip


@dataclass(frozen=True)
class Line:
    """Finite values at their steps `(n,)`, n of 1 or more, and the smooth values that are drawn over them `(n,)`.

    `index` is the place in the legend, whose colour the line has.
    """

    index: int
    steps: Numbers
    values: Numbers
    smooth: Numbers


@dataclass(frozen=True)
class Panel:
    """Lines in one frame; what is larger than `most` lies at its upper edge."""

    title: str
    lines: Sequence[Line]
    most: float = math.inf


@dataclass(frozen=True)
class Axis:
    """Numbers between `low` and `high` to places between `start` and `stop`, in pixels."""

    low: float
    high: float
    start: float
    stop: float
    log: bool = False

    def at(self, values: Numbers) -> Numbers:
        """Places of values `(n,)`; what lies beyond the ends is moved there."""
        low, high = self._along(np.asarray([self.low, self.high]))
        part = (self._along(np.clip(values, self.low, self.high)) - low) / (high - low)
        found: Numbers = self.start + (self.stop - self.start) * part
        return found

    def _along(self, values: Numbers) -> Numbers:
        return np.log10(values) if self.log else values

    def ticks(self) -> list[float]:
        """Round numbers on the axis: two to eight of them."""
        return _decades(self.low, self.high) if self.log else _round_steps(self.low, self.high)


def loss_axis(values: Numbers, *, scale: str, start: float, stop: float) -> Axis:
    """The axis of values `(n,)`. `scale` is "linear", "log", or "auto": a logarithm where it shows more."""
    positive = values[values > 0]
    spread = positive.size > 0 and values.min() >= 0 and values.max() >= LOG_FROM * positive.min()
    if positive.size and (scale == "log" or (scale == "auto" and spread)):
        top = float(positive.max())
        foot = max(float(positive.min()), top * DEEPEST)
        pad = (top / foot) ** 0.04 if top > foot else 2.0
        return Axis(foot / pad, top * pad, start, stop, log=True)
    low, high = float(values.min()), float(values.max())
    pad = 0.05 * (high - low) or 0.1 * abs(high) or 1.0
    return Axis(0.0 if 0 <= low < pad else low - pad, high + pad, start, stop)


def smoothed(values: Numbers, part: float) -> Numbers:
    """Running means `(n,)` over `part` of all values around each; at the ends over what there is of it."""
    reach = int(part * len(values)) // 2
    if not reach:
        return values
    sums = np.concatenate([[0.0], np.cumsum(values)])
    places = np.arange(len(values))
    first, last = np.maximum(places - reach, 0), np.minimum(places + reach + 1, len(values))
    means: Numbers = (sums[last] - sums[first]) / (last - first)
    return means


def drawn(panels: Sequence[Panel], legend: Sequence[str], *, scale: str = "auto", dark: bool = False) -> Tensor:
    """One picture `(1, 3, H, W)` of all panels, two in a row, with the legend above."""
    theme = DARK if dark else LIGHT
    frame = ALONE_HW if len(panels) == 1 else BESIDE_HW
    columns = min(2, len(panels))
    high, wide = frame[0] + TOP_PX + BOTTOM_PX, frame[1] + LEFT_PX + RIGHT_PX
    names = _legend_rows(legend, columns * wide - 2 * GAP_PX)
    head = 2 * GAP_PX + len(names) * line_px(font_of(FONT_PX))
    size = (columns * wide, head + math.ceil(len(panels) / columns) * high + GAP_PX)
    canvas = Image.new("RGB", (FINE * size[0], FINE * size[1]), theme.paper)
    pen = ImageDraw.Draw(canvas)
    _draw_legend(pen, names, theme, count=len(legend))
    for i, panel in enumerate(panels):
        left, top = i % columns * wide + LEFT_PX, head + i // columns * high + TOP_PX
        box = (left, top, left + frame[1], top + frame[0])
        _draw_panel(pen, panel, box, theme, scale=scale, count=len(legend))
    return from_bytes(np.asarray(canvas.reduce(FINE)))


def _legend_rows(legend: Sequence[str], room_px: float) -> list[list[tuple[int, str, float]]]:
    """Index, name and place from the left of each entry, in rows no wider than the room."""
    font = font_of(FONT_PX)
    rows: list[list[tuple[int, str, float]]] = [[]]
    x = 0.0
    for index, name in enumerate(legend):
        text = shortened(clean(name, font).replace("\n", " "), font, room_px - 40)
        wide = width_px(text, font) + 22 + 1.5 * GAP_PX
        if rows[-1] and x + wide > room_px:
            rows.append([])
            x = 0.0
        rows[-1].append((index, text, x))
        x += wide
    return rows


def _draw_legend(
    pen: ImageDraw.ImageDraw, rows: Sequence[Sequence[tuple[int, str, float]]], theme: Theme, *, count: int
) -> None:
    font, step = font_of(FINE * FONT_PX), FINE * line_px(font_of(FONT_PX))
    for number, row in enumerate(rows):
        y = FINE * GAP_PX + number * step
        for index, text, place in row:
            x = FINE * (GAP_PX + place)
            middle = y + step / 2
            pen.line((x, middle, x + FINE * 16, middle), fill=theme.line(index, count), width=3 * FINE)
            pen.text((x + FINE * 22, middle), text, fill=theme.ink, font=font, anchor="lm")


def _draw_panel(
    pen: ImageDraw.ImageDraw,
    panel: Panel,
    box: tuple[int, int, int, int],
    theme: Theme,
    *,
    scale: str,
    count: int,
) -> None:
    left, top, right, bottom = (FINE * edge for edge in box)
    across = Axis(0, max(float(line.steps.max()) for line in panel.lines) or 1.0, left, right)
    values = np.minimum(np.concatenate([line.values for line in panel.lines]), panel.most)
    up = loss_axis(values, scale=scale, start=bottom, stop=top)
    _draw_frame(pen, (left, top, right, bottom), across, up, theme, title=panel.title)
    for line in panel.lines:  # all faint lines lie under all strong ones
        if line.smooth is not line.values:
            faint = _mixed(theme.paper, theme.line(line.index, count), FAINT)
            _draw_line(pen, across.at(line.steps), up.at(line.values), faint, width=FINE)
    for line in panel.lines:
        _draw_line(pen, across.at(line.steps), up.at(line.smooth), theme.line(line.index, count), width=2 * FINE)


def _draw_frame(
    pen: ImageDraw.ImageDraw, box: tuple[int, int, int, int], across: Axis, up: Axis, theme: Theme, *, title: str
) -> None:
    left, top, right, bottom = box
    font, tick = font_of(FINE * (FONT_PX - 1)), FINE * TICK_PX
    for value, y in zip(up.ticks(), up.at(np.asarray(up.ticks())), strict=True):
        pen.line((left, y, right, y), fill=theme.rule, width=FINE)
        pen.text((left - 2 * tick, y), told(value), fill=theme.soft, font=font, anchor="rm")
    for value, x in zip(across.ticks(), across.at(np.asarray(across.ticks())), strict=True):
        pen.line((x, bottom, x, bottom + tick), fill=theme.soft, width=FINE)
        pen.text((x, bottom + 2 * tick), told(value), fill=theme.soft, font=font, anchor="ma")
    pen.line((left, top, left, bottom, right, bottom), fill=theme.soft, width=FINE)
    pen.text(((left + right) / 2, bottom + FINE * BOTTOM_PX), "step", fill=theme.soft, font=font, anchor="md")
    name = font_of(FINE * FONT_PX)
    text = shortened(clean(title + (", logarithmic" if up.log else ""), name), name, right - left)
    pen.text((left, top - FINE * 5), text, fill=theme.ink, font=name, anchor="ls")


def _draw_line(pen: ImageDraw.ImageDraw, xs: Numbers, ys: Numbers, colour: str, *, width: int) -> None:
    places = [(float(x), float(y)) for x, y in zip(xs, ys, strict=True)]
    pen.line(places, fill=colour, width=width, joint="curve")
    if len(places) == 1:  # a line of one point would not be seen
        (x, y), r = places[0], 2.0 * width
        pen.ellipse((x - r, y - r, x + r, y + r), fill=colour)


def _mixed(paper: str, colour: str, part: float) -> str:
    """`colour` as it looks on `paper` at a strength."""
    pairs = zip(ImageColor.getrgb(paper), ImageColor.getrgb(colour), strict=True)
    return "rgb({}, {}, {})".format(*(round(p + part * (c - p)) for p, c in pairs))


def told(value: float) -> str:
    """A number on an axis: `0.5`, `2000`, `40k`, `3M`, `1e10`."""
    if value and not 1e-3 <= abs(value) < 1e9:
        return f"{value:g}".replace("e+", "e").replace("e-0", "e-")
    for unit, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= 10 * unit or (unit == 1e6 and abs(value) >= unit):
            return f"{value / unit:g}{letter}"
    return f"{value:g}"


def _round_steps(low: float, high: float, wanted: int = 6) -> list[float]:
    """Multiples of 1, 2 or 5 × 10ⁿ from `low` to `high`, about as many as wanted."""
    rough = (high - low) / wanted
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(m * unit for m in (1, 2, 5, 10) if m * unit >= rough)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{i * step:.12g}") for i in range(first, last + 1)]


def _decades(low: float, high: float) -> list[float]:
    """Powers of ten from `low` to `high`, with their multiples by 2 and 5, or 1 to 9, where there are few."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    stride = math.ceil((last - first) / 7)
    for factors in ((1,), (1, 2, 5), tuple(range(1, 10))):
        found = [f * 10.0**n for n in range(first, last + 1, stride) for f in factors]
        inside = [float(f"{v:.12g}") for v in found if low <= v <= high]
        if len(inside) > 2:
            return inside
    return _round_steps(low, high)
