"""Line and scatter charts, drawn by matplotlib (extra `charts`): pictures, or SVG for light and dark pages."""

from __future__ import annotations

import colorsys
import io
import logging
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from impasto.core.extras import optional
from impasto.image.pixels import from_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Numbers = NDArray[np.float64]

LOG_FROM = 20  # ratio of the largest to the smallest value from which `auto` chooses a logarithmic axis
DPI = 144
SINGLE_IN, TILED_IN = (9.0, 4.4), (5.6, 3.4)  # width and height of one panel alone, and of each of several
LONGEST_NAME = 48  # characters of a legend entry


PAPER, INK, SOFT, RULE = "#fbfaf7", "#22211f", "#77736c", "#e3e0d8"
# colours that can be told apart with any colour vision (after Okabe & Ito 2008), on light and on dark paper
LIGHT_LINES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a6d00", "#56b4e9", "#7a4fbf", "#444444")
DARK_LINES = ("#5aa9e6", "#ff8a4c", "#3cc99b", "#e79ac4", "#e0c04c", "#9ad4f5", "#b79cf0", "#c9c5bd")


@dataclass(frozen=True)
class Line:
    """Finite values at their steps `(n,)`, n >= 1, and their running means `(n,)`.

    `index` is the position of the line's name in the legend.
    """

    index: int
    steps: Numbers
    values: Numbers
    smooth: Numbers


@dataclass(frozen=True)
class Panel:
    """Lines that share one pair of axes."""

    title: str
    lines: Sequence[Line]


def line_chart(panels: Sequence[Panel], legend: Sequence[str], *, scale: str = "auto") -> Figure:
    """Values over steps: one or more panels, two in a row, under a common legend.

    Running means are strong lines, the values themselves faint ones behind. `scale` is `linear`, `log`, or `auto`:
    logarithmic where values are not negative and span a factor of `LOG_FROM`. A logarithmic axis covers every positive
    value. Raises `MissingExtra` without matplotlib.
    """
    columns = min(2, len(panels))
    size = SINGLE_IN if len(panels) == 1 else TILED_IN
    rows = math.ceil(len(panels) / columns)
    figure = _figure((columns * size[0], rows * size[1]))
    grid = figure.subplots(rows, columns, squeeze=False).flatten()
    colours = series_colours(len(legend))
    for axes, panel in zip(grid, panels, strict=False):
        log = is_log(np.concatenate([line.values for line in panel.lines]), scale)
        axes.set_yscale("log" if log else "linear", **({"nonpositive": "clip"} if log else {}))
        _style(axes, title=panel.title + (" (logarithmic)" if log else ""), x_label="step")
        for line in panel.lines:
            _draw_line(axes, line, colour=colours[line.index])
        if not log:
            axes.ticklabel_format(axis="y", useOffset=False)
            _widen(axes)
    for axes in grid[len(panels) :]:
        axes.remove()
    _legend(figure, legend, colours=colours)
    return figure


def scatter_chart(points: Mapping[str, tuple[float, float]], *, x_label: str, y_label: str) -> Figure:
    """Labelled points `{label: (x, y)}`. Raises `MissingExtra` without matplotlib."""
    figure = _figure((5.6, 4.0))
    axes = figure.subplots()
    _style(axes, title="", x_label=x_label)
    axes.set_ylabel(y_label, color=SOFT)
    axes.margins(0.12)
    xs, ys = zip(*points.values(), strict=True)
    axes.scatter(xs, ys, color=LIGHT_LINES[1], zorder=3)
    for label, place in points.items():
        axes.annotate(legible(label), place, xytext=(6, 5), textcoords="offset points", color=INK, parse_math=False)
    return figure


def pixels_of(figure: Figure) -> Tensor:
    """The chart as `(1, 3, H, W)` in `[0, 1]`."""
    canvas: Any = figure.canvas
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # drawn as a box, which is enough
        canvas.draw()
    return from_bytes(np.asarray(canvas.buffer_rgba())[..., :3].copy())


