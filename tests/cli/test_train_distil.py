"""`impasto train distil` from the command line to a network that paints."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from in_process import Result, Run
from PIL import Image, ImageOps

from impasto.nets import fast as nets

SMALL = ["--steps", "3", "--batch-size", "2", "--crop-px", "32", "--short-side-px", "40", "--precision", "float32"]


@pytest.fixture
def words(there: Path, here: Path, network_file: Path, save_learned: Callable[..., Path]) -> list[str | Path]:
    """A command that trains three steps by a trained style, a picture, and one finished result."""
    for folder in ("contents", "results"):
        (here / folder).mkdir()
    for name in ("content.png", "style.png"):
        (here / "contents" / name).write_bytes((there / name).read_bytes())
    ImageOps.invert(Image.open(there / "content.png").convert("RGB")).save(here / "results" / "content-wave.png")
    save_learned(here / "scream.safetensors")
    teachers = ["--teachers", "scream.safetensors", "--teachers", "style.png", "--teachers", "results"]
    given = ["--contents", "contents", *teachers, "--encoder", there / "tiny.safetensors", "--network", network_file]
    return ["train", "distil", *given, *SMALL, "--widths", "4,6", "--blocks", "1", "--device", "cpu", "-o", "out"]


def rows(done: Result) -> Any:
    assert done.code == 0, done.err
    return json.loads(done.out)


def test_from_teachers_to_a_network_that_paints(run: Run, words: list[str | Path]) -> None:
    done = run(*words, "--sample-every", "3", "--name", "three", "--cache", "kept", "--json")
    assert set(rows(done)["losses"]) == {"pixels", "features", "range"}
    assert "results has results for 1 of 2 contents" in done.err
    network = nets.load_fast_network("out/network.safetensors", precision="float32")
    assert (network.name, network.styles) == ("three", ("scream", "style", "results"))
    assert [path.name for path in Path("out/samples").iterdir()] == ["step-000003.png"]
    assert {path.name.rpartition("-")[0] for path in Path("kept").iterdir()} <= {"scream", "style"}
    command = ["stylize", "content.png", "--style", "out/network.safetensors#scream", "--size", "40"]
    assert run(*command, "-o", "painted.png").code == 0


def test_quiet_is_quiet(run: Run, words: list[str | Path]) -> None:
    done = run(*words, "--quiet")
    assert (done.code, done.out.strip(), done.err) == (0, "out", "")


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        (["--teachers", "nowhere"], 2, "there is no file nowhere"),
        (["--teachers", "nowhere.png"], 1, "nowhere.png"),
        (["--teachers", "contents"], 0, ""),
        (["--weights", "1,2"], 2, "3 teachers need as many, or one"),
        (["--contents", "none"], 1, "none is neither a folder nor a .csv file"),
        (["--multi-style", "all"], 2, "conditional"),
    ],
)
def test_mistakes_are_one_line(more: list[str], code: int, said: str, run: Run, words: list[str | Path]) -> None:
    done = run(*words, *more)
    assert done.code == code, done.err
    if code:
        assert said in done.err
        assert len(done.err.strip().splitlines()) == 1
        assert not Path("out").exists()


def test_teachers_are_asked_for(run: Run) -> None:
    done = run("train", "distil", "--contents", ".", "-o", "out")
    assert (done.code, "--teachers is missing" in done.err) == (2, True)
