"""Loss curves: reading logs, and what the charts show of them."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from impasto.analysis.curves import LOG, PICTURE, LossPicture, loss_chart, loss_picture, read_all, read_curves
from impasto.config.analysis import CurveOptions
from impasto.core.errors import DataError
from impasto.image import files
from impasto.training.boards import Log

PLAIN = CurveOptions(smooth=0)


@pytest.fixture
def logged(tmp_path: Path) -> Callable[..., Path]:
    """`logged("run", style=[…])`: the folder of a run with a log, as the training writes it."""

    def written(name: str, **parts: Sequence[float]) -> Path:
        folder = tmp_path / name
        log = Log(folder / LOG, step=0)
        for i, values in enumerate(zip(*parts.values(), strict=True), start=1):
            log.write(10 * i, dict(zip(parts, values, strict=True)), rate=0.1, norm=1.0, skipped=0)
        return folder

    return written


def test_one_run_has_all_parts_in_one_panel_with_their_final_values(logged: Callable[..., Path]) -> None:
    run = read_curves(logged("run", content=[1.0, 2.0, 3.0], style=[3.0, 2.0, 0.5]))
    figure = loss_chart([run], options=PLAIN)
    (axes,) = figure.axes
    assert [line.get_ydata().tolist() for line in axes.lines] == [[4.0, 4.0, 3.5], [1.0, 2.0, 3.0], [3.0, 2.0, 0.5]]
    assert axes.lines[0].get_xdata().tolist() == [10, 20, 30]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["total 3.5", "content 3", "style 0.5"]


def test_several_runs_have_a_panel_for_each_part(logged: Callable[..., Path]) -> None:
    a = read_curves(logged("a", style=[1.0, 2.0]))
    b = read_curves(logged("b", style=[1e21, 2e21, 3e21], content=[5.0, 4.0, 3.0]))
    figure = loss_chart([a, b], options=PLAIN)
    lines = {axes.get_title(loc="left").split()[0]: axes.lines for axes in figure.axes}
    assert {part: len(drawn) for part, drawn in lines.items()} == {"style": 2, "total": 1, "content": 1}
    assert lines["content"][0].get_color() == lines["style"][1].get_color()
    axes = next(axes for axes in figure.axes if axes.get_title(loc="left").startswith("style"))
    assert axes.get_ylim()[0] < 1 < 3e21 < axes.get_ylim()[1]


def test_values_that_are_not_finite_are_left_out(logged: Callable[..., Path]) -> None:
    run = read_curves(logged("run", style=[4.0, math.nan, 3.0, math.inf, 2.0], content=[1.0] * 5))
    assert np.isnan(run.parts["style"][[1, 3]]).all()
    assert run.total is not None
    assert np.isfinite(run.total).tolist() == [True, False, True, False, True]
    line = loss_chart([run], options=PLAIN).axes[0].lines[1]
    assert (line.get_xdata().tolist(), line.get_ydata().tolist()) == ([10, 30, 50], [4.0, 3.0, 2.0])
    assert run.final()["style"] == 2.0


def test_no_finite_value_is_an_error(logged: Callable[..., Path]) -> None:
    with pytest.raises(DataError, match="no loss of run is finite"):
        loss_chart([read_curves(logged("run", style=[math.nan] * 3))])


# Reading


def test_a_truncated_last_line_is_ignored_and_no_other(logged: Callable[..., Path]) -> None:
    path = logged("run", style=[3.0, 2.0]) / LOG
    whole = path.read_text()
    path.write_text(whole + '{"step": 30, "sty')
    assert read_curves(path).steps.tolist() == [10, 20]
    path.write_text(whole.rstrip("\n"))
    assert read_curves(path).steps.tolist() == [10, 20]
    path.write_text('{"step": 5, "sty\n' + whole)
    with pytest.raises(DataError, match="line 1, is not a training log"):
        read_curves(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no losses yet"),
        ('{"step": 1, "skipped": 0}\n', "has no losses yet"),
        ("[1, 2]\n", "line 1, is not"),
        ('{"step": "one"}\n', "line 1, is not"),
        ('{"step": NaN, "style": 1}\n', "line 1, is not"),
        ("word\n", "line 1, is not"),
    ],
)
def test_a_malformed_log_is_an_error(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / LOG).write_text(text)
    with pytest.raises(DataError, match=message):
        read_curves(tmp_path)


def test_a_missing_log_and_a_picture_are_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_curves(tmp_path)
    (tmp_path / "a.png").write_bytes(b"\x89PNG\xff")
    with pytest.raises(DataError, match="not a training log"):
        read_curves(tmp_path / "a.png")


def test_runs_with_the_same_name_get_their_paths(logged: Callable[..., Path]) -> None:
    sources = [logged("a/run", style=[1.0]), logged("b/run", style=[2.0]), logged("other", style=[3.0])]
    assert [run.name for run in read_all(sources)] == [str(sources[0]), str(sources[1]), "other"]


def test_a_part_logged_now_and_then_does_not_void_the_total(tmp_path: Path) -> None:
    rows = [{"step": 1, "style": 2.0}, {"step": 2, "style": 2.0, "identity": 0.5}]
    (tmp_path / LOG).write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert read_curves(tmp_path).lines["total"].tolist() == [2.0, 2.5]


def test_parts_without_their_weights(logged: Callable[..., Path]) -> None:
    run = read_curves(logged("run", style=[50.0, 40.0], content=[1.0, 1.0], noise=[3.0, 3.0]))
    plain = run.divided({"style": 10.0, "content": 0.0})
    assert {name: values.tolist() for name, values in plain.lines.items()} == {"style": [5.0, 4.0]}


# Drawing while training


def test_a_picture_beside_the_log(logged: Callable[..., Path], tmp_path: Path) -> None:
    folder, errors = logged("run", style=[2.0, 1.0]), list[str]()
    LossPicture(folder, errors.append).draw()
    assert files.read(folder / PICTURE).pixels.shape == loss_picture([read_curves(folder)]).shape
    LossPicture(tmp_path / "nowhere", errors.append).draw()
    (tmp_path / "started").mkdir()
    (tmp_path / "started" / LOG).touch()
    LossPicture(tmp_path / "started", errors.append).draw()
    assert errors == []


def test_a_picture_that_fails_is_reported_and_raises_nothing(
    logged: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = list[str]()
    picture = LossPicture(logged("run", style=[math.nan]), errors.append)
    picture.draw()
    monkeypatch.setattr("impasto.analysis.curves.loss_picture", lambda _: 1 / 0)
    picture.draw()
    assert "is finite" in errors[0]
    assert "ZeroDivisionError" in errors[1]
    assert all("the training goes on" in line for line in errors)


def test_missing_matplotlib_is_reported_once(logged: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    errors = list[str]()
    picture = LossPicture(logged("run", style=[1.0]), errors.append)
    picture.draw()
    picture.draw()
    (error,) = errors
    assert "pip install 'impasto[charts]'" in error
