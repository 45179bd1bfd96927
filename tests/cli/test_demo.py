from __future__ import annotations

import json
import shlex
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from in_process import Run
from PIL import Image

from impasto import api
from impasto.cli import demo, painting
from impasto.config.demo import DemoOptions
from impasto.config.optimise import LossOptions
from impasto.image.samples import SAMPLES
from impasto.image.swatches import SWATCHES
from impasto.weights.card import Card, save

STAGES = [[2, 1], [2, 1], [2, 2], [2, 2], [2, 1]]


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder with the layers of the default options, of two channels each."""
    path = tmp_path_factory.mktemp("weights") / "narrow.safetensors"
    generator, tensors, channels = torch.Generator().manual_seed(0), {}, 3
    for stage, (width, count) in enumerate(STAGES, start=1):
        for conv in range(1, count + 1):
            tensors[f"conv{stage}_{conv}.weight"] = torch.randn(width, channels, 3, 3, generator=generator) / 3
            tensors[f"conv{stage}_{conv}.bias"] = 0.1 * torch.ones(width)
            channels = width
    network = {"architecture": "vgg", "stages": STAGES, "padding": "reflect", "pooling": "average"}
    save(path, tensors, card=Card(kind="encoder", name="narrow", network=network))
    return path


@pytest.fixture
def quick(narrow: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Options with which the demo takes no time."""
    monkeypatch.setattr(demo, "SHEET_STEPS", (1,))
    monkeypatch.setattr(demo, "SHEET_CELL_PX", 40)
    return ["--method", "optimise", "--encoder", str(narrow), "--size", "64", "--sheet-size", "64"]


def width_of(path: Path) -> int:
    with Image.open(path) as image:
        return image.width


def test_the_demo_paints_a_picture_and_a_sheet(run: Run, quick: list[str], here: Path) -> None:
    done = run("demo", "-o", "shown", *quick)
    assert done.code == 0, done.err
    paths = [Path(line) for line in done.out.splitlines()]
    assert [path.relative_to("shown").as_posix() for path in paths] == [
        "contents/astronaut.png",
        "contents/chelsea.png",
        "styles/strokes.png",
        "styles/mosaic.png",
        "styles/fire.png",
        "astronaut-strokes.png",
        "sheet.png",
    ]
    assert all(path.is_file() for path in paths)
    assert width_of(here / "shown" / "astronaut-strokes.png") == 64
    assert width_of(here / "shown" / "sheet.png") > 4 * 40
    assert len(list((here / "shown" / "cells").glob("*.png"))) == 6


def test_paintings_are_kept_and_redone_and_the_named_command_makes_the_same(
    run: Run, quick: list[str], here: Path
) -> None:
    words = ["demo", "-o", "shown", "--content", "coffee", "--style", "ink", *quick]
    done = run(*words)
    painted, cell = here / "shown" / "coffee-ink.png", here / "shown" / "cells" / "coffee-ink.png"
    before, times = painted.read_bytes(), [path.stat().st_mtime_ns for path in (painted, cell)]
    assert "is done already" in run(*words).err
    assert [path.stat().st_mtime_ns for path in (painted, cell)] == times
    assert run("redo", cell, "-o", "shown/cells/again.png").code == 0
    assert (here / "shown" / "cells" / "again.png").read_bytes() == cell.read_bytes()
    named = shlex.split(done.err.split("this command makes: ")[1])
    assert named[0] == "impasto"
    painted.unlink()
    assert run(*named[1:]).code == 0
    assert painted.read_bytes() == before


def test_without_a_method_it_paints_in_one_pass(run: Run, quick: list[str], here: Path) -> None:
    done = run("demo", "-o", "shown", "--content", "coffee", "--style", "ink", "--size", "64", "--sheet-size", "64")
    assert done.code == 0, done.err
    assert "1 step," in done.err or "1 steps," in done.err
    assert "--method" not in done.err.split("this command makes: ")[1]
    assert run("redo", "shown/coffee-ink.png", "-o", "shown/again.png").code == 0
    assert (here / "shown" / "again.png").read_bytes() == (here / "shown" / "coffee-ink.png").read_bytes()


