from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from in_process import Run

from impasto import api
from impasto.cli import painting
from impasto.cli.stopping import on_interrupt


def interrupt_at(number: int, monkeypatch: pytest.MonkeyPatch, *, by: int = signal.SIGINT) -> None:
    shown = painting.Shown.__call__

    def shown_then_stopped(self: painting.Shown, step: Any) -> None:
        shown(self, step)
        if step.index == number:
            signal.raise_signal(by)

    monkeypatch.setattr(painting.Shown, "__call__", shown_then_stopped)


@pytest.mark.parametrize("number", [2, 5])  # in the coarse and in the fine scale of 4 steps each
@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_stopped_and_resumed_is_as_if_never_stopped(
    run: Run, tiny: list[str], here: Path, monkeypatch: pytest.MonkeyPatch, number: int, optimizer: str
) -> None:
    command = [
        "stylize",
        "content.png",
        "--style",
        "style.png",
        *tiny,
        "--scale-factor",
        "1.4",
        "--optimizer",
        optimizer,
    ]
    command = [word if word != "2" else "4" for word in command]
    assert run(*command, "-o", "whole.png").code == 0
    interrupt_at(number, monkeypatch)
    stopped = run(*command, "-o", "part.png", "--json")
    monkeypatch.undo()
    monkeypatch.chdir(here)
    assert stopped.code == 130
    assert "--resume" in stopped.err
    assert json.loads(stopped.out)["stopped"]
    assert json.loads(stopped.out)["steps_planned"] == 8
    assert (here / "part.png").is_file()
    with pytest.raises(api.ImpastoError, match="no recipe"):
        api.recipe_of("part.png")
    state = here / "part.png.paused"
    assert state.is_file()
    resumed = run(*command, "-o", "part.png", "--resume", "--json")
    assert resumed.code == 0
    assert json.loads(resumed.out)["resumed"]
    assert (here / "part.png").read_bytes() == (here / "whole.png").read_bytes()
    assert not state.exists()


