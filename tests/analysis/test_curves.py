"""Losses of training runs as pictures: what falls is drawn falling."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ImageColor
from torch import Tensor

from impasto.analysis.curves import LOG, PICTURE, Curves, draw_log, picture, read, read_all
from impasto.analysis.plot import DARK, LIGHT, Axis, loss_axis, smoothed, told
from impasto.config.experiments import CurveOptions
from impasto.core.errors import DataError
from impasto.image import files
from impasto.image.pixels import to_bytes
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


def places(image: Tensor, colour: str) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the pixels of a colour, below the legend."""
    near = np.abs(to_bytes(image)[0].astype(int) - np.asarray(ImageColor.getrgb(colour))).max(-1) < 4
    near[:60] = False
    rows, columns = np.nonzero(near)
    return rows, columns


def heights(image: Tensor, colour: str) -> np.ndarray:
    """The mean row of a line in each column where it is, from left to right."""
    rows, columns = places(image, colour)
    return np.asarray([rows[columns == c].mean() for c in np.unique(columns)])


@pytest.mark.parametrize("scale", ["linear", "log"])
@pytest.mark.parametrize("dark", [False, True])
def test_what_falls_is_drawn_falling(scale: str, dark: bool, logged: Callable[..., Path]) -> None:
    run = read(logged("run", style=[8 * 0.8**i for i in range(30)]))
    line = heights(picture([run], options=CurveOptions(scale=scale, smooth=0), dark=dark), (LIGHT, DARK)[dark].lines[0])
    assert len(line) > 500
    assert (np.diff(line) >= -0.6).all()  # rows grow downwards
    assert line[-1] - line[0] > 300


def test_what_rises_is_drawn_rising_and_what_stays_stays(logged: Callable[..., Path]) -> None:
    run = read(logged("run", content=[1 + i / 9 for i in range(10)], style=[3.0] * 10))
    image = picture([run], options=PLAIN)
    total, rising, level = (heights(image, LIGHT.lines[i]) for i in range(3))
    assert (np.diff(rising) <= 0.6).all()
    assert np.ptp(level) < 1
    assert total[-1] < total[0]
    assert total.mean() < level.mean() < rising.mean()  # the largest lies highest


def test_a_smaller_loss_lies_lower_in_the_panel_of_its_part(logged: Callable[..., Path]) -> None:
    runs = [read(logged(name, style=[value, value])) for name, value in (("good", 1.0), ("poor", 2.0))]
    image = picture(runs, options=PLAIN)
    assert heights(image, LIGHT.lines[0]).mean() > heights(image, LIGHT.lines[1]).mean()


def test_a_longer_run_reaches_further_to_the_right(logged: Callable[..., Path]) -> None:
    runs = [read(logged(name, style=[1.0 + i] * 10 * i)) for i, name in ((1, "short"), (2, "long"))]
    image = picture(runs, options=PLAIN)
    ends = [places(image, LIGHT.lines[i])[1].max() for i in range(2)]
    starts = [places(image, LIGHT.lines[i])[1].min() for i in range(2)]
    assert (ends[0] - starts[0]) / (ends[1] - starts[1]) == pytest.approx(9 / 19, abs=0.02)


def test_a_run_gone_astray_does_not_press_the_others_flat(logged: Callable[..., Path]) -> None:
    good, wild = ("good", [8 * 0.8**i for i in range(30)]), ("wild", [1e3**i for i in range(1, 31)])
    runs = [read(logged(name, style=values)) for name, values in (good, wild)]
    alone = heights(picture(runs[:1] * 2, options=PLAIN), LIGHT.lines[1])
    image = picture(runs, options=PLAIN)
    assert np.ptp(heights(image, LIGHT.lines[0])) > 0.25 * np.ptp(alone)
    assert places(image, LIGHT.lines[1])[0].min() < heights(image, LIGHT.lines[0]).min()


def test_the_smooth_line_lies_over_a_faint_one(logged: Callable[..., Path]) -> None:
    run = read(logged("run", style=[1 + (-1) ** i * 0.5 for i in range(100)]))
    smooth, rough = (heights(picture([run], options=CurveOptions(smooth=s)), LIGHT.lines[0]) for s in (0.2, 0))
    assert np.ptp(smooth) < 0.3 * np.ptp(rough)
    plain, both = (picture([run], options=CurveOptions(smooth=s)) for s in (0, 0.2))
    assert not torch.equal(plain, both)


def test_what_is_not_finite_is_left_out(logged: Callable[..., Path]) -> None:
    values = [4.0, math.nan, 3.0, math.inf, 2.0]
    run = read(logged("run", style=values, content=[1.0] * 5))
    assert np.isnan(run.parts["style"][[1, 3]]).all()
    assert run.total is not None
    assert np.isfinite(run.total).tolist() == [True, False, True, False, True]
    kept = read(logged("kept", style=[4.0, 3.0, 2.0]))
    of_rest = Curves("run", run.steps[[0, 2, 4]], kept.parts)
    whole = Curves("run", run.steps, {"style": run.parts["style"]})
    assert torch.equal(picture([whole]), picture([of_rest]))
    assert whole.final() == {"style": 2.0}


def test_nothing_finite_is_said(logged: Callable[..., Path]) -> None:
    with pytest.raises(DataError, match="no loss of run is finite"):
        picture([read(logged("run", style=[math.nan] * 3))])


def test_one_row_is_a_dot(logged: Callable[..., Path]) -> None:
    rows, columns = places(picture([read(logged("run", style=[2.0]))]), LIGHT.lines[0])
    assert 4 <= np.ptp(rows) <= 12
    assert 4 <= np.ptp(columns) <= 12