def svg_of(figure: Figure) -> str:
    """The chart as an SVG element, its colours the CSS variables `--paper`, `--ink`, `--soft`, `--line`, `--series-1`…

    Texts stay texts, so that the page can be searched.
    """
    import matplotlib

    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    variables = {PAPER: "--paper", INK: "--ink", SOFT: "--soft", RULE: "--line"}
    variables |= {colour: f"--series-{i}" for i, colour in enumerate(LIGHT_LINES, start=1)}
    for colour, variable in variables.items():
        svg = svg.replace(colour, f"var({variable})")
    return svg


def series_colours(count: int) -> list[Any]:
    """`count` different colours: the first of `LIGHT_LINES`, or hues around the circle where those are too few."""
    if count <= len(LIGHT_LINES):
        return list(LIGHT_LINES[:count])
    return [colorsys.hls_to_rgb(i / count, 0.5, 0.65) for i in range(count)]


def is_log(values: Numbers, scale: str) -> bool:
    """Whether an axis of these values `(n,)` is logarithmic at this `scale`; never without a positive value."""
    positive = values[values > 0]
    if not positive.size or scale == "linear":
        return False
    return scale == "log" or bool(values.min() >= 0 and values.max() >= LOG_FROM * positive.min())


def running_means(values: Numbers, part: float) -> Numbers:
    """Running means `(n,)` over windows of `part` of all values; shorter windows at the ends."""
    reach = int(part * len(values)) // 2
    if not reach:
        return values
    sums = np.concatenate([[0.0], np.cumsum(values)])
    places = np.arange(len(values))
    first, last = np.maximum(places - reach, 0), np.minimum(places + reach + 1, len(values))
    means: Numbers = (sums[last] - sums[first]) / (last - first)
    return means


def legible(text: str) -> str:
    """`text` as one line of valid Unicode, its middle cut out beyond `LONGEST_NAME` characters."""
    text = "".join(c if c.isprintable() else " " for c in text.encode("utf-8", "replace").decode("utf-8"))
    half = LONGEST_NAME // 2
    return text if len(text) <= LONGEST_NAME else f"{text[:half].rstrip()}…{text[-half:].lstrip()}"


def _figure(size_in: tuple[float, float]) -> Figure:
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)  # it reports its cache on stderr
    optional("matplotlib", "charts", purpose="drawing charts")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size_in, dpi=DPI, facecolor=PAPER, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _style(axes: Axes, *, title: str, x_label: str) -> None:
    axes.set_facecolor(PAPER)
    axes.set_title(legible(title), loc="left", color=INK, fontsize=11, parse_math=False)
    axes.set_xlabel(x_label, color=SOFT)
    axes.tick_params(which="both", colors=SOFT)
    axes.grid(axis="y", color=RULE, linewidth=0.8)
    axes.set_axisbelow(True)
    for name, spine in axes.spines.items():
        spine.set_visible(name in ("left", "bottom"))
        spine.set_color(SOFT)


def _draw_line(axes: Axes, line: Line, *, colour: Any) -> None:
    marker = "o" if len(line.steps) == 1 else ""  # a line of one point would not be visible
    if line.smooth is not line.values:
        axes.plot(line.steps, line.values, color=colour, alpha=0.3, linewidth=0.8, zorder=2)
    axes.plot(line.steps, line.smooth, color=colour, linewidth=1.8, marker=marker, zorder=3)


def _widen(axes: Axes) -> None:
    """Give constant values an axis of their own size, on which rounding errors are invisible."""
    low, high = axes.get_ylim()
    middle = (low + high) / 2
    if high - low < 1e-6 * abs(middle):
        axes.set_ylim(middle - abs(middle) / 10, middle + abs(middle) / 10)


def _legend(figure: Figure, names: Sequence[str], *, colours: Sequence[Any]) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=colour, linewidth=2.5) for colour in colours]
    labels = [legible(name) for name in names]
    room = figure.get_figwidth() * 11  # characters in a row
    columns = max(1, int(room / (max(map(len, labels)) + 6)))
    legend = figure.legend(handles, labels, loc="outside upper left", ncols=columns, frameon=False, labelcolor=INK)
    for text in legend.get_texts():
        text.set_parse_math(False)
