from __future__ import annotations

import io
import itertools
import threading

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


def test_a_long_text_leaves_the_percentage_at_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(0, 2.0)
    monkeypatch.setattr(bars.time, "monotonic", lambda: next(clock))
    out = io.StringIO()
    with Bar(console=Console(file=out, force_terminal=True, width=80)) as bar:
        bar.show(37, 100, "3 of 120  " + "a-very-long-name-of-a-picture" * 5 + "  0:55 left")
        bar.show(38, 100, "3 of 120  " + "a-very-long-name-of-a-picture" * 5 + "  0:55 left")
    assert "38%" in out.getvalue()
    assert "3 of 120" in out.getvalue()
    assert "…" in out.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
def test_a_wait_is_shown_with_its_seconds(terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("TICK_S", 0.01), ("SHOWN_AFTER_S", 0.0), ("LINE_EVERY_S", 0.0)):
        monkeypatch.setattr(bars, name, value)
    out, drawn = io.StringIO(), threading.Event()
    show = Bar._draw
    monkeypatch.setattr(Bar, "_draw", lambda self, text, **work: (show(self, text, **work), drawn.set()))
    with Bar(console=Console(file=out, force_terminal=terminal, width=80)) as bar:
        bar.wait("painting a.png")
        assert drawn.wait(20)
    assert "painting a.png  0:01" in out.getvalue()
