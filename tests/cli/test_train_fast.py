"""`impasto train fast` and `train style` from the command line to styles that are painted by name."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from in_process import Result, Run
from PIL import Image

from impasto.image import files
from impasto.weights.card import load, save

SMALL = ["--steps", "3", "--batch-size", "2", "--precision", "float32", "--device", "cpu"]


@pytest.fixture
def words(there: Path, here: Path) -> list[str | Path]:
    """A command that trains three steps; two contents, two styles."""
    (here / "contents").mkdir()
    for name in ("content.png", "style.png"):
        (here / "contents" / name).write_bytes((there / name).read_bytes())
    (here / "tide.png").write_bytes((there / "style.png").read_bytes())
    (here / "shout.png").write_bytes((there / "content.png").read_bytes())
    given = ["--contents", "contents", "--styles", "tide.png", "--styles", "shout.png", "-o", "out"]
    network = ["--encoder", there / "tiny.safetensors", "--widths", "4,6", "--blocks", "1", "--style-px", "64"]
    return ["train", "fast", *given, *network, "--crop-px", "32", "--short-side-px", "40", *SMALL]


def rows(done: Result) -> Any:
    assert done.code == 0, done.err
    return json.loads(done.out)


def test_from_pictures_to_styles_by_name(run: Run, words: list[str | Path]) -> None:
    done = rows(run(*words, "--sample-every", "2", "--name", "mine", "--licence", "MIT", "--json"))
    assert (done["output"], done["steps"], done["unreadable"]) == ("out", 3, [])
    assert set(done["losses"]) == {"content", "style", "smoothness", "range"}
    names = sorted(path.name for path in Path("out/samples").iterdir())
    assert names == ["step-000002.png", "step-000003.png"]
    assert Path("out/losses.png").is_file()
    assert run("models", "import", "out/network.safetensors", "--name", "mine").code == 0
    assert run("stylize", "content.png", "--style", "tide", "--size", "40", "-o", "painted.png").code == 0
    assert files.read("painted.png").pixels.shape[-1] == 40
    blend = ["--style", "tide:0.5", "--style", "mine#shout:0.5"]
    assert run("stylize", "content.png", *blend, "--size", "40", "-o", "both.png").code == 0
    wrong = run("stylize", "content.png", "--style", "tid", "-o", "none.png")
    assert (wrong.code, Path("none.png").exists()) == (2, False)
    assert "tide" in wrong.err


@pytest.mark.parametrize("multi_style", ["sum", "average", "alternate"])
def test_two_pictures_become_one_style(run: Run, words: list[str | Path], multi_style: str) -> None:
    assert run(*words, "--multi-style", multi_style, "--alpha", "0.25", "--name", "between").code == 0
    card = load(Path("out/network.safetensors")).card
    assert (card.name, card.styles, card.network["styles"]) == ("between", [], 1)


def test_epochs_are_told(run: Run, words: list[str | Path]) -> None:
    assert rows(run(*words, "--epochs", "2", "--json"))["steps"] == 2


def taught(there: Path) -> list[str | Path]:
    """A command that teaches the network in `out` the style of `new.png`, which it draws first."""
    path = Path("out/network.safetensors")
    file = load(path)  # whose encoder has no name that finds it
    training = file.card.training
    training["options"]["encoder"] = str(there / "tiny.safetensors")
    save(path, file.tensors, card=dataclasses.replace(file.card, training=training))
    Image.open("tide.png").rotate(90, expand=True).save("new.png")
    return ["train", "style", "new.png", "--network", path, "--contents", "contents", *SMALL]


def test_a_new_style_is_painted_by_its_name(run: Run, words: list[str | Path], there: Path) -> None:
    assert run(*words).code == 0
    done = run(*taught(there), "--sample-every", "2")
    assert (done.code, done.out.strip()) == (0, "new-training")
    assert "--style new" in done.err
    assert [path.name for path in sorted(Path("new-training/samples").iterdir())] == [
        "step-000002.png",
        "step-000003.png",
    ]
    assert run("stylize", "content.png", "--style", "new", "--size", "40", "-o", "painted.png").code == 0
    assert "new" in run("models", "list").out
    same = run(*taught(there), "--sample-every", "2")  # a finished training repeated
    assert (same.code, same.out.strip()) == (0, "new-training")
    assert "new-training was trained to the end already" in same.err
    again = run(*taught(there), "-o", "elsewhere")
    assert again.code == 2
    assert "--replace" in again.err
    assert not Path("elsewhere").exists()
    assert run(*taught(there), "--replace", "--style-weight", "9", "-o", "elsewhere").code == 0


def test_a_name_that_cannot_be_one_is_told_first(run: Run, words: list[str | Path], there: Path) -> None:
    assert run(*words).code == 0
    done = run(*taught(there), "--name", "a/b")
    assert done.code == 2
    assert "a/b" in done.err
    assert not Path("a").exists()


def test_a_picture_that_is_not_there(run: Run, words: list[str | Path], there: Path) -> None:
    assert run(*words).code == 0
    command = taught(there)
    command[2] = "none.png"
    done = run(*command)
    assert done.code == 1
    assert "none.png" in done.err
    assert "Traceback" not in done.err
    assert not Path("none-training").exists()
