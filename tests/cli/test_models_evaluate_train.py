from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from in_process import Run

from impasto.config.training import BackboneOptions, FitOptions
from impasto.metrics.table import METRICS
from impasto.training.fit import Progress
from impasto.weights.catalogue import CATALOGUE


def test_models_lists_the_catalogue_and_what_was_imported(run: Run, encoder_file: Path) -> None:
    imported = run("models", "import", encoder_file, "--name", "mine")
    assert Path(imported.out.strip()).is_file()
    done = run("models", "list")
    assert done.code == 0
    assert all(name in done.out for name in (*CATALOGUE, "mine"))
    assert "starry-night" in done.out
    assert not any("starry-night" in line and "scream" in line for line in done.out.splitlines()), "a short column"
    rows = {row["name"]: row for row in json.loads(run("models", "list", "--json").out)}
    assert rows["mine"]["where"] == "imported"
    assert rows["vgg19"]["where"] == "to be fetched"
    assert rows["mine"]["licence"] == "MIT"


def test_models_shows_a_card_or_the_catalogue(run: Run, encoder_file: Path) -> None:
    assert json.loads(run("models", "show", encoder_file, "--json").out)["source"] == "drawn at random"
    assert "drawn at random" in run("models", "show", encoder_file).out
    assert "not fetched" in run("models", "show", "vgg19").out
    unknown = run("models", "show", "vgg91")
    assert (unknown.code, "Did you mean" in unknown.err) == (2, True)


def test_models_get(run: Run, encoder_file: Path) -> None:
    assert run("models", "get", encoder_file).out.strip() == str(encoder_file)
    offline = run("models", "get", "vgg19")
    assert (offline.code, "IMPASTO_OFFLINE" in offline.err) == (1, True)


def test_models_remove(run: Run, encoder_file: Path) -> None:
    path = Path(run("models", "import", encoder_file, "--name", "mine").out.strip())
    removed = run("models", "remove", "mine")
    assert (removed.code, removed.out) == (0, f"{path}\n")
    assert not path.exists()
    assert "mine" not in [row["name"] for row in json.loads(run("models", "list", "--json").out)]
    again = run("models", "remove", "mine")
    assert (again.code, "unknown weights" in again.err) == (2, True)
    bundled = run("models", "remove", "compact-vgg")
    assert (bundled.code, "part of the package" in bundled.err) == (2, True)


def test_a_damaged_file_is_a_row_of_the_list(run: Run, encoder_file: Path) -> None:
    for name in ("whole", "broken"):
        path = Path(run("models", "import", encoder_file, "--name", name).out.strip())
    path.write_bytes(path.read_bytes()[:-100])
    listed = run("models", "list", "--json")
    rows = {row["name"]: row for row in json.loads(listed.out)}
    assert listed.code == 0
    assert rows["whole"]["kind"] == "encoder"
    assert rows["broken"]["kind"] == "damaged"
    assert "impasto models remove broken" in rows["broken"]["about"]
    assert run("models", "remove", "broken").code == 0


def test_a_preset_offline_names_the_ways_out(run: Run) -> None:
    done = run("stylize", "content.png", "--style", "style.png", "--preset", "gatys", "-o", "o.png")
    assert done.code == 1
    for hint in ("IMPASTO_OFFLINE", "impasto models import FILE", "--encoder compact-vgg"):
        assert hint in done.err


def test_an_imported_encoder_paints(run: Run, tiny: list[str], encoder_file: Path) -> None:
    assert run("models", "import", encoder_file, "--name", "mine").code == 0
    words = ["mine" if word == str(encoder_file) else word for word in tiny]
    assert run("stylize", "content.png", "--style", "style.png", *words, "-o", "o.png").code == 0


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    """An encoder with the layers that are measured."""
    import torch

    from impasto.weights.card import Card, save

    stages, tensors, channels = [[3, 1], [3, 1], [3, 2], [3, 2], [3, 1]], {}, 3
    for stage, (width, count) in enumerate(stages, start=1):
        for i in range(1, count + 1):
            tensors[f"conv{stage}_{i}.weight"] = torch.randn(width, channels, 3, 3, generator=torch.Generator())
            tensors[f"conv{stage}_{i}.bias"] = torch.zeros(width)
            channels = width
    network = {"architecture": "vgg", "stages": stages, "padding": "reflect", "pooling": "average"}
    save(path := tmp_path / "deep.safetensors", tensors, card=Card(kind="encoder", name="deep", network=network))
    return path


