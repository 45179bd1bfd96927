"""`impasto train sweep`, `impasto analyze curves`, and the curves that every training leaves."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from in_process import Run

from impasto.cli import train
from impasto.config.console import ConsoleOptions
from impasto.config.fast_training import FastFitOptions, FastTrainOptions
from impasto.config.training import FitOptions
from impasto.core.errors import NotFinite
from impasto.image import files
from impasto.jobs import experiments
from impasto.training.boards import Log
from impasto.training.fit import Progress

GRID = """
[base]
contents = "."
styles = "style.png"
steps = 2
[[runs]]
name = "few"
[[runs]]
name = "wild"
learning-rate = 9
"""


def trained(options: FastTrainOptions, fitting: FastFitOptions, folder: Path) -> Iterator[Progress]:
    """Train nothing, and write what a training writes; a learning rate of 9 fails."""
    log = Log(folder / "log.jsonl", step=0)
    for step in range(1, fitting.steps + 1):
        if fitting.learning_rate == 9 and step == 2:
            raise NotFinite("the loss was not finite.")
        log.write(step, {"style": 3.0 / step, "content": 1.0}, rate=0.1, norm=1.0, skipped=0)
        yield Progress(step, fitting.steps, {"style": 3.0 / step}, 0.1, 0)
    (folder / "network.safetensors").touch()


@pytest.fixture
def grid(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(experiments, "train_fast", trained)
    path = here / "grid.toml"
    path.write_text(GRID, encoding="utf-8")
    return path


def test_a_sweep_ends_with_a_report(run: Run, grid: Path) -> None:
    done = run("train", "sweep", "grid.toml", "-o", "out")
    assert (done.code, done.out.strip()) == (1, str(Path("out/report.html")))
    assert "run 1/2  few: finished after step 2" in done.err
    assert "run 2/2  wild: failed after step 1" in done.err
    assert "the loss was not finite" in done.err
    assert "1 finished, 1 failed" in done.err
    assert "grid: 2 experiments" in Path("out/report.html").read_text(encoding="utf-8")
    grid.write_text(GRID.replace("= 9", "= 1").replace("wild", "tame"))
    again = run("train", "sweep", "grid.toml", "-o", "out", "--json")
    row = json.loads(again.out)
    assert (again.code, row) == (0, {"report": str(Path("out/report.html")), "runs": 2, "kept": 1, "finished": 2})
    assert "few: kept" in again.err
    quiet = run("train", "sweep", "grid.toml", "-o", "out", "--quiet")
    assert (quiet.code, quiet.err) == (0, "")


def test_ctrl_c_stops_a_sweep_and_the_same_command_goes_on(
    run: Run, grid: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(options: FastTrainOptions, fitting: FastFitOptions, folder: Path) -> Iterator[Progress]:
        for progress in trained(options, fitting, folder):
            if progress.step == 2:
                signal.raise_signal(signal.SIGINT)
            yield progress

    grid.write_text(GRID.replace("= 9", "= 1"))
    monkeypatch.setattr(experiments, "train_fast", interrupted)
    stopped = run("train", "sweep", "grid.toml", "-o", "out")
    assert (stopped.code, stopped.out) == (130, "")
    assert "Run the same command again to continue" in stopped.err
    assert not Path("out/wild").exists()
    assert Path("out/report.html").is_file()
    monkeypatch.setattr(experiments, "train_fast", trained)
    assert run("train", "sweep", "grid.toml", "-o", "out").code == 0


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [("steps", "stesp", "Did you mean 'steps'"), ("= 2", "= 0", "--steps is 0"), ("style.png", "x.png", "needs x.png")],
)
def test_mistakes_are_one_line_before_anything_is_trained(old: str, new: str, said: str, run: Run, grid: Path) -> None:
    grid.write_text(GRID.replace(old, new))
    done = run("train", "sweep", "grid.toml", "-o", "out")
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert len(done.err.strip().splitlines()) == 1
    assert not Path("out").exists()


def test_curves_of_runs(run: Run, grid: Path) -> None:
    run("train", "sweep", "grid.toml", "-o", "out")
    done = run("analyze", "curves", "out/few", "out/wild/log.jsonl", "-o", "both.png", "--scale", "log", "--json")
    row = json.loads(done.out)
    assert (done.code, row["output"]) == (0, "both.png")
    assert row["losses"]["few"] == {"total": 2.5, "style": 1.5, "content": 1.0}
    assert set(row["losses"]) == {"few", "wild"}
    note = json.loads(files.read_notes("both.png")["impasto-analysis"])
    assert (note["command"], note["runs"], note["options"]["scale"]) == ("curves", ["few", "wild"], "log")
    one = run("analyze", "curves", "out/few", "-o", "one.png")
    assert (one.code, one.out.strip()) == (0, "one.png")
    assert files.read("one.png").pixels.shape != files.read("both.png").pixels.shape


def test_curves_of_nothing(run: Run, here: Path) -> None:
    Path("log.jsonl").touch()
    for words, code, said in (
        (["."], 1, "has no losses yet"),
        (["nowhere"], 1, "nowhere cannot be read"),
        ([".", "--smooth", "2"], 2, "--smooth is 2"),
    ):
        done = run("analyze", "curves", *words, "-o", "x.png")
        assert (done.code, said in done.err) == (code, True)
    assert not Path("x.png").exists()


def test_both_are_in_the_help(run: Run) -> None:
    assert "sweep" in run("train", "--help").out
    assert "curves" in run("analyze", "--help").out


def steps_with(folder: Path, losses: dict[str, float]) -> Iterator[Progress]:
    log = Log(folder / "log.jsonl", step=0)
    for step in (1, 2):
        log.write(step, losses, rate=0.1, norm=1.0, skipped=0)
        yield Progress(step, 2, losses, 0.1, 0, sample=folder / "a.png" if step == 1 else None)
        assert (folder / "losses.png").is_file() == torch.isfinite(torch.tensor(losses["style"])).item()


def test_every_training_leaves_its_curves(here: Path) -> None:
    folder = here / "run"
    code = train._trained(
        lambda: steps_with(folder, {"style": 1.0}), folder, fit=FitOptions(steps=2), console=ConsoleOptions()
    )
    assert code == 0
    assert files.read(folder / "losses.png").pixels.shape[1] == 3


def test_curves_that_cannot_be_drawn_end_no_training(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = here / "run"
    code = train._trained(
        lambda: steps_with(folder, {"style": float("nan")}), folder, fit=FitOptions(steps=2),
        console=ConsoleOptions(quiet=True),
    )  # fmt: skip
    assert code == 0
    assert "could not be drawn; the training goes on" in capsys.readouterr().err