def test_resuming_with_other_options_is_refused(
    run: Run, tiny: list[str], here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["stylize", "content.png", "--style", "style.png", *tiny, "-o", "o.png"]
    with monkeypatch.context() as patch:
        interrupt_at(1, patch)
        assert run(*command).code == 130
    other = run(*command, "--resume", "--tv-weight", "1")
    assert other.code == 1
    assert "another job" in other.err
    assert (here / "o.png.paused").is_file()
    assert "--resume would continue" in run(*command).err


@pytest.mark.slow  # starts a process, which loads torch
@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_process_stops_at_a_signal(by: int, tiny: list[str], here: Path) -> None:
    steps = ["--steps", "5000", "--snapshots", "5", "-o", "o.png"]
    short = [word for i, word in enumerate(tiny) if "--steps" not in tiny[max(0, i - 1) : i + 1]]
    command = [sys.executable, "-m", "impasto", "stylize", "content.png", "--style", "style.png", *short, *steps]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        until = time.monotonic() + 60
        while not (here / "o-0005.png").exists() and time.monotonic() < until and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(by)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert out == "o.png\n"
    assert "stopped after step" in err
    assert (here / "o.png.paused").is_file()
    assert not list(here.glob(".*")), "no temporary file is left"


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGHUP])
def test_signals_stop_as_ctrl_c_does(
    by: int, run: Run, tiny: list[str], here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt_at(1, monkeypatch, by=by)
    words = ["--animation", "film.mp4", "-o", "o.png"]
    assert run("stylize", "content.png", "--style", "style.png", *tiny, *words).code == 130
    written = {"o.png", "o.png.paused", "film.mp4"}
    assert {path.name for path in here.iterdir()} == written | {"content.png", "style.png"}


def test_only_ctrl_c_again_stops_at_once() -> None:
    with on_interrupt(lambda text: None) as stop:
        stop.worth_keeping = True
        for number in (signal.SIGHUP, signal.SIGHUP, signal.SIGTERM):
            signal.raise_signal(number)
        assert stop.asked
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_a_closed_terminal_does_not_lose_the_picture(
    run: Run, tiny: list[str], here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: Any, **__: Any) -> None:
        raise OSError(errno.EIO, "Input/output error")

    interrupt_at(1, monkeypatch, by=signal.SIGHUP)
    monkeypatch.setattr("rich.console.Console.print", gone)
    run("stylize", "content.png", "--style", "style.png", *tiny, "-o", "o.png")
    assert (here / "o.png").is_file()
    assert (here / "o.png.paused").is_file()


def test_ctrl_c_keeps_a_finished_output(run: Run, tiny: list[str], here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["stylize", "content.png", "--style", "style.png", *tiny]
    assert run(*command, "-o", "whole.png").code == 0
    assert run(*command, "--strength", "0.5", "-o", "o.png").code == 0
    finished = (here / "o.png").read_bytes()
    for more in ([], ["--resume"]):
        with monkeypatch.context() as patch:
            interrupt_at(1 if not more else 2, patch)
            stopped = run(*command, "-o", "o.png", *more)
        assert (stopped.code, stopped.out) == (130, "o-unfinished.png\n")
        assert (here / "o.png").read_bytes() == finished
        assert (here / "o-unfinished.png").is_file()
    assert run(*command, "-o", "o.png", "--resume").code == 0
    assert (here / "o.png").read_bytes() == (here / "whole.png").read_bytes()


def test_an_unfinished_output_is_replaced(
    run: Run, tiny: list[str], here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt_at(1, monkeypatch)
    for _ in range(2):
        assert run("stylize", "content.png", "--style", "style.png", *tiny, "-o", "o.png").out == "o.png\n"
    assert not (here / "o-unfinished.png").exists()


def test_an_unfinished_picture_replaces_no_input(
    run: Run, tiny: list[str], here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("o.png", "o-unfinished.png"):
        (here / name).write_bytes((here / "content.png").read_bytes())
    interrupt_at(1, monkeypatch)
    assert run("stylize", "o-unfinished.png", "--style", "style.png", *tiny, "-o", "o.png").code == 130
    for name in ("o.png", "o-unfinished.png"):
        assert (here / name).read_bytes() == (here / "content.png").read_bytes()
    assert (here / "o-unfinished-2.png").is_file()


def fail(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("method", ["add", "close"])
def test_a_failing_animation_does_not_lose_the_picture(
    method: str, run: Run, tiny: list[str], here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"impasto.video.animation._Gif.{method}", fail)
    words = ["--animation", "film.gif", "-o", "o.png"]
    done = run("stylize", "content.png", "--style", "style.png", *tiny, *words)
    assert (done.code, done.out) == (1, "o.png\n")
    assert done.err.count("film.gif is not written: film.gif cannot be written: No space left") == 1
    assert {path.name for path in here.iterdir()} == {"content.png", "style.png", "o.png"}


def test_a_failing_snapshot_does_not_lose_the_picture(run: Run, tiny: list[str], here: Path) -> None:
    (here / "o-0001.png").mkdir()
    done = run("stylize", "content.png", "--style", "style.png", *tiny, "--snapshots", "1", "-o", "o.png")
    assert done.code == 1
    assert "o-0001.png is not written" in done.err
    assert (here / "o.png").is_file()
    assert (here / "o-0002.png").is_file()


def test_a_failing_state_does_not_lose_the_picture(
    run: Run, tiny: list[str], here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt_at(1, monkeypatch)
    name = "o" * 248 + ".png"  # with ".paused" it is longer than file systems allow
    done = run("stylize", "content.png", "--style", "style.png", *tiny, "-o", name)
    assert (done.code, done.out) == (130, f"{name}\n")
    assert "the state is not written" in done.err
    assert (here / name).is_file()


def test_the_first_ctrl_c_asks_and_the_second_stops() -> None:
    notes: list[str] = []
    before = signal.getsignal(signal.SIGINT)
    with on_interrupt(notes.append) as stop:
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)  # nothing worth keeping yet
        stop.worth_keeping = True
        signal.raise_signal(signal.SIGINT)
        assert stop.asked
        assert len(notes) == 1
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_redo_makes_the_same_file(run: Run, tiny: list[str], here: Path) -> None:
    assert run("stylize", "content.png", "--style", "style.png", *tiny, "--init", "noise", "-o", "a.png").code == 0
    assert run("redo", "a.png", "-o", "b.png").out == "b.png\n"
    assert (here / "a.png").read_bytes() == (here / "b.png").read_bytes()


@pytest.mark.parametrize("kind", ["png", "mp4"])
def test_redo_looks_at_the_memory(
    kind: str, run: Run, quick: list[str], here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "mp4":
        (here / "frames").mkdir()
        for i in range(2):
            (here / "frames" / f"{i}.png").write_bytes((here / "content.png").read_bytes())
        assert run("video", "frames", "in.mp4", "--style", "style.png", *quick).code == 0
    words = ["video", "in.mp4", "a.mp4"] if kind == "mp4" else ["stylize", "content.png", "-o", "a.png"]
    assert run(*words, "--style", "style.png", *quick).code == 0
    monkeypatch.setattr("impasto.session.memory.LARGE_BYTES", 0)
    monkeypatch.setattr("impasto.session.memory.available_bytes", lambda: 0)
    refused = run("redo", f"a.{kind}", "-o", f"b.{kind}")
    assert (refused.code, refused.err.count("\n")) == (1, 1)
    assert "GB are free" in refused.err
    assert "--force" in refused.err
    assert run("redo", f"a.{kind}", "-o", f"b.{kind}", "--force").code == 0
    assert (here / f"a.{kind}").read_bytes() == (here / f"b.{kind}").read_bytes()


def test_redo_into_another_folder_can_be_redone_from_there(run: Run, tiny: list[str], here: Path) -> None:
    assert run("stylize", "content.png", "--style", "style.png", *tiny, "-o", "a.png", "--sidecar").code == 0
    (here / "sub").mkdir()
    assert run("redo", "a.png.json", "-o", "sub/b.png").code == 0
    assert run("redo", "sub/b.png", "-o", "sub/c.png").code == 0
    assert (here / "sub/b.png").read_bytes() == (here / "sub/c.png").read_bytes()


def test_redo_refuses_what_it_cannot_repeat(run: Run, tiny: list[str], here: Path) -> None:
    plain = run("redo", "content.png", "-o", "b.png")
    assert (plain.code, "carries no recipe" in plain.err) == (1, True)
    assert run("stylize", "content.png", "--style", "style.png", *tiny, "-o", "a.png").code == 0
    over = run("redo", "a.png", "-o", "style.png")
    assert (over.code, "one of the inputs" in over.err) == (2, True)
    (here / "style.png").write_bytes((here / "content.png").read_bytes())
    changed = run("redo", "a.png", "-o", "b.png")
    assert (changed.code, "style.png has changed" in changed.err) == (1, True)


@pytest.mark.parametrize("words", [["o.png", "--bits", "16"], ["o.jpg", "--quality", "60"]])
def test_redo_writes_the_same_file(words: list[str], run: Run, tiny: list[str], here: Path) -> None:
    assert run("stylize", "content.png", "--style", "style.png", *tiny, "-o", *words).code == 0
    again = f"again{Path(words[0]).suffix}"
    assert run("redo", words[0], "-o", again).code == 0
    assert (here / again).read_bytes() == (here / words[0]).read_bytes()


def test_redo_where_inputs_have_moved(run: Run, tiny: list[str], here: Path) -> None:
    assert run("stylize", "content.png", "--style", "style.png", *tiny, "-o", "o.png").code == 0
    (here / "moved").mkdir()
    for name in ("content.png", "style.png"):
        (here / name).rename(here / "moved" / name)
    missing = run("redo", "o.png", "-o", "again.png")
    assert (missing.code, "is missing" in missing.err) == (1, True)
    words = ["--content", "moved/content.png", "--style", "moved/style.png"]
    assert run("redo", "o.png", *words, "-o", "again.png").code == 0
    swapped = run("redo", "o.png", "--content", "moved/style.png", "--style", "moved/style.png", "-o", "x.png")
    assert (swapped.code, "has changed" in swapped.err) == (1, True)


def test_a_snapshot_replaces_no_input(run: Run, tiny: list[str], here: Path) -> None:
    (here / "p-0002.png").write_bytes((here / "content.png").read_bytes())
    before = (here / "p-0002.png").read_bytes()
    done = run("stylize", "p-0002.png", "--style", "style.png", *tiny, "--snapshots", "2", "-o", "p.png")
    assert (done.code, "would replace the input p-0002.png" in done.err) == (2, True)
    assert (here / "p-0002.png").read_bytes() == before


def test_a_film_of_the_outputs_name(run: Run, tiny: list[str], here: Path) -> None:
    done = run("stylize", "content.png", "--style", "style.png", *tiny, "-o", "f.gif", "--animation", "f.gif")
    assert (done.code, "both --output and --animation" in done.err) == (2, True)
    assert not (here / "f.gif").exists()