def test_evaluate_prints_the_reference_rows(run: Run, deep: Path) -> None:
    words = ["evaluate", "content.png", "--content", "content.png", "--style", "style.png", "--encoder", str(deep)]
    done = run(*words)
    assert done.code == 0, done.err
    assert all(name in done.out for name in (*METRICS, "content copy", "style copy", "low is good", "high is good"))
    rows = json.loads(run(*words, "--json").out)["measures"]
    assert rows["output"] == rows["content copy"]
    assert rows["output"]["ssim"] == pytest.approx(1)
    missing = run("evaluate", "nope.png", *words[2:])
    assert (missing.code, "nope.png does not exist" in missing.err) == (1, True)


def test_evaluate_names_what_it_read_from_the_recipe(run: Run, deep: Path, network_file: Path) -> None:
    words = ["--network", str(network_file), "-o", "made.png"]
    assert run("stylize", "content.png", "--style", "style.png", *words).code == 0
    row = json.loads(run("evaluate", "made.png", "--encoder", str(deep), "--json").out)
    assert [Path(name).name for name in (row["content"], *row["style"])] == ["content.png", "style.png"]


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A training that trains nothing; what it was called with, and whether it was closed."""
    seen: list[Any] = []

    def train_backbone(backbone: BackboneOptions, fit: FitOptions, folder: Path) -> Iterator[Progress]:
        seen.append((backbone, fit, folder))
        try:
            for step in range(1, fit.steps + 1):
                broken = tuple(f"{i}.png is no picture" for i in range(step))
                yield Progress(step, fit.steps, {"classes": 0.5}, 1e-3, 0, unreadable=broken if fit.seed == 2 else ())
                if step == 3 and fit.seed == 1:
                    signal.raise_signal(signal.SIGINT)
        finally:
            seen.append("closed")

    module = ModuleType("impasto.training.backbone_run")
    module.prepare_backbone = lambda backbone, fit: SimpleNamespace(  # type: ignore[attr-defined]
        train=partial(train_backbone, backbone, fit)
    )
    monkeypatch.setitem(sys.modules, "impasto.training.backbone_run", module)
    return seen


def test_train_backbone_hands_its_options_on(run: Run, trainings: list[Any]) -> None:
    words = ["--data", "a,b", "--data", "c", "--crop-px", "64", "--steps", "5", "-o", "run", "--json"]
    done = run("train", "backbone", *words)
    assert done.code == 0, done.err
    backbone, fit, folder = trainings[0]
    assert backbone == BackboneOptions(data=(Path("a,b"), Path("c")), crop_px=64)
    assert fit == FitOptions(steps=5)
    assert folder == Path("run")
    assert json.loads(done.out)["losses"] == {"classes": 0.5}


def test_train_stops_after_the_step(run: Run, trainings: list[Any]) -> None:
    done = run("train", "backbone", "--steps", "9", "--seed", "1", "-o", "run")
    assert done.code == 130
    assert done.out == ""
    assert "stopped after step 4 of 9; the same command resumes there" in done.err
    assert trainings[-1] == "closed"


def test_train_tells_of_pictures_that_could_not_be_read(run: Run, trainings: list[Any]) -> None:
    done = run("train", "backbone", "--steps", "5", "--seed", "2", "-o", "run", "--json")
    line = next(line for line in done.err.splitlines() if "unreadable pictures" in line)
    assert line.endswith("5 (0.png is no picture; 1.png is no picture; 2.png is no picture; and 2 more)")
    assert len(json.loads(done.out)["unreadable"]) == 5
    assert "could not be read" not in run("train", "backbone", "--steps", "5", "-o", "run").err


def test_train_needs_a_folder(run: Run) -> None:
    for task in ("backbone", "arbitrary"):
        done = run("train", task)
        assert (done.code, "--output" in done.err) == (2, True)
