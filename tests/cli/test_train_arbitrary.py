"""`impasto train arbitrary` from the command line to a network that paints."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from in_process import Result, Run

from impasto.config.arbitrary_training import VARIANTS
from impasto.image import files
from impasto.nets import table as nets
from impasto.training import arbitrary_run, fit


@pytest.fixture
def words(there: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> list[str | Path]:
    """A command that trains three steps; both folders hold two pictures."""
    monkeypatch.setattr(arbitrary_run, "MEASURED", 4)
    for folder in ("contents", "styles"):
        (here / folder).mkdir()
        for name in ("content.png", "style.png"):
            (here / folder / name).write_bytes((there / name).read_bytes())
    given = ["--contents", "contents", "--styles", "styles", "--encoder", there / "tiny.safetensors", "-o", "out"]
    small = ["--steps", "3", "--batch-size", "2", "--crop-px", "32", "--short-side-px", "40", "--precision", "float32"]
    return ["train", "arbitrary", *given, *small, "--device", "cpu"]


def rows(done: Result) -> Any:
    assert done.code == 0, done.err
    return json.loads(done.out)


def test_from_pictures_to_a_network_that_paints(run: Run, words: list[str | Path]) -> None:
    done = rows(run(*words, "--sample-every", "2", "--name", "mine", "--licence", "MIT", "--json"))
    assert (done["output"], done["steps"], done["unreadable"]) == ("out", 3, [])
    assert set(done["losses"]) == {"content", "style", "range"}
    network = nets.load_network("out/network.safetensors", precision="float32")
    assert network.name == "mine"
    names = sorted(path.name for path in Path("out/samples").iterdir())
    assert names == ["step-000002.png", "step-000003.png"]
    assert files.read("out/samples/step-000003.png").pixels.shape == (1, 3, 3 * 32 + 2 * 4, 3 * 32 + 2 * 4)
    shown = rows(run("models", "show", "out/network.safetensors", "--json"))
    assert (shown["kind"], shown["name"], shown["licence"]) == ("arbitrary", "mine", "MIT")
    assert shown["training"]["pictures"]["styles"] == 2
    command = ["stylize", "content.png", "--style", "style.png", "--network", "out/network.safetensors"]
    assert run(*command, "--size", "40", "-o", "painted.png").code == 0
    assert files.read("painted.png").pixels.shape[-1] == 40
    assert run("models", "import", "out/network.safetensors", "--name", "mine").code == 0
    assert "mine" in run("models", "list").out


def test_the_folder_is_printed(run: Run, words: list[str | Path]) -> None:
    done = run(*words)
    assert (done.code, done.out.strip()) == (0, "out")
    assert "training on cpu" in done.err
    quiet = run(*words, "--quiet")
    assert (quiet.code, quiet.out.strip(), quiet.err) == (0, "out", "")


def test_pictures_that_cannot_be_read(run: Run, words: list[str | Path]) -> None:
    Path("styles/style.png").write_bytes(b"no picture")
    done = run(*words, "--json")
    assert len(rows(done)["unreadable"]) == 1
    assert "unreadable pictures" in done.err
    assert "style.png" in done.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_after_the_step_and_the_same_command_resumes_there(
    number: signal.Signals, run: Run, words: list[str | Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = ["whole" if word == "out" else word for word in words]
    whole = run(*elsewhere)
    assert whole.code == 0, whole.err
    plain, steps = fit._step, list[int]()

    def step(*given: Any, **options: Any) -> Any:
        steps.append(1)
        if len(steps) == 2:
            signal.raise_signal(number)
        return plain(*given, **options)

    monkeypatch.setattr(fit, "_step", step)
    stopped = run(*words)
    assert (stopped.code, stopped.out) == (130, "")
    assert "stopping after this step" in stopped.err
    assert "stopped after step 2 of 3; the same command resumes there" in stopped.err
    assert not Path("out/network.safetensors").exists()
    assert run(*words).code == 0
    assert len(steps) == 3  # though no checkpoint was due
    assert Path("out/network.safetensors").read_bytes() == Path("whole/network.safetensors").read_bytes()
    again = run(*words)
    assert (again.code, again.out.strip()) == (0, "out")
    assert "out was trained to the end already" in again.err


def test_files_of_others_are_not_overwritten(run: Run, words: list[str | Path]) -> None:
    for name in ("network.safetensors", "log.jsonl", "losses.png"):
        Path("out").mkdir(exist_ok=True)
        Path("out", name).write_text("of somebody")
        done = run(*words)
        assert done.code == 1
        assert f"out has {name}, but no training.json" in done.err
        assert Path("out", name).read_text() == "of somebody"
        Path("out", name).unlink()
    Path("out/notes.txt").write_text("of somebody")  # a name that no training uses
    assert run(*words).code == 0


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        (["--variant", "adian"], 2, "adain"),
        (["--style-layers", "relu1_1,relu9_1", "--style-layer-weights", "1"], 2, "unknown layer 'relu9_1'"),
        (["--start-from", "nowhere.safetensors"], 1, "the weight file nowhere.safetensors does not exist"),
        (["--styles", "none"], 1, "none is neither a folder nor a .csv file"),
        (["--content-layers", ""], 2, "--content-layers is empty"),
    ],
)
def test_mistakes_are_one_line(more: list[str], code: int, said: str, run: Run, words: list[str | Path]) -> None:
    done = run(*words, *more)
    assert done.code == code
    assert said in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_the_help_names_every_variant(run: Run) -> None:
    text = " ".join(run("train", "arbitrary", "--help").out.split())
    assert all(variant in text for variant in VARIANTS)