def test_many_runs_have_colours_of_their_own() -> None:
    for theme in (LIGHT, DARK):
        assert len({theme.line(i, 30) for i in range(30)}) == 30
        assert len(set(theme.lines)) == len(theme.lines)


# Reading


def test_a_cut_line_at_the_end_is_left_out_and_another_is_not(logged: Callable[..., Path]) -> None:
    path = logged("run", style=[3.0, 2.0]) / LOG
    whole = path.read_text()
    path.write_text(whole + '{"step": 30, "sty')
    assert read(path).steps.tolist() == [10, 20]
    path.write_text(whole.rstrip("\n"))
    assert read(path).steps.tolist() == [10, 20]
    path.write_text('{"step": 5, "sty\n' + whole)
    with pytest.raises(DataError, match="line 1, is none of a training log"):
        read(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "tells of no losses yet"),
        ('{"step": 1, "skipped": 0}\n', "tells of no losses yet"),
        ("[1, 2]\n", "line 1, is none"),
        ('{"step": "one"}\n', "line 1, is none"),
        ('{"step": NaN, "style": 1}\n', "line 1, is none"),
        ("word\n", "line 1, is none"),
    ],
)
def test_what_is_no_log_is_said(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / LOG).write_text(text)
    with pytest.raises(DataError, match=said):
        read(tmp_path)


def test_a_missing_log_and_a_picture_are_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read(tmp_path)
    (tmp_path / "a.png").write_bytes(b"\x89PNG\xff")
    with pytest.raises(DataError, match="no log of a training run"):
        read(tmp_path / "a.png")


def test_runs_of_one_name_are_told_apart(logged: Callable[..., Path]) -> None:
    sources = [logged("a/run", style=[1.0]), logged("b/run", style=[2.0]), logged("other", style=[3.0])]
    names = [run.name for run in read_all(sources)]
    assert names == [str(sources[0]), str(sources[1]), "other"]


def test_a_part_told_now_and_then_does_not_void_the_total(tmp_path: Path) -> None:
    rows = [{"step": 1, "style": 2.0}, {"step": 2, "style": 2.0, "identity": 0.5}]
    (tmp_path / LOG).write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert read(tmp_path).lines["total"].tolist() == [2.0, 2.5]


def test_without_weights(logged: Callable[..., Path]) -> None:
    run = read(logged("run", style=[50.0, 40.0], content=[1.0, 1.0], noise=[3.0, 3.0]))
    plain = run.divided({"style": 10.0, "content": 0.0})
    assert {name: values.tolist() for name, values in plain.lines.items()} == {"style": [5.0, 4.0]}


# Drawing while training


def test_a_picture_beside_the_log(logged: Callable[..., Path], tmp_path: Path) -> None:
    folder, told = logged("run", style=[2.0, 1.0]), list[str]()
    draw_log(folder, told.append)
    assert files.read(folder / PICTURE).pixels.shape[1] == 3
    draw_log(tmp_path / "nowhere", told.append)
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / LOG).touch()
    draw_log(tmp_path / "begun", told.append)
    assert told == []


def test_a_picture_that_fails_ends_nothing_and_is_told(
    logged: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, told = logged("run", style=[math.nan]), list[str]()
    draw_log(folder, told.append)
    monkeypatch.setattr("impasto.analysis.curves.picture", lambda _: 1 / 0)
    draw_log(folder, told.append)
    assert "is finite" in told[0]
    assert "ZeroDivisionError" in told[1]
    assert all("the training goes on" in line for line in told)


# Axes


@settings(max_examples=20)
@given(st.lists(st.floats(1e-6, 1e12), min_size=1, max_size=20), st.sampled_from(["auto", "linear", "log"]))
def test_values_and_ticks_lie_on_the_axis_in_order(values: list[float], scale: str) -> None:
    axis = loss_axis(np.asarray(values), scale=scale, start=400, stop=0)
    ticks = axis.ticks()
    assert 1 <= len(ticks) <= 12
    assert all(axis.low <= tick <= axis.high for tick in ticks)
    at = axis.at(np.sort(values))
    assert (np.diff(at) <= 1e-9).all()
    assert ((at >= -1e-9) & (at <= 400 + 1e-9)).all()
    assert (np.diff(axis.at(np.asarray(ticks))) < 0).all()


def test_a_logarithm_where_it_helps() -> None:
    def log(values: list[float], scale: str = "auto") -> bool:
        return loss_axis(np.asarray(values), scale=scale, start=1, stop=0).log

    assert log([1.0, 30.0])
    assert not log([1.0, 10.0])
    assert not log([-1.0, 30.0])
    assert log([0.0, 1.0, 30.0])  # a loss that has come to nothing lies at the foot
    assert not log([0.0, 0.0])
    assert not log([1.0, 30.0], "linear")
    assert log([1.0, 2.0], "log")


def test_numbers_as_one_writes_them() -> None:
    values = [0, 0.05, 2000, 40000, 3e6, 1e10, 2e-5, -1.5]
    assert [told(v) for v in values] == ["0", "0.05", "2000", "40k", "3M", "1e10", "2e-5", "-1.5"]
    assert Axis(0, 4500, 0, 1).ticks() == [0, 1000, 2000, 3000, 4000]


@settings(max_examples=20)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60), st.floats(0, 1))
def test_running_means_stay_within_and_keep_what_is_level(values: list[float], part: float) -> None:
    given_ = np.asarray(values)
    smooth = smoothed(given_, part)
    assert smooth.shape == given_.shape
    assert smooth.min() >= given_.min() - 1e-6
    assert smooth.max() <= given_.max() + 1e-6
    assert smoothed(np.full(9, 2.0), part) == pytest.approx(2.0)
