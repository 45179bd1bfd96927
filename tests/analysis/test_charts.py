"""Charts: what the figures hold, and that they can be drawn with any names."""

from __future__ import annotations

import re
import sys
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_rgb

from impasto.analysis.charts import (
    DARK_LINES,
    LIGHT_LINES,
    LONGEST_NAME,
    PAPER,
    Line,
    Panel,
    is_log,
    legible,
    line_chart,
    pixels_of,
    running_means,
    scatter_chart,
    series_colours,
    svg_of,
)
from impasto.core.errors import MissingExtra


def line(values: list[float], index: int = 0) -> Line:
    array = np.asarray(values)
    return Line(index, np.arange(len(array)) + 1.0, array, array)


@pytest.mark.parametrize("scale", ["auto", "linear", "log"])
def test_every_value_is_inside_the_axes(scale: str) -> None:
    values = [1.0, 3e3, 1e21, 2e10]
    figure = line_chart([Panel("style", [line(values)])], ["run"], scale=scale)
    pixels_of(figure)
    (axes,) = figure.axes
    low, high = axes.get_ylim()
    assert low <= min(values) < max(values) <= high
    assert axes.lines[0].get_ydata() == pytest.approx(values)
    assert (axes.get_yscale() == "log") == (scale != "linear")


def test_rounding_errors_of_a_constant_are_invisible() -> None:
    figure = line_chart([Panel("style", [line([0.05, 0.05 + 1e-13, 0.05])])], ["run"])
    assert np.ptp(figure.axes[0].get_ylim()) == pytest.approx(0.01)


def test_zero_lies_at_the_foot_of_a_logarithmic_axis() -> None:
    figure = line_chart([Panel("style", [line([0.0, 1.0, 30.0])])], ["run"])
    pixels_of(figure)
    assert figure.axes[0].get_yscale() == "log"
    assert figure.axes[0].get_ylim()[0] > 0


def test_a_line_has_the_colour_of_its_name_in_the_legend() -> None:
    panels = [Panel("content", [line([1, 2], 1)]), Panel("style", [line([1, 2], 0), line([2, 3], 1)])]
    figure = line_chart(panels, ["a", "_b $x$"])
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["a", "_b $x$"]
    colours = [handle.get_color() for handle in legend.get_lines()]
    assert [line.get_color() for line in figure.axes[0].lines] == colours[1:]
    assert [line.get_color() for line in figure.axes[1].lines] == colours
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["content", "style"]


def test_running_means_lie_over_faint_values() -> None:
    values = np.asarray([1.0, 2.0] * 20)
    figure = line_chart([Panel("style", [Line(0, np.arange(40.0), values, running_means(values, 0.2))])], ["run"])
    faint, strong = figure.axes[0].lines
    assert faint.get_alpha() < 1
    assert np.ptp(strong.get_ydata()) < np.ptp(faint.get_ydata())
    assert strong.get_zorder() > faint.get_zorder()


def test_a_single_value_is_a_visible_point() -> None:
    figure = line_chart([Panel("style", [line([2.0])])], ["run"])
    assert figure.axes[0].lines[0].get_marker() == "o"


def test_a_picture_of_a_chart() -> None:
    pixels = pixels_of(line_chart([Panel("style", [line([1, 2])])], ["run"]))
    assert pixels.shape[:2] == (1, 3)
    assert pixels[0, :, 0, 0].tolist() == pytest.approx(to_rgb(PAPER), abs=1 / 255)


def test_an_svg_takes_its_colours_from_the_page_and_escapes_names() -> None:
    svg = svg_of(line_chart([Panel("<b>&", [line([1, 2]), line([2, 3], 1)])], ["a<script>", "b"]))
    assert not re.findall("#[0-9a-f]{6}", svg)
    for name in ("--paper", "--ink", "--soft", "--line", "--series-1", "--series-2"):
        assert f"var({name})" in svg
    texts = [element.text for element in ElementTree.fromstring(svg).iter() if element.tag.endswith("}text")]
    assert {"<b>&", "a<script>", "b", "step"} <= set(texts)


def test_many_runs_have_different_colours() -> None:
    assert len({tuple(to_rgb(colour)) for colour in series_colours(30)}) == 30
    assert len(set(LIGHT_LINES)) == len(set(DARK_LINES)) == len(LIGHT_LINES) == len(DARK_LINES)


def test_points_and_their_labels() -> None:
    points = {"1": (0.5, 2.0), "2": (1.0, 1.0)}
    (axes,) = scatter_chart(points, x_label="content", y_label="style-gram").axes
    assert axes.collections[0].get_offsets().tolist() == [[0.5, 2.0], [1.0, 1.0]]
    assert [text.get_text() for text in axes.texts] == ["1", "2"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("content", "style-gram")


@pytest.mark.parametrize("name", ["$", "日本 \udc80", "a" * 300, "_", "x\ny", ""])
def test_any_name_can_be_drawn_without_a_warning(name: str) -> None:
    assert pixels_of(line_chart([Panel(name, [line([1.0, 2.0])])], [name])).shape[1] == 3
    assert len(legible(name)) <= LONGEST_NAME + 1


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtra, match=r"pip install 'impasto\[charts\]'"):
        line_chart([Panel("style", [line([1.0])])], ["run"])


@pytest.mark.parametrize(
    ("values", "scale", "log"),
    [
        ([1.0, 30.0], "auto", True),
        ([1.0, 10.0], "auto", False),
        ([-1.0, 30.0], "auto", False),
        ([0.0, 1.0, 30.0], "auto", True),
        ([0.0, 0.0], "auto", False),
        ([0.0, 0.0], "log", False),
        ([1.0, 30.0], "linear", False),
        ([1.0, 2.0], "log", True),
    ],
)
def test_an_axis_is_logarithmic_where_it_helps(values: list[float], scale: str, log: bool) -> None:
    assert is_log(np.asarray(values), scale) is log


@settings(max_examples=20)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60), st.floats(0, 1))
def test_running_means_stay_within_the_values_and_keep_a_constant(values: list[float], part: float) -> None:
    array = np.asarray(values)
    smooth = running_means(array, part)
    assert smooth.shape == array.shape
    assert smooth.min() >= array.min() - 1e-6
    assert smooth.max() <= array.max() + 1e-6
    assert running_means(np.full(9, 2.0), part) == pytest.approx(2.0)
