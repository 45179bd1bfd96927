from __future__ import annotations

import io
import itertools

import pytest
from rich.console import Console

from impasto.cli import bars
from impasto.cli.bars import Bar, TimeLeft, as_size, as_time


def drawn(monkeypatch: pytest.MonkeyPatch, *, terminal: bool, tick_s: float) -> str:
    clock = itertools.count(0, tick_s)
    monkeypatch.setattr(bars.time, "monotonic", lambda: next(clock))
    out = io.StringIO()
    with Bar(console=Console(file=out, force_terminal=terminal, width=80)) as bar:
        for step in range(1, 5):
            bar.show(step, 4, f"step {step} [b]x[/b]")
    return out.getvalue()


def test_quick_work_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert drawn(monkeypatch, terminal=True, tick_s=0.01) == ""
    assert drawn(monkeypatch, terminal=False, tick_s=0.01) == ""


def test_slow_work_shows_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = drawn(monkeypatch, terminal=True, tick_s=2)
    assert "50%" in shown
    assert "step 2 [b]x[/b]" in shown


def test_slow_work_writes_a_line_now_and_then_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(drawn(monkeypatch, terminal=False, tick_s=16).splitlines()) == 2


def test_a_quiet_bar_tells_errors_only(capsys: pytest.CaptureFixture[str]) -> None:
    with Bar(quiet=True) as bar:
        bar.note("a note")
        bar.tell_error("an error")
    assert capsys.readouterr().err == "error: an error\n"


def test_time_left_follows_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 1.0, 3.0])
    monkeypatch.setattr(bars.time, "monotonic", lambda: next(clock))
    left = TimeLeft(100)
    assert left.after(10) is None  # of work done before, which took no time here
    assert left.after(20) == pytest.approx(8)
    assert left.after(40) == pytest.approx(6)


def test_texts() -> None:
    assert [as_time(s) for s in (None, float("inf"), 0.2, 75, 3661)] == ["", "", "0:01", "1:15", "1:01:01"]
    assert [as_size(s) for s in (None, 1_500_000, 553_433_881)] == ["?", "1.5 MB", "553 MB"]