def test_another_size_is_painted_anew(run: Run, quick: list[str], here: Path) -> None:
    one = ["demo", "-o", "shown", "--content", "camera", "--style", "ink", "--sheet", "sheet.png", *quick[:4]]
    for size in (64, 72):
        assert run(*one, "--sheet-size", str(size)).code == 0
        assert width_of(here / "shown" / "cells" / "camera-ink.png") == size


def test_the_large_sheet(run: Run, quick: list[str], here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "SHEET_CONTENTS", ("rocket", "coffee"))
    done = run("demo", "-o", "shown", "--sheet", "docs/sheet.jpg", "--json", *quick)
    assert done.code == 0, done.err
    row = json.loads(done.out)
    assert row["sheet"] == "docs/sheet.jpg"
    assert len(row["inputs"]) == 2 + 6
    assert "command" not in row
    assert not list((here / "shown").glob("*-*.png"))
    with Image.open(here / "docs" / "sheet.jpg") as image:
        assert image.width > 7 * 40
        assert np.asarray(image).std() > 10


def test_its_names_are_there() -> None:
    assert len(demo.SHEET_CONTENTS) == len(demo.SHEET_STYLES) == 8
    assert {*demo.CONTENTS, *demo.SHEET_CONTENTS} <= SAMPLES.keys()
    assert {*demo.STYLES, *demo.SHEET_STYLES} <= SWATCHES.keys()


def test_the_help_lists_every_name(run: Run) -> None:
    listed = run("demo", "--help").out
    assert all(name in listed for name in (*SAMPLES, *SWATCHES))


def test_the_command_is_short_with_the_bundled_encoder() -> None:
    words = demo.command(Path("c.png"), Path("s.png"), picture=Path("o.png"), options=DemoOptions())
    assert shlex.join(words) == "impasto stylize c.png --style s.png --size 384 --output o.png"
    words = demo.command(Path("c.png"), Path("s.png"), picture=Path("o.png"), options=DemoOptions(method="optimise"))
    assert shlex.join(words) == "impasto stylize c.png --style s.png --size 384 --method optimise --output o.png"
    assert DemoOptions().encoder == LossOptions().encoder


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--style", "strokse"], "Did you mean 'strokes'"),
        (["--content", "astronaut,cat"], "unknown sample 'cat'"),
        (["-o", "content.png"], "content.png is a file"),
        (["--sheet", "sheet.xyz"], "xyz"),
        (["--size", "20"], "--size is 20"),
    ],
)
def test_wrong_use_is_reported_before_any_work(run: Run, here: Path, words: list[str], message: str) -> None:
    done = run("demo", *words)
    assert done.code == 2
    assert message in done.err
    assert done.err.count("\n") == 1
    assert not (here / "out").exists()


def test_ctrl_c_stops_and_the_same_command_goes_on(
    run: Run, quick: list[str], here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = painting.Shown.__call__

    def shown_then_stopped(self: painting.Shown, step: api.Step) -> None:
        shown(self, step)
        if step.index == 2:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(painting.Shown, "__call__", shown_then_stopped)
    words = ["demo", "-o", "shown", "--content", "rocket", "--style", "ink"]
    stopped = run(*words, *quick)
    assert stopped.code == 130
    assert "stopped after step 2" in stopped.err
    assert not (here / "shown" / "sheet.png").exists()
    picture = here / "shown" / "rocket-ink.png"
    assert picture.is_file()
    assert api.paused_path(picture) is not None
    indices = []
    monkeypatch.setattr(painting.Shown, "__call__", lambda self, step: indices.append(step.index))
    assert run(*words, *quick).code == 0
    assert indices[0] == 3
    assert api.paused_path(picture) is None


def test_a_state_of_another_job_is_passed_over(run: Run, quick: list[str], here: Path) -> None:
    words = ["demo", "-o", "shown", "--content", "rocket", "--style", "ink", *quick]
    (here / "shown").mkdir()
    (here / "shown" / "rocket-ink.png.paused").write_bytes(b"of another job")
    assert run(*words).code == 0
    assert api.paused_path(here / "shown" / "rocket-ink.png") is None
